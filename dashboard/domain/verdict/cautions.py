"""What a reader of a verdict must know beside it. Warnings are outside the verdict's own promise.

Each is at level 5 % by itself, or a plain count.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from dashboard.domain.verdict.evidence import Evidence
from dashboard.domain.verdict.levels import FLAT_BLOCKS, GROUP
from dashboard.domain.verdict.paired_order import CLIP
from dashboard.domain.verdict.phrases import percent, rate_text, speed_text
from dashboard.domain.verdict.requirements import Judged, Requirement, Requirements, Standing
from dashboard.domain.verdict.segments import SegmentEffect
from dashboard.domain.verdict.sequences import Interval
from dashboard.domain.verdict.signatures import surely_counts
from dashboard.domain.verdict.timing import Timing
from dashboard.domain.verdict.words import Speed

_ALPHA = 0.05
#: Shares of orders from which on it is said that they are not in the mean.
_EXCLUDED_WORTH_SAYING = 0.01
_MISSING_WORTH_SAYING = 0.001
#: Share of orders with noise from which on a candidate's own differences may hide in it, and how
#: many orders it must be known of.
_NOISE_WORTH_SAYING = 0.05
_NOISE_ORDERS = 100


def cautions(
    evidence: Evidence,
    required: Requirements,
    judged: Sequence[Judged],
    bench: Evidence | None,
    timing: Timing,
    accepted: Collection[int],
) -> Iterator[str]:
    """All that apply, the gravest first."""
    standings = {one.requirement: one for one in judged}
    if bench is not None:
        yield from _of_bench(bench, required.each, accepted)
    yield from _of_exclusion(
        evidence,
        faster=standings[Requirement.SPEED].word == Speed.FASTER,
        failing=standings[Requirement.FAILURES].standing is Standing.FAILED,
    )
    yield from _of_time(evidence, timing.block_s)
    yield from _of_segments(evidence, math.log1p(required.speed_margin))


def _of_bench(bench: Evidence, alpha: float, accepted: Collection[int]) -> Iterator[str]:
    second = "of two copies of the control the second"
    times, failures = bench.effect.interval(alpha), bench.errors.interval(alpha)
    if not times.has(0.0):
        yield f"bench uneven: {second} is {speed_text(bench.effect.estimate or 0.0, times)}"
    if not failures.has(0.0):
        share = bench.errors.counts.estimate or 0.0
        yield f"bench uneven: {second} {rate_text(share, failures, 'fails')}"
    signatures = bench.signatures.items()
    differ = sum(number for name, number in signatures if surely_counts(name, accepted))
    if differ > _NOISE_WORTH_SAYING * bench.handled and bench.handled >= _NOISE_ORDERS:
        noise = percent(differ / bench.handled)
        yield f"two copies of the control differ on {noise} of {bench.handled:,} orders"


def _of_exclusion(evidence: Evidence, *, faster: bool, failing: bool) -> Iterator[str]:
    if not evidence.orders:
        return
    excluded = 1 - evidence.pairs / evidence.orders
    if faster and failing:
        yield "faster, but it fails more often: what fails is not in the mean"
    elif faster and excluded > _EXCLUDED_WORTH_SAYING:
        yield f"faster without the {percent(excluded)} of orders that have no time"
    missing = evidence.unknown_share or 0.0
    if missing > _MISSING_WORTH_SAYING:
        off = math.expm1(missing * 2 * CLIP)
        yield f"for the {percent(missing)} of pairs missing, speed could be off by {percent(off)}"


def _of_time(evidence: Evidence, block_s: float) -> Iterator[str]:
    effect = evidence.effect
    flat = effect.flat_level
    if effect.k >= FLAT_BLOCKS and flat is None:
        yield "orders drift together; waiting for more time"
    elif flat:
        yield (
            f"blocks of {block_s:g} s depend on each other (correlation {effect.lag1:.2f}); counted"
            f" in blocks of up to {block_s * GROUP**flat:g} s as well"
        )
    moved = evidence.drift.drifting(_ALPHA)
    if moved is not None:
        yield (
            f"the effect drifts: {_brief(moved.before)} in the first {moved.blocks_before} blocks,"
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
