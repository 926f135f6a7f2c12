"""Whether a version was sent the share of orders that was asked for."""

from __future__ import annotations

from dashboard.verdict.judging import COMPARABLE_ALPHA
from dashboard.verdict.phrases import orders_of, percent
from dashboard.verdict.sequences import bernoulli_cs


def mismatch(version: str, *, sent: int, offered: int, share: float) -> str | None:
    """What is wrong with a sample, in words; None while it may be what was asked for.

    However often one looks, a right sample is called wrong with a chance of 0.1 % at most.
    """
    if bernoulli_cs(sent, offered, COMPARABLE_ALPHA).has(share):
        return None
    return f"{version} was sent {orders_of(sent, offered)}; {percent(share)} was asked"
