"""``python -m bench.soak``: the whole product under load for long, with a browser on the board.

It measures what the product keeps up with, then places orders at a share of that, and looks every
few seconds whether backlog, latency and memory stay flat. What it saw is kept as JSON and drawn.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from aio_pika.abc import AbstractChannel
from matplotlib.figure import Figure

from bench.browser import PageLoad, chromium, open_board
from bench.processes import machine, pss_mb
from bench.rig import CONTROL, Product, Rig, kept, since
from kitchen_worker.contract.topology import ANSWERS_QUEUE, STREAM_QUEUE, kitchen_queue

_CANDIDATE = "vnext"
_EVERY_S = 5.0
#: Collecting the page's garbage takes time of its own: so many samples share one look at its heap.
_HEAP_EVERY = 6
#: Minutes after which there are samples enough of everything.
_SHORTEST = 2.0
_DRAINED, _OVERLOADED_S = 4000, 20.0
_MB = 1e6

BACKLOG, LATENCY, MEMORY = "Backlog, messages", "Placed to recorded for both, ms", "Memory, MB"
CORES, HEAP, DISK = "Processor, cores", "Page heap after collecting, MB", "Database, MB"
#: By how much a line may rise over the whole time, as a part of its level, and in any case.
_LIMITS = {LATENCY: (0.2, 30.0), MEMORY: (0.05, 2.0), HEAP: (0.05, 1.0)}
#: Seconds of orders that may wait more at the end than at the beginning.
_BACKLOG_S = 1.0

_PAIRS = (
    "select o.id, c.judged_at, o.placed_at from dashboard_observation c"
    " join dashboard_observedorder o on o.id = c.order_id"
    " where c.judged_at is not null and o.id > ? order by o.id"
)
_LAST_PAIR = (
    "select coalesce(max(order_id), 0) from dashboard_observation where judged_at is not null"
)


@dataclass(frozen=True)
class SoakSample:
    """How things were at a moment: by panel of the picture, then by line."""

    at_s: float
    orders: int
    panels: Mapping[str, Mapping[str, float]]


class Sampler:
    """Takes one sample after the other of a product on SQLite, and of a page with its board."""

    def __init__(self, product: Product, load: PageLoad) -> None:
        self._product = product
        self._load = load
        self._queues = (STREAM_QUEUE, ANSWERS_QUEUE, *map(kitchen_queue, (CONTROL, _CANDIDATE)))
        self._database = Path(product.database_url.removeprefix("sqlite:///"))
        self._began = self._last = time.monotonic()
        self._used = self._used_s()
        self._pair = product.number(_LAST_PAIR)

    def sample(self, *, heap: bool) -> SoakSample:
        """One sample, now; ``heap``: with a look at the page's."""
        now, used = time.monotonic(), self._used_s()
        elapsed, self._last, before, self._used = now - self._last, now, self._used, used
        files = self._database.parent.glob(f"{self._database.stem}*")
        panels = {
            BACKLOG: self._product.on_channel(self._depths),
            LATENCY: self._latencies_ms(),
            MEMORY: {name: pss_mb(pid) for name, pid in self._product.pids().items()},
            CORES: {name: one / elapsed for name, one in since(before, used).items()},
            HEAP: {"page": self._load.heap_mb()} if heap else {},
            DISK: {"on disk": sum(file.stat().st_size for file in files) / _MB},
        }
        return SoakSample(now - self._began, self._product.newest(), panels)

    def _used_s(self) -> dict[str, float]:
        times = psutil.cpu_times()
        return {
            **self._product.used_s(),
            "browser's page": self._load.used_s(),
            # What makes everything slow, and is no process's of these.
            "waiting for the disk": times.iowait,
            "taken by the host": times.steal,
        }

    async def _depths(self, channel: AbstractChannel) -> dict[str, float]:
        depths: dict[str, float] = {"outbox": self._product.unsent()}
        for name in self._queues:
            queue = await channel.declare_queue(name, passive=True)
            depths[name] = queue.declaration_result.message_count or 0
        return depths

    def _latencies_ms(self) -> dict[str, float]:
        """How long orders took from being placed until both versions' ends were recorded."""
        pairs = self._product.query(_PAIRS, self._pair)
        if len(pairs) < 2:
            return {}
        self._pair = pairs[-1][0]
        waits_ms = [
            1000 * (datetime.fromisoformat(late) - datetime.fromisoformat(early)).total_seconds()
            for _, late, early in pairs
        ]
        cuts = statistics.quantiles(waits_ms, n=100, method="inclusive")
        return {"p50": cuts[49], "p99": cuts[98]}


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


