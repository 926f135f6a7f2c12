"""What a soak's samples come to: figures of P7 and P10, what stayed flat, and the picture."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.figures import AtMost, Figure, Samples
from bench.plot import Panel, plot
from bench.sampling import Sample
from bench.slope import Trend, trend

#: Orders at which memory is looked at first.
_AT_FIRST = 10_000
_LAST_SAMPLES = 6
#: Processes whose memory is to stay: what watches, and what serves.
_PROCESSES = {"observer": "observer", "site": "web process"}
#: By how much each may rise over the whole time, as a part of its level, and in any case.
_MEMORY, _MEMORY_MB = 0.05, 2.0
_LATENCY, _LATENCY_MS = 0.2, 30.0
_HEAP_MB = 1.0
#: Seconds of orders that may wait more at the end than at the beginning.
_BACKLOG_S = 1.0

_Value = Callable[[Sample], float | None]


def figures(samples: Sequence[Sample]) -> Iterator[Figure]:
    """The rows of P7 and P10 for this long."""
    first = next((one for one in samples if one.orders >= _AT_FIRST), samples[0])
    last = samples[-_LAST_SAMPLES:]
    for name, words in _PROCESSES.items():
        yield Figure(
            goal="P7",
            what=f"memory of the {words} at {samples[-1].orders:,} orders",
            unit="MB",
            floor=Samples((first.memory_mb[name],)),
            floor_is=f"at {first.orders:,} orders",
            product=Samples((statistics.median(one.memory_mb[name] for one in last),)),
            bound=AtMost(1.05),
        )
    tasks = [task for one in samples[1:] for task in one.long_tasks_ms]
    yield Figure(
        goal="P10",
        what="longest of the page's tasks over 50 ms; 0 if there was none",
        unit="ms",
        product=Samples((max(tasks, default=0.0),)),
        bound=AtMost(50, of="product"),
        note=f"{len(tasks)} in {samples[-1].at_s / 60:.0f} minutes",
    )
    yield Figure(
        goal="P10",
        what="processor time of the page's renderer",
        unit="cores",
        product=Samples(tuple(one.cores["browser's page"] for one in samples)),
        bound=AtMost(0.25, of="product"),
    )
    heaps = [one.heap_mb for one in samples if one.heap_mb is not None]
    yield Figure(
        goal="P10",
        what=f"memory of the page after {samples[-1].at_s / 60:.0f} minutes",
        unit="MB",
        floor=Samples((heaps[min(1, len(heaps) - 1)],)),
        floor_is="the same page in the first minute",
        product=Samples((heaps[-1],)),
        bound=AtMost(1.1),
    )


def trends(samples: Sequence[Sample], *, rate: float) -> dict[str, Trend]:
    """What is to stay flat, by name."""
    looked_at: dict[str, tuple[_Value, float, float]] = {
        "backlog": (lambda one: sum(one.backlog.values()), 0.0, _BACKLOG_S * rate),
        "latency p50, ms": (lambda one: one.latencies_ms["p50"], _LATENCY, _LATENCY_MS),
        "latency p99, ms": (lambda one: one.latencies_ms["p99"], _LATENCY, 4 * _LATENCY_MS),
        "memory of the page, MB": (lambda one: one.heap_mb, _MEMORY, _HEAP_MB),
    }
    found = {name: _trend(samples, *how) for name, how in looked_at.items()}
    for name in sorted(samples[-1].memory_mb.keys() & samples[0].memory_mb.keys()):
        memory = _trend(samples, lambda one, of=name: one.memory_mb.get(of), _MEMORY, _MEMORY_MB)  # type: ignore[misc]
        found[f"memory of {name}, MB"] = memory
    return found


def _trend(samples: Sequence[Sample], value: _Value, part: float, least: float) -> Trend:
    known = [(one.at_s, number) for one in samples if (number := value(one)) is not None]
    times, values = zip(*known, strict=True)
    return trend(times, values, part=part, least=least)


def drawn(samples: Sequence[Sample], *, rate: float) -> str:
    """The picture: a panel for each thing that was looked at."""
    last = samples[-1]
    panels = [
        Panel("Backlog", "", _lines(samples, last.backlog, lambda one: one.backlog)),
        Panel(
            "Placed to recorded for both versions",
            "ms",
            _lines(samples, last.latencies_ms, lambda one: one.latencies_ms),
        ),
        Panel("Memory (PSS)", "MB", _lines(samples, last.memory_mb, lambda one: one.memory_mb)),
        Panel("Processor", "cores", _lines(samples, last.cores, lambda one: one.cores)),
        Panel("Page heap after collecting", "MB", {"page": _bridged(samples)}),
        Panel("Database", "MB", {"on disk": [one.database_mb for one in samples]}),
    ]
    minutes = [one.at_s / 60 for one in samples]
    return plot(minutes, panels, title=f"{rate:.0f} orders a second, {last.orders:,} orders")


def _lines(
    samples: Sequence[Sample],
    names: Mapping[str, object],
    of: Callable[[Sample], Mapping[str, float | None]],
) -> dict[str, list[float | None]]:
    return {name: [of(one).get(name) for one in samples] for name in names}


def _bridged(samples: Sequence[Sample]) -> list[float | None]:
    """The heap, which is looked at less often: as it was when it was last looked at."""
    found: list[float | None] = []
    for one in samples:
        found.append(one.heap_mb if one.heap_mb is not None else found[-1] if found else None)
    return found
