"""The reasons and warnings in a verdict's sentence."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from dashboard.verdict.blocks import Timing
from dashboard.verdict.classes import surely_counts
from dashboard.verdict.evidence import EvidenceTotals
from dashboard.verdict.judging import NOT_TIMED, not_seen, unknown_share
from dashboard.verdict.levels import FLAT_BLOCKS, GROUP
from dashboard.verdict.paired_order import CLIP
from dashboard.verdict.segments import SegmentEffect
from dashboard.verdict.sequences import Interval
from dashboard.verdict.thresholds import (
    COMPARABLE_ALPHA,
    OVER_LIMIT,
    LaunchHealth,
    Requirement,
    RequirementResult,
    Requirements,
    RequirementStatus,
    longest,
)
from dashboard.verdict.wording import (
    LEAST_BLOCKS,
    LEAST_ORDERS,
    Rate,
    Speed,
    counted,
    orders_of,
    percent,
    rate_text,
    speed_text,
)

_NO_WORSE = {
    Requirement.FAILURES: "fails no more often",
    Requirement.SLOW_ORDERS: "no more slow orders",
    Requirement.DIFFERENCES: "differs no more than noise",
}
#: Other words with which a rate passes; the sentence of the rate is used for them.
_KNOWN = (Rate.FEWER, Rate.MORE_WITHIN, Rate.MORE_PROBABLY_WITHIN, Rate.CLUSTERED)
#: A version that fails or does not answer this share of orders is no reference.
_MOST = 0.5
#: A baseline is called faulty only once it should have received this many orders.
_LEAST_SENT = 10


def not_comparable(
    evidence: EvidenceTotals, required: Requirements, health: LaunchHealth
) -> Iterator[str]:
    """The reasons and warnings in a verdict's sentence."""
    yield from health.held
    warm_up = evidence.warm_up
    if failing := _failing_control(evidence):
        yield failing
    elif warm_up.orders and warm_up.first is None:
        yield f"none of {counted(warm_up.orders)} was answered by both versions"
    yield from _missing(evidence, required, health)


def _failing_control(evidence: EvidenceTotals) -> str:
    """That the control fails most orders, over the launch or recently; empty if not."""
    for some, which in ((evidence.outcomes, ""), (evidence.newest, "the newest ")):
        if some.orders >= LEAST_ORDERS and some.control_failed > _MOST * some.orders:
            return f"the control failed on {some.control_failed:,} of {which}{some.orders:,} orders"
    return ""


