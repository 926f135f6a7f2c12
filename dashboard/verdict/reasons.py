"""Why a verdict is what it is, in the words of its sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from dashboard.verdict.evidence import Evidence
from dashboard.verdict.judging import COMPARABLE_ALPHA, NOT_TIMED
from dashboard.verdict.outlook import OVER, longest
from dashboard.verdict.paired_order import CLIP
from dashboard.verdict.phrases import counted, orders_of, percent
from dashboard.verdict.requirements import (
    Health,
    Judged,
    Requirement,
    Requirements,
    Standing,
)
from dashboard.verdict.timing import Timing
from dashboard.verdict.words import LEAST_BLOCKS, LEAST_ORDERS, Rate

_NO_WORSE = {
    Requirement.FAILURES: "fails no more often",
    Requirement.SLOW_ORDERS: "no more slow orders",
    Requirement.DIFFERENCES: "differs no more than noise",
}
#: What a rate has passed with that is none of the two above: its own sentence says it.
_KNOWN = (Rate.FEWER, Rate.MORE_WITHIN, Rate.MORE_PROBABLY_WITHIN, Rate.CLUSTERED)
#: The share of orders on which a version that fails, or does not answer, is no measure.
_MOST = 0.5
#: Orders that a baseline was to get, before it is called a fault that it did nothing with them.
_LEAST_SENT = 10


def not_comparable(evidence: Evidence, required: Requirements, health: Health) -> Iterator[str]:
    """Why a verdict is withheld; nothing if it need not be."""
    yield from health.held
    warm_up = evidence.warm_up
    if failing := _failing_control(evidence):
        yield failing
    elif warm_up.orders and warm_up.first is None:
        yield f"of {counted(warm_up.orders)} none was answered by both versions"
    yield from _missing(evidence, required)


def _failing_control(evidence: Evidence) -> str:
    """That the control fails most orders: of all, or else of the newest."""
    for some, which in ((evidence.outcomes, ""), (evidence.newest, "the newest ")):
        if some.orders >= LEAST_ORDERS and some.control_failed > _MOST * some.orders:
            return f"the control failed on {some.control_failed:,} of {which}{some.orders:,} orders"
    return ""


def baseline_fault(evidence: Evidence) -> str:
    """Why the baseline says nothing about noise just now; empty if it does.

    Held against what it has done of the newest orders, where it was to get enough of them.
    """
    every, newest = evidence.outcomes, evidence.newest
    if newest.orders < LEAST_ORDERS:
        return ""
    sent, of = newest.baseline_sent, f"of the newest {newest.baseline_sent:,} orders"
    if not sent:
        usual = every.baseline_sent / every.orders * newest.orders
        return "the baseline gets no orders" if not usual or usual >= _LEAST_SENT else ""
    if sent < _LEAST_SENT:
        return ""
    if newest.baseline_missing > _MOST * sent:
        return f"the baseline does not answer: {newest.baseline_missing:,} {of}"
    if newest.baseline_failed > _MOST * sent:
        return f"the baseline fails: {newest.baseline_failed:,} {of}"
    return ""


def _missing(evidence: Evidence, required: Requirements) -> Iterator[str]:
    share, most = evidence.unknown_share, required.most_missing
    if share is None:
        return
    one_sided = evidence.missing.interval(COMPARABLE_ALPHA)
    due = evidence.seen + evidence.lost
    too_late = evidence.lost > most * due
    if too_late:
        yield f"{orders_of(evidence.lost, due)} came too late to be counted"
    candidate = one_sided.lo > 0
    furthest = one_sided.hi if candidate else -one_sided.lo
    if not one_sided.has(0.0) and furthest > least_that_matters(required):
        who = "candidate" if candidate else "control"
        alone = evidence.missing.pos if candidate else evidence.missing.neg
        found = orders_of(alone, evidence.orders)
        yield f"not comparable: results of the {who} alone are missing on {found}"
    elif share > most and not too_late:
        yield f"{percent(share)} of results are missing (at most {percent(most)})"


def least_that_matters(required: Requirements) -> float:
    """The share of orders that could turn a requirement if all of them went the worst way.

    One order moves a rate by 1, and the mean log ratio by no more than from one clip to the other.
    """
    speed, *rates = required.margins.values()
    return min(speed / (2 * CLIP), *rates)


def of_worse(judged: Sequence[Judged]) -> Iterator[str]:
    """What is worse, each with its number."""
    yield from (one.text for one in judged if one.standing is Standing.FAILED)


def of_ready(
    judged: Sequence[Judged], evidence: Evidence, accepted: Collection[int], *, raw: bool
) -> Iterator[str]:
    """What was shown; ``raw``: without a baseline, so that noise is not known."""
    spoken = {Requirement.SPEED, *([Requirement.DIFFERENCES] if raw else [])}
    for one in judged:
        if one.requirement in spoken or one.word in _KNOWN:
            yield one.text
        elif one.requirement in _NO_WORSE:
            yield _NO_WORSE[one.requirement]
    shown = {one for name in evidence.signatures for one in name.split(",")}
    if known := sum(str(one) in shown for one in accepted):
        yield counted(known, "accepted discrepancy", "accepted discrepancies")


def of_not_yet(judged: Sequence[Judged], evidence: Evidence, timing: Timing) -> Iterator[str]:
    """How much passed, what stands in the way, and which takes longest, and how long."""
    if evidence.threshold is None:
        timed, least = evidence.warm_up.timed, timing.warm_up_orders
        yield f"warming up, {timed:,} of {least:,} orders timed" if timed < least else "warming up"
        return
    missing = [one for one in judged if one.standing is not Standing.PASSED]
    yield f"{len(judged) - len(missing)} of {len(judged)} requirements met"
    if evidence.orders and not evidence.pairs:
        yield NOT_TIMED
    k = evidence.errors.blocks.k
    if k < LEAST_BLOCKS and all(one.standing is Standing.NOT_YET for one in missing):
        yield f"{k} of {LEAST_BLOCKS} blocks of {evidence.block_s(timing):g} s measured"
        return
    over = [one.text for one in missing if one.needs == OVER.needs]
    for one in missing:
        if one.more_orders is None and one.needs != OVER.needs and one.text != NOT_TIMED:
            yield f"{one.text}: {one.needs}" if one.needs else one.text
    if over:
        yield f"{' and '.join(over)}: {OVER.needs}"
    if (last := longest(judged)) is not None:
        take = "takes" if last.requirement is Requirement.SPEED else "take"
        yield f"{last.requirement} {take} longest: {last.needs}"
