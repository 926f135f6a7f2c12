"""P2: the observer alone on a backlog of events, beside a consumer that only counts them.

The observer runs and is idle; it is halted while the backlog is published, and the clock runs from
when it goes on until the database holds the end of every order of both versions. So neither its
start nor its first connection is counted, and it begins before a queue that is full.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from bench.asking import Ask, asking
from bench.backlog import ROLES, placed_orders, told
from bench.families import used_s
from bench.figures import AtLeast, Bound, Figure, Samples
from bench.rig import Rig
from bench.rounds import left_out, rounds
from bench.servers import Engine
from kitchen_worker.amqp.broker import Outgoing, publish_all
from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract.topology import (
    KITCHEN_EVENTS,
    OBSERVER_QUEUE,
    Binding,
    Queue,
    QueueTypes,
    Topology,
    live,
    observer,
)
from local.settings import ROOT
from local.stack import Stack, StackFailed

SECONDS = 60

#: Events of one order: each version begins it and ends it.
_EVENTS = 2 * len(ROLES)
_GATHERED = 100
#: Orders of the backlog on which the observer warms up.
_WARM_UP = 100
_ENDED = "select coalesce(sum(handled + failed), 0) from dashboard_tally"
_COUNTED = "bench.counted"
_COUNTER = "bench.floors.count_messages"
_TOPOLOGY = (
    live("vlatest", QueueTypes())
    + observer(QueueTypes())
    + Topology(
        queues=(Queue(name=_COUNTED),),
        bindings=(Binding(source=KITCHEN_EVENTS, destination=_COUNTED, routing_key="#"),),
    )
)
_POLL_S, _PATIENCE_S = 0.01, 60.0


@dataclass
class _Shape:
    """How many events go into a message, and what was measured: events a second."""

    gathered: int
    orders: int
    floor: list[float] = field(default_factory=list)
    product: list[float] = field(default_factory=list)
    #: Microseconds of their own processor time for an event, the floor's and the observer's.
    costs_us: list[tuple[float, float]] = field(default_factory=list)


def measure(rig: Rig) -> Iterator[Figure]:
    """Both shapes of messages on both databases; a quick run has time for one."""
    later_s = 0.0 if rig.quick else rig.left() / 2
    yield from _figures(rig, "SQLite", *_on(rig, "sqlite", until_left=later_s))
    if not rig.quick:
        yield from _figures(rig, "PostgreSQL", *_on(rig, "postgresql", until_left=0))


def _on(rig: Rig, engine: Engine, *, until_left: float) -> tuple[_Shape, _Shape]:
    """Round after round, until so many seconds of the goal's time are left."""
    many, more = (300, 800) if rig.quick else (1000, 2500)
    shapes = _Shape(1, many), _Shape(_GATHERED, more)
    url = rig.database(engine)
    # Orders are weighed almost from the first on.
    with (
        rig.stack(
            database=engine, DATABASE_URL=url, BLOCK_SECONDS="1", WARM_UP_SECONDS="1"
        ) as stack,
        asking(url) as ask,
    ):
        asyncio.run(_publish(stack.amqp_url, ()))
        stack.start("observer")
        _measure(stack, ask, _Shape(1, _WARM_UP))
        for _ in rounds(rig, until_left=until_left):
            for shape in shapes:
                _measure(stack, ask, shape)
    return shapes


def _measure(stack: Stack, ask: Ask, shape: _Shape) -> None:
    """One round: floor and product on the same messages."""
    orders = placed_orders(stack, shape.orders, seed=len(shape.floor))
    messages, events = told(orders, gathered=shape.gathered), _EVENTS * len(orders)
    ended = ask(_ENDED) + len(ROLES) * len(orders)
    pid = stack.pids()["observer"]
    os.kill(pid, signal.SIGSTOP)
    try:
        asyncio.run(_publish(stack.amqp_url, messages))
        counted_s, counter_s = _counted_s(stack.amqp_url, len(messages))
        used, began = used_s(pid), time.perf_counter()
    finally:
        os.kill(pid, signal.SIGCONT)
    while ask(_ENDED) < ended:
        if time.perf_counter() - began > _PATIENCE_S:
            raise StackFailed(f"the observer has not recorded {events:,} events in time")
        time.sleep(_POLL_S)
    shape.product.append(events / (time.perf_counter() - began))
    shape.floor.append(events / counted_s)
    shape.costs_us.append((counter_s / events * 1e6, (used_s(pid) - used) / events * 1e6))
    asyncio.run(_check_empty(stack.amqp_url))


def _counted_s(url: str, messages: int) -> tuple[float, float]:
    """Seconds in which the floor has counted so many messages, and those of its processor."""
    command = [sys.executable, "-m", _COUNTER, url, _COUNTED, str(messages)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    clock_s, processor_s = map(float, done.stdout.split())
    return clock_s, processor_s


async def _publish(url: str, messages: Sequence[Outgoing]) -> None:
    """Publish to the queues of both, which stand from then on."""
    async with connect(url, "bench") as broker:
        await broker.declare(_TOPOLOGY)
        await publish_all(broker, messages)


async def _check_empty(url: str) -> None:
    async with connect(url, "bench") as broker:
        if left := await broker.depth(OBSERVER_QUEUE):
            raise StackFailed(f"all is recorded, and {left} messages wait")


def _figures(rig: Rig, database: str, single: _Shape, gathered: _Shape) -> Iterator[Figure]:
    figure = partial(_figure, rig)
    yield figure(single, f"one event a message, {database}", AtLeast(0.7))
    most = f"{_GATHERED} events a message, {database}"
    yield figure(gathered, most, AtLeast(25_000, of="product"))


def _figure(rig: Rig, shape: _Shape, what: str, bound: Bound) -> Figure:
    floor_us, product_us = (
        statistics.median(several) for several in zip(*shape.costs_us, strict=True)
    )
    return Figure(
        goal="P2",
        what=f"observer alone, {what}",
        unit="events/s",
        floor=Samples(tuple(shape.floor)),
        floor_is="aio-pika, one ack for 50 messages, counts them",
        product=Samples(tuple(shape.product)),
        bound=bound,
        note=f"backlog of {shape.orders * _EVENTS:,}; processor time of an event: observer"
        f" {product_us:.1f} us, floor {floor_us:.1f} us{left_out(rig, len(shape.product))}",
    )
