"""Samples of a running product, taken from outside: queues, processes, latencies, disk."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import aio_pika
import psutil

from bench.processes import pss_mb, used_s
from bench.rig import Product
from kitchen_worker.contract.topology import ANSWERS_QUEUE, OBSERVER_QUEUE, kitchen_queue

_UNSENT = "select count(*) from restaurant_letter where sent_at is null"
_PAIRS = (
    "select c.id, c.compared_at, o.placed_at from dashboard_comparison c"
    ' join restaurant_order o on o.uuid = c."order" where c.id > ? order by c.id'
)
_LAST_PAIR = "select coalesce(max(id), 0) from dashboard_comparison"
_MB = 1e6


@dataclass(frozen=True)
class Sample:
    """How things were at a moment, and what came about since the one before."""

    at_s: float
    orders: int
    #: Messages by queue, and those in the outbox that are not sent.
    backlog: dict[str, int]
    memory_mb: dict[str, float]
    cores: dict[str, float]
    latencies_ms: dict[str, float | None]
    database_mb: float
    heap_mb: float | None = None
    long_tasks_ms: list[float] = field(default_factory=list)


class Sampler:
    """Takes one sample after the other of a product with these versions, on SQLite."""

    def __init__(self, product: Product, versions: Sequence[str]) -> None:
        self._product = product
        self._queues = (OBSERVER_QUEUE, ANSWERS_QUEUE, *map(kitchen_queue, versions))
        self._database = Path(product.database_url.removeprefix("sqlite:///"))
        self._began = self._last = time.monotonic()
        self._used = self._used_s()
        self._pair = product.number(_LAST_PAIR)

    def sample(self) -> Sample:
        """One sample, now."""
        now, used = time.monotonic(), self._used_s()
        elapsed, self._last, before, self._used = now - self._last, now, self._used, used
        files = self._database.parent.glob(f"{self._database.name}*")
        return Sample(
            at_s=now - self._began,
            orders=self._product.newest(),
            backlog=asyncio.run(self._backlog()),
            memory_mb={name: pss_mb(pid) for name, pid in self._product.pids().items()},
            cores={name: (used[name] - before.get(name, used[name])) / elapsed for name in used},
            latencies_ms=self._latencies_ms(),
            database_mb=sum(file.stat().st_size for file in files) / _MB,
        )

    def _used_s(self) -> dict[str, float]:
        times = psutil.cpu_times()
        return {
            **{name: used_s(pid) for name, pid in self._product.pids().items()},
            "broker": used_s(os.getpid(), program="beam"),
            # What makes everything slow, and is no process's of these.
            "waiting for the disk": times.iowait,
            "taken by the host": times.steal,
        }

    async def _backlog(self) -> dict[str, int]:
        depths = {"outbox": self._product.number(_UNSENT)}
        async with (
            await aio_pika.connect(self._product.amqp_url) as broker,
            broker.channel() as channel,
        ):
            for name in self._queues:
                queue = await channel.declare_queue(name, passive=True)
                depths[name] = queue.declaration_result.message_count or 0
        return depths

    def _latencies_ms(self) -> dict[str, float | None]:
        """How long orders took from being placed until both versions' ends were recorded."""
        pairs = self._product.query(_PAIRS, self._pair)
        if len(pairs) < 2:
            return {"p50": None, "p99": None}
        self._pair = pairs[-1][0]
        waits_ms = [
            (datetime.fromisoformat(compared) - datetime.fromisoformat(placed)).total_seconds()
            * 1000
            for _, compared, placed in pairs
        ]
        cuts = statistics.quantiles(waits_ms, n=100, method="inclusive")
        return {"p50": cuts[49], "p99": cuts[98]}
