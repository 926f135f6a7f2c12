"""The points of the charts, from the time slices: so many, never more; and the marks on them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from dashboard.board.wording import Json, tenths
from dashboard.comparison.foreign_text import visible
from dashboard.fold.fold import SLICE_S
from dashboard.models import Evidence, LaunchRequirements, Participant, Review, TimeSlice
from dashboard.verdict.assessment import Assessment
from dashboard.verdict.evaluation import Evaluation
from dashboard.verdict.quantiles import GAMMA, LogHistogram, quantile_ranks
from dashboard.verdict.thresholds import Requirement
from restaurant.models import Launch, LaunchChange

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


class Range(StrEnum):
    """What the charts can show besides the last minutes."""

    HOUR = "hour"
    LAUNCH = "launch"


#: Slices that a point of a longer range is made of: at most so many, evenly spread.
_SLICES_A_POINT = 12
_HOUR_S = 3600


def longer_series(launch: Launch, by: Range, now: datetime) -> Json:
    """The points of a longer range, as ``build_series`` has them.

    However long a launch runs, so many slices are read and no more: a point of a long range is made
    of a sample.
    """
    end = int((launch.ended_at or now).timestamp()) // SLICE_S * SLICE_S
    start = int(launch.started_at.timestamp()) // SLICE_S * SLICE_S
    if by is Range.HOUR:
        start = max(start, end - _HOUR_S)
    step = max(1, math.ceil((end - start) / SLICE_S / POINTS)) * SLICE_S
    times = list(range(end - math.ceil((end - start) / step) * step, end, step))
    apart = max(1, step // SLICE_S // _SLICES_A_POINT) * SLICE_S
    read = {
        at: place
        for place, first in enumerate(times)
        for at in range(first, first + step, apart)[:_SLICES_A_POINT]
    }
    seconds = len(range(0, step, apart)[:_SLICES_A_POINT]) * SLICE_S
    found: defaultdict[str, list[tuple[int, LogHistogram]]] = defaultdict(
        lambda: [(0, LogHistogram()) for _ in times]
    )
    slices = TimeSlice.objects.filter(launch=launch.id, start__in=list(read))
    for version, at, handled, failed, stored in slices.values_list(
        "version", "start", "handled", "failed", "times"
    ):
        points = found[version]
        number, spread = points[read[at]]
        spread.merge(LogHistogram.from_json(stored))
        points[read[at]] = (number + handled + failed, spread)
    return {"t": times, "versions": {name: _lines(rows, seconds) for name, rows in found.items()}}


def _lines(points: Sequence[tuple[int, LogHistogram]], seconds: int) -> Json:
    quantiles = [spread.quantiles(0.5, 0.95, 0.99) for _, spread in points]
    lines: Json = {"handled": [number / seconds for number, _ in points]}
    for place, name in enumerate(("p50", "p95", "p99")):
        lines[name] = [tenths(one[place]) for one in quantiles]
    return lines


#: The newest of each kind of mark.
MARKS = 20


def marks(launch: Launch, version: str, changes: Sequence[LaunchChange]) -> list[Json]:
    """What changed during the launch and bears on a version, in order: when, a label, and a text.

    Percents and other changes of the launch, thresholds, builds, and decisions on discrepancies.
    """
    found = [
        *_launch_marks(changes),
        *_threshold_marks(launch),
        *_build_marks(launch, version),
        *_review_marks(launch, version),
    ]
    return [
        {"at": at.timestamp(), "label": label, "text": text} for at, label, text in sorted(found)
    ]


_Mark = tuple[datetime, str, str]


def _launch_marks(changes: Sequence[LaunchChange]) -> Iterator[_Mark]:
    for one in changes:
        yield one.at, visible(one.short), visible(str(one))


def _threshold_marks(launch: Launch) -> Iterator[_Mark]:
    rows = LaunchRequirements.objects.filter(launch=launch.id).values_list("set_at", "author")
    for at, author in rows[:MARKS]:
        yield at, "thresholds", f"thresholds set by {visible(author)}"


def _build_marks(launch: Launch, version: str) -> Iterator[_Mark]:
    rows = Evidence.objects.filter(launch=launch.id, version=version).order_by("-started_at")
    builds = list(rows.values_list("started_at", "version_build", "control_build")[:MARKS])
    for (at, *now), (_, *before) in pairwise(builds):
        if now != before:
            build, control = (visible(one) or "unknown" for one in now)
            yield at, "build", f"build of {version}: {build}; of {launch.control}: {control}"


def _review_marks(launch: Launch, version: str) -> Iterator[_Mark]:
    rows = Review.objects.filter(discrepancy__launch=launch.id, discrepancy__version=version)
    named = rows.values_list("decided_at", "decision", "discrepancy__path", "author")
    for at, decision, path, author in named[:MARKS]:
        label = decision.replace("_", " ")
        yield at, label, f"{visible(path)}: {label}{f' by {visible(author)}' if author else ''}"


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
