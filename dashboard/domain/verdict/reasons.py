"""Why a verdict is what it is, in the words of its sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from dashboard.domain.verdict.evidence import Evidence
from dashboard.domain.verdict.judging import COMPARABLE_ALPHA
from dashboard.domain.verdict.phrases import percent
from dashboard.domain.verdict.requirements import (
    Health,
    Judged,
    Requirement,
    Requirements,
    Standing,
)
from dashboard.domain.verdict.timing import Timing
from dashboard.domain.verdict.words import Rate

_NO_WORSE = {
    Requirement.FAILURES: "fails no more often",
    Requirement.SLOW_ORDERS: "no more slow orders",
    Requirement.DIFFERENCES: "differs no more than noise",
}
_KNOWN = (Rate.FEWER, Rate.MORE_WITHIN_MARGIN)


def not_comparable(evidence: Evidence, required: Requirements, health: Health) -> Iterator[str]:
    """Why a verdict is withheld; nothing if it need not be."""
    yield from health.held
    warm_up = evidence.warm_up
    if warm_up.orders and warm_up.first is None:
        yield f"of {warm_up.orders:,} orders none was answered by both versions"
    yield from _missing(evidence, required)


def _missing(evidence: Evidence, required: Requirements) -> Iterator[str]:
    share, most = evidence.unknown_share, required.most_missing
    if share is None:
        return
    one_sided = evidence.missing.interval(COMPARABLE_ALPHA)
    due = evidence.seen + evidence.lost
    too_late = evidence.lost > most * due
    if too_late:
        yield f"{evidence.lost:,} of {due:,} orders came too late to be counted"
    if not one_sided.has(0.0):
        candidate = one_sided.lo > 0
        who = "candidate" if candidate else "control"
        alone = evidence.missing.pos if candidate else evidence.missing.neg
        orders = f"{alone:,} of {evidence.orders:,} orders"
        yield f"not comparable: the {who} alone was not heard of on {orders}"
    elif share > most and not too_late:
        yield f"{percent(share)} of the pairs are missing (at most {percent(most)})"


def of_worse(judged: Sequence[Judged]) -> Iterator[str]:
    """What is worse, each with its number."""
    yield from (one.text for one in judged if one.standing is Standing.FAILED)


def of_ready(
    judged: Sequence[Judged], evidence: Evidence, accepted: Collection[int]
) -> Iterator[str]:
    """What was shown."""
    for one in judged:
        if one.requirement is Requirement.SPEED or one.word in _KNOWN:
            yield one.text
        elif one.requirement in _NO_WORSE:
            yield _NO_WORSE[one.requirement]
    shown = {one for name in evidence.signatures for one in name.split(",")}
    if known := sum(str(one) in shown for one in accepted):
        yield f"{known} accepted {'discrepancy' if known == 1 else 'discrepancies'}"


def of_not_yet(judged: Sequence[Judged], evidence: Evidence, timing: Timing) -> Iterator[str]:
    """How much passed, what stands in the way, and about how many orders it takes."""
    if evidence.threshold is None:
        timed, least = evidence.warm_up.timed, timing.warm_up_orders
        yield f"warming up, {timed:,} of {least:,} orders timed" if timed < least else "warming up"
        return
    passed = sum(one.standing is Standing.PASSED for one in judged)
    yield f"{passed} of {len(judged)} requirements"
    for one in judged:
        if one.standing is Standing.FAILED or (
            one.standing is Standing.NOT_YET and one.more_orders is None
        ):
            yield one.text
    if more := most_orders(judged):
        yield f"about {more:,} more orders"


def most_orders(judged: Sequence[Judged]) -> int | None:
    """About how many more orders bring all over their lines; None if orders alone do not."""
    open_ones = [one for one in judged if one.standing is not Standing.PASSED]
    needed = [one.more_orders for one in open_ones if one.more_orders is not None]
    return max(needed) if needed and len(needed) == len(open_ones) else None
