"""What a soak's samples come to: figures of P7, what stayed flat, and the picture."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from matplotlib.figure import Figure as Picture

from bench.figures import FLOOR, PRODUCT, Figure, at_most
from bench.sampling import Sample

#: Orders at which memory is looked at first.
_AT_FIRST = 10_000
_LAST_SAMPLES = 6
#: Processes whose memory is to stay.
_PROCESSES = {"observer": "observer", "site": "web process"}
#: By how much each may rise over the whole time, as a part of its level, and in any case.
_MEMORY, _MEMORY_MB = 0.05, 2.0
_LATENCY, _LATENCY_MS = 0.2, 30.0
_HEAP_MB = 1.0
#: Seconds of orders that may wait more at the end than at the beginning.
_BACKLOG_S = 1.0
#: Points of a trend at most: all pairs of them are looked at.
_MOST = 400

_Value = Callable[[Sample], float | None]


@dataclass(frozen=True)
class Trend:
    """How much a series rose from its first time to its last, beside what it may.

    ``level`` is its median; the first tenth of the time is left out as warm-up.
    """

    level: float
    rise: float
    allowed: float

    @property
    def is_flat(self) -> bool:
        """Whether it rose by no more than it may; a fall is fine."""
        return self.rise <= self.allowed


def trend(
    times: Sequence[float], values: Sequence[float], *, part: float, least: float = 0.0
) -> Trend:
    """The trend of a series that may rise by this part of its level over the whole time, or by
    ``least`` in any case: by the slope of Theil and Sen, which a few wild points cannot turn."""
    start = len(times) // 10
    step = -(-(len(times) - start) // _MOST) or 1
    points = list(zip(times, values, strict=True))[start::step]
    if len(points) < 2:
        raise ValueError("two points are needed after the warm-up")
    slope = statistics.median(
        (late - early) / (then - at)
        for (at, early), (then, late) in combinations(points, 2)
        if then != at
    )
    level = statistics.median(value for _, value in points)
    rise = slope * (points[-1][0] - points[0][0])
    return Trend(level=level, rise=rise, allowed=max(least, part * abs(level)))


def trends(samples: Sequence[Sample], *, rate: float) -> dict[str, Trend]:
    """What is to stay flat, by name."""
    looked_at: dict[str, tuple[_Value, float, float]] = {
        "backlog": (lambda one: sum(one.backlog.values()), 0.0, _BACKLOG_S * rate),
        "latency p50, ms": (lambda one: one.latencies_ms["p50"], _LATENCY, _LATENCY_MS),
        "latency p99, ms": (lambda one: one.latencies_ms["p99"], _LATENCY, 4 * _LATENCY_MS),
        "memory of the page, MB": (lambda one: one.heap_mb, _MEMORY, _HEAP_MB),
    }
    for name in sorted(samples[-1].memory_mb.keys() & samples[0].memory_mb.keys()):
        memory: _Value = lambda one, of=name: one.memory_mb.get(of)  # type: ignore[misc]  # noqa: E731
        looked_at[f"memory of {name}, MB"] = memory, _MEMORY, _MEMORY_MB
    found = {}
    for name, (value, part, least) in looked_at.items():
        known = [(one.at_s, number) for one in samples if (number := value(one)) is not None]
        times, values = zip(*known, strict=True)
        found[name] = trend(times, values, part=part, least=least)
    return found


def figures(samples: Sequence[Sample]) -> Iterator[Figure]:
    """The rows of P7 for this long."""
    first = next((one for one in samples if one.orders >= _AT_FIRST), samples[0])
    for name, words in _PROCESSES.items():
        last = statistics.median(one.memory_mb[name] for one in samples[-_LAST_SAMPLES:])
        yield Figure(
            goal="P7",
            what=f"memory of the {words} at {samples[-1].orders:,} orders",
            unit="MB",
            seen={FLOOR: [first.memory_mb[name]], PRODUCT: [last]},
            floor_is=f"at {first.orders:,} orders",
            bound=at_most(1.05),
        )


def draw(samples: Sequence[Sample], *, rate: float, file: Path) -> None:
    """The picture: a panel for each thing that was looked at."""
    panels: dict[str, list[Mapping[str, float | None]]] = {
        "Backlog, messages": [one.backlog for one in samples],
        "Placed to recorded for both versions, ms": [one.latencies_ms for one in samples],
        "Memory (PSS), MB": [one.memory_mb for one in samples],
        "Processor, cores": [one.cores for one in samples],
        "Page heap after collecting, MB": [{"page": one.heap_mb} for one in samples],
        "Database, MB": [{"on disk": one.database_mb} for one in samples],
    }
    picture = Picture(figsize=(10, 13), layout="constrained")
    axes = picture.subplots(len(panels), sharex=True)
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        for name in values[-1]:
            points = [
                (sample.at_s / 60, value)
                for sample, one in zip(samples, values, strict=True)
                if (value := one.get(name)) is not None
            ]
            axis.plot(*zip(*points, strict=True), label=name, linewidth=1)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    axes[-1].set_xlabel("minutes")
    picture.suptitle(f"{rate:.0f} orders a second, {samples[-1].orders:,} orders")
    picture.savefig(file)