def trend(values: Sequence[float], *, part: float, least: float = 0.0) -> Trend:
    """The trend of a series that may rise by this part of its level over the whole time, or by
    ``least`` in any case: between the medians of the first and the last third, which wild points
    hardly move."""
    settled = values[len(values) // 10 :]
    if len(settled) < 3:
        raise ValueError("three points are needed after the warm-up")
    third, level = len(settled) // 3, statistics.median(settled)
    # From the middle of the first third to that of the last are two thirds of the time.
    rise = 1.5 * (statistics.median(settled[-third:]) - statistics.median(settled[:third]))
    return Trend(level=level, rise=rise, allowed=max(least, part * abs(level)))


def trends(samples: Sequence[SoakSample], *, rate: float) -> dict[str, Trend]:
    """What is to stay flat, by panel and line; the backlog as a whole."""
    whole = [sum(one.panels[BACKLOG].values()) for one in samples]
    found = {BACKLOG: trend(whole, part=0.0, least=_BACKLOG_S * rate)}
    for panel, (part, least) in _LIMITS.items():
        for line, points in lines(samples, panel).items():
            values = [value for _, value in points]
            found[f"{panel}: {line}"] = trend(values, part=part, least=least)
    return found


def lines(samples: Sequence[SoakSample], panel: str) -> dict[str, list[tuple[float, float]]]:
    """The points of each line of a panel: seconds and value."""
    found: dict[str, list[tuple[float, float]]] = {}
    for one in samples:
        for line, value in one.panels.get(panel, {}).items():
            found.setdefault(line, []).append((one.at_s, value))
    return found


def draw(samples: Sequence[SoakSample], *, rate: float, file: Path) -> None:
    """The picture: a panel for each thing that was looked at."""
    picture, panels = Figure(figsize=(10, 13), layout="constrained"), list(samples[0].panels)
    axes = picture.subplots(len(panels), sharex=True)
    for axis, panel in zip(axes, panels, strict=True):
        for line, points in lines(samples, panel).items():
            axis.plot([at / 60 for at, _ in points], [one for _, one in points], label=line, lw=1)
        axis.set_title(panel, loc="left", fontsize=10)
        axis.set_ylim(0, 1.05 * axis.dataLim.ymax or 1)
        axis.grid(alpha=0.3)
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    axes[-1].set_xlabel("minutes")
    picture.suptitle(f"{rate:.0f} orders a second, {samples[-1].orders:,} orders")
    picture.savefig(file)


def soak(rig: Rig, *, seconds: float, share: float) -> tuple[float, list[SoakSample]]:
    """Orders a second that were placed, and all samples."""
    with rig.product(MINUTE_MS="1") as product, chromium() as browser:
        product.open(CONTROL, _CANDIDATE)
        with open_board(browser, product.url) as page:
            rate = share * product.sustained(seconds=_OVERLOADED_S, orders=_DRAINED)
            product.rush(rate, seconds + 60)  # it is stopped before its end
            load = PageLoad.of(browser, page)
            sampler, samples, began = Sampler(product, load), list[SoakSample](), time.monotonic()
            for number in range(round(seconds / _EVERY_S)):
                wait_s = began + (number + 1) * _EVERY_S - time.monotonic()
                page.wait_for_timeout(max(0.0, wait_s) * 1000)
                samples.append(sampler.sample(heap=not number % _HEAP_EVERY))
            product.stop_rush()
            return rate, samples


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, print and write the results; returns 1 if something wasn't flat."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--share", type=float, default=0.7, help="of the maximum (0.7)")
    options = parser.parse_args(argv)
    if options.minutes < _SHORTEST:
        parser.error(f"--minutes: no trend is told from less than {_SHORTEST:g}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    about = machine()
    with (
        TemporaryDirectory(prefix="soak-", dir=kept(), ignore_cleanup_errors=True) as folder,
        Rig(Path(folder)) as rig,
    ):
        rate, samples = soak(rig, seconds=options.minutes * 60, share=options.share)
    print(f"{rate:.0f} orders/s, {options.share:.0%} of what was kept up with before;")
    print(f"{samples[0].orders:,} orders at the first sample, {samples[-1].orders:,} at the last:")
    found = trends(samples, rate=rate)
    for name, one in found.items():
        verdict = "flat" if one.is_flat else "NOT FLAT"
        change = f"rose by {one.rise:.2f} of {one.level:.2f}, and may by {one.allowed:.2f}"
        print(f"- {name}: {verdict}; {change}")
    draw(samples, rate=rate, file=kept() / "soak.svg")
    document = {
        "machine": about,
        "rate": rate,
        "trends": {name: asdict(one) | {"flat": one.is_flat} for name, one in found.items()},
        "samples": [asdict(one) for one in samples],
    }
    (kept() / "soak.json").write_text(json.dumps(document, indent=1))
    return 0 if all(one.is_flat for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
