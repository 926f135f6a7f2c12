"""The points of the charts, from the time slices: so many, never more."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from dashboard.board.frames import Json, tenths
from dashboard.models import TimeSlice
from dashboard.observing.recording import SLICE_S
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
