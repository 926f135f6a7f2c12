"""Orders that were placed, and what two kitchens would report of them, published as they would.

So the observer and the board get what they would get at any rate, even where this machine could not
cook so fast. Messages are those of docs/asyncapi.yaml, the same for every checkout.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import aio_pika
import msgspec

from bench.rig import Product, in_a_loop
from kitchen_worker.contract.messages import (
    Event,
    EventKind,
    Failure,
    Order,
    Role,
    decode_order,
    encode_event,
    join_events,
)
from kitchen_worker.contract.topology import KITCHEN_EVENTS, events_key
from kitchen_worker.kitchens.known import COOKS

ROLES = {"vlatest": Role.CONTROL, "vnext": Role.CANDIDATE}
#: Events of one order: each version receives it and ends it.
EVENTS_PER_ORDER = 2 * len(ROLES)
#: Orders that a kitchen has received before it ends the first of them.
_UNDER_WAY = 20
#: Mean and deviation of the logarithm of the milliseconds that a kitchen reports.
_HANDLING = (4.0, 0.8)
_TICK_S = 0.05
_WINDOW = 500
_PATIENCE_S = 20.0

#: Routing key and body.
Message = tuple[str, bytes]
#: An order, and the id of its launch.
_Placed = tuple[Order, str]

_PLACED = "select body, launch_id from restaurant_letter where order_id > ? order by id"
_SENT = (
    "update restaurant_letter set sent_at = current_timestamp where sent_at is null returning id"
)
#: The board goes by when orders were placed.
_SPREAD = "update restaurant_order set placed_at = {time} where id > ? returning id"
_TIMES = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', ? - (? - id) / ?, 'unixepoch')",
    "postgres": "to_timestamp(?::float8 - (? - id) / ?::float8)",
}


def reported(
    product: Product, orders: int, *, gathered: int = 0, rate: float = 0.0
) -> list[Message]:
    """Place orders, and give the messages in which both kitchens report them.

    ``gathered``: events in one message; what a kitchen gathers at this rate if it is not given.
    ``rate``: as if the orders had been placed at it, up to now.
    """
    before = product.newest()
    product.place(orders)
    product.query(_SENT)
    rows = product.query(_PLACED, before)
    placed = [(decode_order(bytes(body)), str(UUID(str(launch)))) for body, launch in rows]
    if rate:
        placed = _spread(product, placed, rate=rate)
        gathered = gathered or max(1, min(100, round(2 * rate * _TICK_S)))
    several = [_messages(version, placed, gathered) for version in ROLES]
    return list(chain.from_iterable(zip(*several, strict=True)))


def _spread(product: Product, placed: Sequence[_Placed], *, rate: float) -> list[_Placed]:
    last, now = product.newest(), time.time()
    spread = _SPREAD.format(time=_TIMES[product.database_url.partition(":")[0]])
    product.query(spread, now, last, rate, last - len(placed))
    times = [
        datetime.fromtimestamp(now - (len(placed) - 1 - number) / rate, UTC)
        for number in range(len(placed))
    ]
    return [
        (msgspec.structs.replace(order, placed_at=at), launch)
        for (order, launch), at in zip(placed, times, strict=True)
    ]


def _messages(version: str, placed: Sequence[_Placed], gathered: int) -> list[Message]:
    rng = random.Random(version)
    due: list[tuple[float, bytes]] = []
    for number, (order, launch) in enumerate(placed):
        received, ended = _events(version, order, launch, rng)
        due += [(number, received), (number + _UNDER_WAY - 0.5, ended)]
    events = [event for _, event in sorted(due)]
    key = events_key(ROLES[version], version)
    return [
        (key, join_events(events[start : start + gathered]))
        for start in range(0, len(events), gathered)
    ]


def _events(version: str, order: Order, launch: str, rng: random.Random) -> tuple[bytes, bytes]:
    received_at, handling_ms = datetime.now(UTC), rng.lognormvariate(*_HANDLING)
    common: dict[str, Any] = {
        "order_id": order.id,
        "launch": launch,
        "version": version,
        "role": ROLES[version],
        "build": "bench",
        "worker": "bench:1",
        "placed_at": order.placed_at,
        "received_at": received_at,
    }
    received = Event(event_id=f"{order.id}/{version}/0", kind=EventKind.RECEIVED, **common)
    result, error = None, None
    try:
        result = COOKS[version](order, rng)
    except ValueError as cause:
        error = Failure(type=type(cause).__name__, message=str(cause))
    ended = Event(
        event_id=f"{order.id}/{version}/1",
        kind=EventKind.FAILED if error else EventKind.HANDLED,
        finished_at=received_at + timedelta(milliseconds=handling_ms),
        queue_ms=1.0,
        handling_ms=handling_ms,
        result=result,
        error=error,
        **common,
    )
    return encode_event(received), encode_event(ended)


def publish(product: Product, messages: Sequence[Message]) -> None:
    """All at once, to a broker where the observer has its queue."""
    in_a_loop(_publish(product.amqp_url, messages, 0.0, threading.Event()))


@contextmanager
def publishing(product: Product, messages: Sequence[Message], *, seconds: float) -> Iterator[None]:
    """Evenly over so many seconds, while the block runs."""
    stop = threading.Event()
    work = _publish(product.amqp_url, messages, seconds, stop)
    thread = threading.Thread(target=lambda: asyncio.run(work))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_PATIENCE_S)


async def _publish(
    url: str, messages: Sequence[Message], seconds: float, stop: threading.Event
) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange(KITCHEN_EVENTS)
        began, sent = time.monotonic(), 0
        while sent < len(messages) and not stop.is_set():
            share = (time.monotonic() - began) / seconds if seconds else 1.0
            due = min(len(messages), round(share * len(messages)), sent + _WINDOW)
            async with asyncio.TaskGroup() as confirms:
                for key, body in messages[sent:due]:
                    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                    confirms.create_task(exchange.publish(message, key))
            sent = due
            await asyncio.sleep(_TICK_S if seconds else 0)
