"""P2: the observer alone on a backlog of events, beside a consumer that only counts messages.

Each order's own message is among them; it counts as no event.

The observer runs and is idle; it is halted while the backlog is published, and the clock runs from
when it goes on until the database holds the end of every order of both versions. So its start is
not measured, and it begins before a full queue.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from aio_pika.abc import AbstractChannel

from bench.events import EVENTS_PER_ORDER, ROLES, publish, reported
from bench.figures import BEFORE, FLOOR, PRODUCT, Bound, Figure, at_least
from bench.floors import counted_s
from bench.processes import used_s
from bench.rig import Engine, Product, Rig
from kitchen_worker.contract.topology import KITCHEN_EVENTS, ORDERS_COPIES

_GATHERED = 100
_WARM_UP = 100
_COPIES = "bench.copies"


@dataclass
class _Shape:
    """How many events a message has, and what was measured: events/s and microseconds per event."""

    gathered: int
    orders: int
    bound: Bound
    seen: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    costs_us: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def measure(rig: Rig) -> Iterator[Figure]:
    """Both shapes of messages on both databases; a quick run has time for one."""
    engines: tuple[Engine, ...] = ("sqlite",) if rig.quick else ("sqlite", "postgresql")
    for engine in engines:
        yield from _on(rig, engine)


def _on(rig: Rig, engine: Engine) -> Iterator[Figure]:
    many, more = (300, 800) if rig.quick else (1000, 2500)
    shapes = (
        _Shape(1, many, at_least(0.7)),
        _Shape(_GATHERED, more, at_least(25_000, absolute=True)),
    )
    # Orders count for the verdict almost from the first on.
    settings = {"DEADLINE_SECONDS": "30", "BLOCK_SECONDS": "1", "WARM_UP_SECONDS": "1"}
    with rig.products(engine=engine, **settings) as products:
        for product in products:
            product.open(site=False)
            product.on_channel(partial(_bind_copies, product))
            _measure(product, _Shape(1, _WARM_UP, shapes[0].bound))
        for _ in rig.rounds:
            for shape in shapes:
                for product in products:
                    _measure(product, shape)
    for shape in shapes:
        yield _figure(shape, engine)


def _measure(product: Product, shape: _Shape) -> None:
    """One round: floor and product on the same messages."""
    messages = reported(product, shape.orders, gathered=shape.gathered)
    events, ends = EVENTS_PER_ORDER * shape.orders, product.ends() + len(ROLES) * shape.orders
    pid = product.pids()["observer"]
    os.kill(pid, signal.SIGSTOP)
    try:
        publish(product, messages)
        floor_s, floor_used_s = counted_s(product.amqp_url, _COPIES, len(messages))
        used, began = used_s(pid), time.perf_counter()
    finally:
        os.kill(pid, signal.SIGCONT)
    product.wait_for_ends(ends)
    took_s = time.perf_counter() - began
    shape.seen[product.label].append(events / took_s)
    shape.costs_us[product.label].append((used_s(pid) - used) / events * 1e6)
    if product.label == PRODUCT:
        shape.seen[FLOOR].append(events / floor_s)
        shape.costs_us[FLOOR].append(floor_used_s / events * 1e6)


async def _bind_copies(product: Product, channel: AbstractChannel) -> None:
    """A queue that gets what the observer gets, for the floor."""
    queue = await channel.declare_queue(_COPIES, durable=True)
    await queue.bind(KITCHEN_EVENTS, "#")
    if not product.is_former:
        await queue.bind(ORDERS_COPIES)


def _figure(shape: _Shape, engine: str) -> Figure:
    costs = ", ".join(
        f"{label} {statistics.median(shape.costs_us[label]):.1f} µs"
        for label in (FLOOR, BEFORE, PRODUCT)
        if label in shape.costs_us
    )
    return Figure(
        goal="P2",
        what=f"observer alone, events per message: {shape.gathered}, {engine}",
        unit="events/s",
        seen=shape.seen,
        floor_is="aio-pika that counts, one acknowledgement for 50 messages",
        bound=shape.bound,
        note=f"Backlogs of {shape.orders * EVENTS_PER_ORDER:,}. Processor time per event: {costs}.",
    )
