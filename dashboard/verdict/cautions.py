"""What a reader of a verdict must know beside it. Warnings are outside the verdict's own promise.

Each is at level 5 % by itself, or a plain count.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from dashboard.verdict.evidence import Evidence
from dashboard.verdict.levels import FLAT_BLOCKS, GROUP
from dashboard.verdict.paired_order import CLIP
from dashboard.verdict.phrases import counted, percent, rate_text, speed_text
from dashboard.verdict.requirements import Judged, Requirement, Requirements, Standing
from dashboard.verdict.segments import SegmentEffect
from dashboard.verdict.sequences import Interval
from dashboard.verdict.signatures import surely_counts
from dashboard.verdict.timing import Timing
from dashboard.verdict.words import Speed

_ALPHA = 0.05
#: Shares of orders from which on it is said that they are not in the mean.
_EXCLUDED_WORTH_SAYING = 0.01
_MISSING_WORTH_SAYING = 0.001
#: Share of orders with noise from which on a candidate's own differences may hide in it, and how
#: many orders it must be known of.
_NOISE_WORTH_SAYING = 0.05
_NOISE_ORDERS = 100
#: Standard errors of a correlation of neighbouring blocks from which on it is none by chance.
CORRELATED = 3.0


def cautions(
    evidence: Evidence,
    required: Requirements,
    judged: Sequence[Judged],
    bench: Evidence | None,
    timing: Timing,
    accepted: Collection[int],
    *,
    over: bool = False,
) -> Iterator[str]:
    """All that apply, the gravest first; ``over``: no more orders come."""
    standings = {one.requirement: one for one in judged}
    if bench is not None:
        yield from _of_bench(bench, required.each, accepted)
    yield from _of_exclusion(
        evidence,
        faster=standings[Requirement.SPEED].word == Speed.FASTER,
        failing=standings[Requirement.FAILURES].standing is Standing.FAILED,
    )
    yield from _of_time(evidence, evidence.block_s(timing), over=over)
    yield from _of_segments(evidence, math.log1p(required.speed_margin))


def _of_bench(bench: Evidence, alpha: float, accepted: Collection[int]) -> Iterator[str]:
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


def _of_exclusion(evidence: Evidence, *, faster: bool, failing: bool) -> Iterator[str]:
    if not evidence.orders:
        return
    excluded = 1 - evidence.pairs / evidence.orders
    if faster and failing:
        yield "faster, but it fails more often: speed excludes failed orders"
    elif faster and excluded > _EXCLUDED_WORTH_SAYING:
        yield f"faster without the {percent(excluded)} of orders that have no time"
    missing = evidence.unknown_share or 0.0
    if missing > _MISSING_WORTH_SAYING:
        off = math.expm1(missing * 2 * CLIP)
        yield f"{percent(missing)} of results are missing: speed could be off by {percent(off)}"


def _of_time(evidence: Evidence, block_s: float, *, over: bool) -> Iterator[str]:
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


def _of_segments(evidence: Evidence, margin: float) -> Iterator[str]:
    for contrast in evidence.segments.misleading(margin, _ALPHA):
        yield f"{_segment_text(contrast.faster)}, but {_segment_text(contrast.slower)}"


def _segment_text(effect: SegmentEffect) -> str:
    name = effect.segment.replace(":", " ", 1) + (" UTC" if effect.kind == "hour" else "")
    return f"{name}: {speed_text(effect.estimate, effect.interval)}"


def _brief(interval: Interval) -> str:
    return speed_text((interval.lo + interval.hi) / 2, interval)
