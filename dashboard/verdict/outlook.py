"""What a requirement still needs: about how many more orders, if nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.phrases import counted
from dashboard.verdict.requirements import Judged, Standing
from dashboard.verdict.rounding import significant

#: Base blocks before which no number is given: it would be off by a factor of ten and more.
LEAST_BLOCKS_KNOWN = 10
#: While no level of blocks looks independent, at least as many more are needed.
_UNTIL_KNOWN = 10
#: Looked for up to so many times the evidence of now.
_MOST_TIMES = 1e5
_PRECISION = 1.01


class Outlook(NamedTuple):
    """What is missing in words, and, where it is orders alone, about how many."""

    needs: str = ""
    more_orders: int | None = None


PASSED = Outlook()
OVER = Outlook("the estimate is over the limit, more orders help only if it falls")
TOO_EARLY = Outlook("too early to say how many more orders")


def outlook(
    passes: Callable[[float], bool], *, orders: int, blocks: MultiLevelBlocks, over: bool
) -> Outlook:
    """About how many more orders than those of now it takes to pass.

    ``passes``: whether it does with so many times the evidence of now, and the same rates. Two
    thirds of the launches that become READY are so by then (`make simulate`). ``over``: whether the
    estimate is over the limit.
    """
    if blocks.k < LEAST_BLOCKS_KNOWN:
        return TOO_EARLY
    if over:
        return OVER
    known = blocks.flat_level is not None
    times = _times_needed(passes, 1.0 if known else 1 + _UNTIL_KNOWN / blocks.k)
    if times is None:
        return TOO_EARLY
    more = significant(orders * (times - 1))
    return Outlook(f"about {counted(more, 'more order')}", more)


def _times_needed(passes: Callable[[float], bool], least: float) -> float | None:
    """How many times the evidence of now it takes to pass; None if that is out of sight."""
    short, enough = 1.0, max(least, 2.0)
    while not passes(enough):
        short, enough = enough, 2 * enough
        if enough > _MOST_TIMES:
            return None
    while enough / short > _PRECISION:
        middle = (short + enough) / 2
        if passes(middle):
            enough = middle
        else:
            short = middle
    return max(enough, least)


def longest(judged: Sequence[Judged]) -> Judged | None:
    """The requirement that needs most orders; None if orders alone do not bring all to pass."""
    missing = [one for one in judged if one.standing is not Standing.PASSED]
    if any(one.more_orders is None for one in missing):
        return None
    return max(missing, key=lambda one: one.more_orders or 0, default=None)
