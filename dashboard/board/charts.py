"""The points of the charts, from the time slices: so many, never more."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime

from dashboard.board.wording import Json, tenths
from dashboard.fold.fold import SLICE_S
from dashboard.models import Participant, TimeSlice
from dashboard.verdict.assessment import Assessment
from dashboard.verdict.evaluation import Evaluation
from dashboard.verdict.quantiles import GAMMA, LogHistogram, quantile_ranks
from dashboard.verdict.thresholds import Requirement
from restaurant.models import Launch

#: Points in a chart: so many slices, up to now.
POINTS = 150


def build_series(launch: Launch, now: datetime) -> Json:
    """The points of the charts, up to the last whole slice."""
    end = int(now.timestamp()) // SLICE_S * SLICE_S
    times = list(range(end - POINTS * SLICE_S, end, SLICE_S))
    place = {start: index for index, start in enumerate(times)}
    versions: defaultdict[str, Json] = defaultdict(
        lambda: {
            "handled": [0.0] * POINTS,
            **{name: [None] * POINTS for name in ("p50", "p95", "p99")},
        }
    )
    slices = TimeSlice.objects.filter(launch=launch.id, start__gte=times[0], start__lt=end)
    for version, start, handled, failed, p50, p95, p99 in slices.values_list(
        "version", "start", "handled", "failed", "p50", "p95", "p99"
    ):
        series, index = versions[version], place[start]
        series["handled"][index] = (handled + failed) / SLICE_S
        for name, value in (("p50", p50), ("p95", p95), ("p99", p99)):
            series[name][index] = tenths(value)
    return {"t": times, "versions": dict(versions)}


_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
#: Of the ladder's intervals, for each rung by itself.
_ALPHA = 0.05
_BARS = 40
_SEGMENTS = 24
_KINDS = ("size", "hour", "item")
_COLUMNS = ("t", "orders", "estimate", "lo", "hi")


def verdict_series(
    assessment: Assessment, control: Participant, beside: Participant | None
) -> Json | None:
    """The points of the verdict's charts; None without a verdict."""
    evaluation, verdict = assessment.evaluation, assessment.verdict
    if evaluation is None or verdict is None or beside is None:
        return None
    points = evaluation.row.history.get("points", [])
    ours, theirs = (LogHistogram.from_json(one.times) for one in (control, beside))
    return {
        "history": {name: [one[n] for one in points] for n, name in enumerate(_COLUMNS)},
        "line": evaluation.verdict.of(Requirement.SPEED).line,
        "ladder": _ladder(ours, theirs),
        "distribution": _distribution(ours, theirs),
        "segments": _segments(evaluation),
        "contrasts": verdict["contrasts"],
    }


def _ladder(control: LogHistogram, version: LogHistogram) -> list[Json]:
    """How much longer the version takes at each percentile; the intervals are for independent
    orders, each by itself."""
    ours, theirs = control.quantiles(*_SHARES), version.quantiles(*_SHARES)
    rungs = []
    for share, one, other in zip(_SHARES, ours, theirs, strict=True):
        if one is None or other is None:
            continue
        first, second = _band(control, share), _band(version, share)
        rungs.append(
            {
                "share": share,
                "control": one,
                "version": other,
                "change": other / one - 1,
                "lo": second[0] / first[1] - 1 if first and second else None,
                "hi": second[1] / first[0] - 1 if first and second else None,
            }
        )
    return rungs


def _band(times: LogHistogram, share: float) -> tuple[float, float] | None:
    """Between which values a quantile lies; None while there are too few to say."""
    total = times.total
    low, high = quantile_ranks(total, share, _ALPHA)
    if low < 1 or high >= total:
        return None
    lower, upper = times.buckets((low, high + 1))
    return GAMMA ** (lower - 1), GAMMA**upper


def _distribution(control: LogHistogram, version: LogHistogram) -> Json:
    """Both versions' times as parts of all, in bars of one width on a logarithmic axis."""
    buckets = [*control.counts, *version.counts]
    if not buckets:
        return {"edges": [], "control": [], "version": []}
    first = min(buckets)
    width = math.ceil((max(buckets) - first + 1) / _BARS)
    bars = math.ceil((max(buckets) - first + 1) / width)
    return {
        "edges": [GAMMA ** (first - 1 + width * bar) for bar in range(bars + 1)],
        "control": control.shares(first, width, bars),
        "version": version.shares(first, width, bars),
    }


def _segments(evaluation: Evaluation) -> list[Json]:
    """The segments with the most orders, each with its effect: sizes, hours, items."""
    effects = evaluation.effects(_ALPHA)
    shown = sorted(effects, key=lambda one: (_KINDS.index(one.kind), -one.orders))[:_SEGMENTS]
    return [
        {
            "kind": one.kind,
            "name": one.segment.partition(":")[2],
            "orders": one.orders,
            "estimate": one.estimate,
            "lo": one.interval.lo,
            "hi": one.interval.hi,
        }
        for one in shown
    ]
