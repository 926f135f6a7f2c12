"""Samples of a running product, taken from outside: queues, processes, latencies, disk."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bench.families import used_s
from bench.memory import pss_mb
from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract.topology import ANSWERS_QUEUE, OBSERVER_QUEUE, kitchen_queue
from local.stack import Stack

_UNSENT = "select count(*) from restaurant_letter where sent_at is null"
_ORDERS = "select coalesce(max(id), 0) from restaurant_order"
_PAIRS = (
    "select c.id, c.compared_at, o.placed_at from dashboard_comparison c"
    ' join restaurant_order o on o.uuid = c."order" where c.id > ? order by c.id'
)
_LAST_PAIR = "select coalesce(max(id), 0) from dashboard_comparison"
_MB = 1e6
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
#: Of the first line of /proc/stat.
_LOST = {"waiting for the disk": 5, "taken by the host": 8}


@dataclass(frozen=True)
class Sample:
    """How things stood at a moment, and what came about since the one before."""

    at_s: float
    orders: int
    #: Messages by queue, and letters that are not sent.
    backlog: dict[str, int]
    memory_mb: dict[str, float]
    cores: dict[str, float]
    latencies_ms: dict[str, float | None]
    database_mb: float
    heap_mb: float | None = None
    long_tasks_ms: list[float] = field(default_factory=list)


def percentile(values: Iterable[float], percent: int) -> float | None:
    """The value that so many percent do not exceed; None if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else None


class Sampler:
    """Takes one sample after the other of a stack with these versions, on SQLite."""

    def __init__(self, stack: Stack, versions: Sequence[str], *, database: Path) -> None:
        self._stack = stack
        self._queues = (OBSERVER_QUEUE, ANSWERS_QUEUE, *map(kitchen_queue, versions))
        self._database = database
        self._began = self._last = time.monotonic()
        self._used = self._used_s()
        self._pair = stack.number(_LAST_PAIR)

    def sample(self) -> Sample:
        """One sample, now."""
        now, used = time.monotonic(), self._used_s()
        elapsed, self._last, before, self._used = now - self._last, now, self._used, used
        return Sample(
            at_s=now - self._began,
            orders=self._stack.number(_ORDERS),
            backlog=self._backlog(),
            memory_mb={name: pss_mb(pid) for name, pid in self._stack.pids().items()},
            cores={name: (used[name] - before.get(name, used[name])) / elapsed for name in used},
            latencies_ms=self._latencies_ms(),
            database_mb=sum(map(_size, self._files())) / _MB,
        )

    def _files(self) -> Iterator[Path]:
        """The database, and what SQLite keeps beside it."""
        return self._database.parent.glob(f"{self._database.name}*")

    def _used_s(self) -> dict[str, float]:
        ours = {name: used_s(pid) for name, pid in self._stack.pids().items()}
        return ours | {"broker": used_s(os.getpid(), program="beam"), **_lost_s()}

    def _backlog(self) -> dict[str, int]:
        depths = asyncio.run(_depths(self._stack.amqp_url, self._queues))
        return {"letters": self._stack.number(_UNSENT)} | depths

    def _latencies_ms(self) -> dict[str, float | None]:
        """How long orders took from being placed until both versions' ends were recorded."""
        pairs = self._stack.query(_PAIRS, self._pair)
        if pairs:
            self._pair = pairs[-1][0]
        waits_ms = [_ms_between(placed, compared) for _, compared, placed in pairs]
        return {f"p{percent}": percentile(waits_ms, percent) for percent in (50, 99)}


async def _depths(url: str, queues: Iterable[str]) -> dict[str, int]:
    async with connect(url, "soak") as broker:
        return {queue: await broker.depth(queue) for queue in queues}


def _lost_s() -> dict[str, float]:
    """Seconds since the machine began in which its processors waited for the disk, or its host did
    other work: what makes everything slow, and is nobody's of these."""
    times = Path("/proc/stat").read_text().partition("\n")[0].split()
    return {name: int(times[place]) * _TICK_S for name, place in _LOST.items()}


def _ms_between(early: str, late: str) -> float:
    """Between two times as SQLite keeps them."""
    return (datetime.fromisoformat(late) - datetime.fromisoformat(early)).total_seconds() * 1000


def _size(file: Path) -> int:
    return file.stat().st_size