def baseline_fault(evidence: EvidenceTotals) -> str:
    """Why the baseline can't measure noise right now; empty if it can.

    Judged by the newest orders, if enough of them were sent to it.
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


def _missing(
    evidence: EvidenceTotals, required: Requirements, health: LaunchHealth
) -> Iterator[str]:
    share, most = unknown_share(evidence, health), required.most_missing
    if share is None:
        return
    one_sided = evidence.missing.interval(COMPARABLE_ALPHA)
    due = evidence.seen + evidence.lost
    too_late = evidence.lost > most * due
    if too_late:
        yield f"{orders_of(evidence.lost, due)} came too late to be counted"
    unseen = health.unseen_share > most
    if unseen:
        yield not_seen(health)
    candidate = one_sided.lo > 0
    furthest = one_sided.hi if candidate else -one_sided.lo
    if not one_sided.has(0.0) and furthest > least_that_matters(required):
        who = "candidate" if candidate else "control"
        alone = evidence.missing.pos if candidate else evidence.missing.neg
        found = orders_of(alone, evidence.orders)
        yield f"not comparable: only the {who}'s results are missing on {found}"
    elif share > most and not (too_late or unseen):
        yield f"{percent(share)} of results are missing (at most {percent(most)})"


def least_that_matters(required: Requirements) -> float:
    """The smallest share of orders that could change a requirement if all of them went the worst
    way.

    One order changes a rate by 1, and the mean log ratio by at most twice the clip.
    """
    speed, *rates = required.margins.values()
    return min(speed / (2 * CLIP), *rates)


def of_worse(judged: Sequence[RequirementResult]) -> Iterator[str]:
    """What is worse, each with its number."""
    yield from (one.text for one in judged if one.standing is RequirementStatus.FAILED)


def of_ready(
    judged: Sequence[RequirementResult],
    evidence: EvidenceTotals,
    accepted: Collection[int],
    *,
    raw: bool,
) -> Iterator[str]:
    """What was shown; ``raw``: there is no baseline, so noise is unknown."""
    spoken = {Requirement.SPEED, *([Requirement.DIFFERENCES] if raw else [])}
    for one in judged:
        if one.requirement in spoken or one.word in _KNOWN:
            yield one.text
        elif one.requirement in _NO_WORSE:
            yield _NO_WORSE[one.requirement]
    shown = {one for name in evidence.signatures for one in name.split(",")}
    if known := sum(str(one) in shown for one in accepted):
        yield counted(known, "accepted discrepancy", "accepted discrepancies")


def of_not_yet(
    judged: Sequence[RequirementResult], evidence: EvidenceTotals, timing: Timing
) -> Iterator[str]:
    """How many requirements passed, what is open, which takes longest, and how long."""
    if evidence.threshold is None:
        timed, least = evidence.warm_up.timed, timing.warm_up_orders
        yield f"warming up, {timed:,} of {least:,} orders timed" if timed < least else "warming up"
        return
    missing = [one for one in judged if one.standing is not RequirementStatus.PASSED]
    yield f"{len(judged) - len(missing)} of {len(judged)} requirements met"
    if evidence.orders and not evidence.pairs:
        yield NOT_TIMED
    k = evidence.errors.blocks.k
    if k < LEAST_BLOCKS and all(one.standing is RequirementStatus.NOT_YET for one in missing):
        yield f"{k} of {LEAST_BLOCKS} blocks of {evidence.block_s(timing):g} s measured"
        return
    over = [one.text for one in missing if one.needs == OVER_LIMIT.needs]
    for one in missing:
        if one.more_orders is None and one.needs != OVER_LIMIT.needs and one.text != NOT_TIMED:
            yield f"{one.text}: {one.needs}" if one.needs else one.text
    if over:
        yield f"{' and '.join(over)}: {OVER_LIMIT.needs}"
    if (last := longest(judged)) is not None:
        take = "takes" if last.requirement is Requirement.SPEED else "take"
        yield f"{last.requirement} {take} longest: {last.needs}"


_ALPHA = 0.05
#: From this share on, orders that are not in the mean are mentioned.
_EXCLUDED_WORTH_SAYING = 0.01
_MISSING_WORTH_SAYING = 0.001
#: From this share of orders with noise on, a candidate's own differences may hide in it; and the
#: number of orders needed to say so.
_NOISE_WORTH_SAYING = 0.05
_NOISE_ORDERS = 100
#: From this many standard errors on, neighbouring blocks count as correlated.
CORRELATED = 3.0


def cautions(
    evidence: EvidenceTotals,
    required: Requirements,
    judged: Sequence[RequirementResult],
    bench: EvidenceTotals | None,
    timing: Timing,
    accepted: Collection[int],
    *,
    over: bool = False,
) -> Iterator[str]:
    """The warnings that apply, the most serious first; ``over``: no more orders come."""
    standings = {one.requirement: one for one in judged}
    if bench is not None:
        yield from _of_bench(bench, required.each, accepted)
    yield from _of_exclusion(
        evidence,
        faster=standings[Requirement.SPEED].word == Speed.FASTER,
        failing=standings[Requirement.FAILURES].standing is RequirementStatus.FAILED,
    )
    yield from _of_time(evidence, evidence.block_s(timing), over=over)
    yield from _of_segments(evidence, math.log1p(required.speed_margin))


def _of_bench(bench: EvidenceTotals, alpha: float, accepted: Collection[int]) -> Iterator[str]:
    times, than = bench.effect.interval(alpha), "than the control"
    if not times.has(0.0):
        found = speed_text(bench.effect.estimate or 0.0, times)
        yield f"unequal environments: the baseline is {found} {than}"
    for name, rate in (("failure rate", bench.errors), ("slow orders", bench.slow_orders)):
        rates = rate.interval(alpha)
        if not rates.has(0.0):
            found = rate_text(name, rate.counts.estimate or 0.0, rates)
            yield f"unequal environments: the baseline against the control: {found}"
    signatures = bench.signatures.items()
    differ = sum(number for name, number in signatures if surely_counts(name, accepted))
    if differ > _NOISE_WORTH_SAYING * bench.handled and bench.handled >= _NOISE_ORDERS:
        noise = percent(differ / bench.handled)
        yield f"baseline noise: control differs from itself on {noise} of {bench.handled:,} orders"


def _of_exclusion(evidence: EvidenceTotals, *, faster: bool, failing: bool) -> Iterator[str]:
    if not evidence.orders:
        return
    excluded = 1 - evidence.pairs / evidence.orders
    if faster and failing:
        yield "faster, but it fails more often: speed excludes failed orders"
    elif faster and excluded > _EXCLUDED_WORTH_SAYING:
        yield f"faster, leaving out the {percent(excluded)} of orders without a handling time"
    missing = evidence.unknown_share or 0.0
    if missing > _MISSING_WORTH_SAYING:
        off = math.expm1(missing * 2 * CLIP)
        yield f"{percent(missing)} of results are missing: speed could be off by {percent(off)}"


def _of_time(evidence: EvidenceTotals, block_s: float, *, over: bool) -> Iterator[str]:
    headlines = {
        Requirement.SPEED: evidence.effect,
        Requirement.FAILURES: evidence.errors.blocks,
        Requirement.SLOW_ORDERS: evidence.slow_orders.blocks,
    }
    for name, blocks in headlines.items():
        if blocks.k < FLAT_BLOCKS or blocks.lag1 <= CORRELATED / math.sqrt(blocks.k):
            continue
        text = f"{name}: results are correlated over time"
        text += f" ({blocks.lag1:.2f} between neighbouring blocks of {block_s:g} s)"
        if (flat := blocks.flat_level) is None:
            yield text if over else f"{text}; collecting longer"
        else:
            yield f"{text}; also analysed in blocks of {block_s * GROUP**flat:g} s"
    moved = evidence.drift.drifting(_ALPHA)
    if moved is not None:
        yield (
            f"the effect drifts: {_brief(moved.before)}"
            f" in the first {counted(moved.blocks_before, 'block')},"
            f" {_brief(moved.after)} since"
        )


def _of_segments(evidence: EvidenceTotals, margin: float) -> Iterator[str]:
    for contrast in evidence.segments.misleading(margin, _ALPHA):
        yield f"{_segment_text(contrast.faster)}, but {_segment_text(contrast.slower)}"


def _segment_text(effect: SegmentEffect) -> str:
    name = effect.segment.replace(":", " ", 1) + (" UTC" if effect.kind == "hour" else "")
    return f"{name}: {speed_text(effect.estimate, effect.interval)}"


def _brief(interval: Interval) -> str:
    return speed_text((interval.lo + interval.hi) / 2, interval)
