"""Orders, and the events of two kitchens about them, published at any rate.

So the observer and the board can be measured at rates that this machine's kitchens couldn't
sustain. Messages are those of docs/asyncapi.yaml, the same for every checkout.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

import aio_pika
import msgspec

from bench.rig import Product, in_a_loop
from kitchen_worker.contract.messages import (
    Event,
    EventKind,
    Failure,
    PlacedOrder,
    Role,
    decode_order,
    encode_event,
    encode_order,
    join_events,
)
from kitchen_worker.contract.topology import (
    KITCHEN_EVENTS,
    LAUNCH_HEADER,
    ORDERS_COPIES,
    SENT_AT_HEADER,
    dark_header,
    events_key,
)
from kitchen_worker.kitchens.shipped import COOKS

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


class Message(NamedTuple):
    exchange: str
    key: str
    body: bytes
    id: str | None = None
    headers: Mapping[str, str] = {}


#: An order, and the id of its launch.
_Placed = tuple[PlacedOrder, str]

_PLACED = "select body, launch_id from {table} where {id} > ? order by id"
#: Table of the messages of orders, and its column of orders; and in earlier checkouts.
_BODIES, _FORMER_BODIES = ("restaurant_order", "id"), ("restaurant_letter", "order_id")
_SENT = "update {table} set sent_at = current_timestamp where sent_at is null returning id"
_DELETED = "delete from restaurant_outboxmessage returning order_id"
#: The board goes by when orders were placed.
_SPREAD = "update restaurant_order set placed_at = {time} where id > ? returning id"
_TIMES = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', ? - (? - id) / ?, 'unixepoch')",
    "postgres": "to_timestamp(?::float8 - (? - id) / ?::float8)",
}


def reported(
    product: Product, orders: int, *, gathered: int = 0, rate: float = 0.0
) -> list[Message]:
    """Place orders, and return the messages in which both kitchens report them.

    ``gathered``: events per message; by default what a kitchen bundles at this rate. ``rate``: the
    rate at which the orders seem to have been placed, up to now.
    """
    before = product.newest()
    product.place(orders)
    table, column = _FORMER_BODIES if product.is_former else _BODIES
    product.query(_SENT.format(table=table))
    if not product.is_former:
        product.query(_DELETED)
    rows = product.query(_PLACED.format(table=table, id=column), before)
    placed = [(decode_order(bytes(body)), str(UUID(str(launch)))) for body, launch in rows]
    if rate:
        placed = _spread(product, placed, rate=rate)
        gathered = gathered or max(1, min(100, round(2 * rate * _TICK_S)))
    due = [one for version in ROLES for one in _messages(version, placed, gathered)]
    if not product.is_former:
        due += [(number - 0.5, _order(*one)) for number, one in enumerate(placed)]
    return [message for _, message in sorted(due, key=itemgetter(0))]


def _order(order: PlacedOrder, launch: str) -> Message:
    """An order as its copy comes to those who watch."""
    headers = {
        LAUNCH_HEADER: launch,
        SENT_AT_HEADER: order.placed_at.isoformat(),
        **{dark_header(one): "1" for one, role in ROLES.items() if role is not Role.CONTROL},
    }
    return Message(ORDERS_COPIES, "", encode_order(order), order.id, headers)


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


def _messages(
    version: str, placed: Sequence[_Placed], gathered: int
) -> Iterator[tuple[float, Message]]:
    """The messages of a version, each with when its last event is due, in orders."""
    rng = random.Random(version)
    due: list[tuple[float, bytes]] = []
    for number, (order, launch) in enumerate(placed):
        received, ended = _events(version, order, launch, rng)
        due += [(number, received), (number + _UNDER_WAY - 0.5, ended)]
    events, key = sorted(due), events_key(ROLES[version], version)
    for start in range(0, len(events), gathered):
        some = events[start : start + gathered]
        body = join_events([event for _, event in some])
        yield some[-1][0], Message(KITCHEN_EVENTS, key, body)


def _events(
    version: str, order: PlacedOrder, launch: str, rng: random.Random
) -> tuple[bytes, bytes]:
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
    """Publish all at once; the observer must have its queue."""
    in_a_loop(_publish(product.amqp_url, messages, 0.0, threading.Event()))


@contextmanager
def publishing(product: Product, messages: Sequence[Message], *, seconds: float) -> Iterator[None]:
    """Publish evenly over so many seconds, while the block runs."""
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
        exchanges = {one: await channel.get_exchange(one) for one, *_ in messages}
        began, sent = time.monotonic(), 0
        while sent < len(messages) and not stop.is_set():
            share = (time.monotonic() - began) / seconds if seconds else 1.0
            due = min(len(messages), round(share * len(messages)), sent + _WINDOW)
            async with asyncio.TaskGroup() as confirms:
                for one in messages[sent:due]:
                    message = aio_pika.Message(
                        one.body,
                        message_id=one.id,
                        headers=dict(one.headers),
                        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    )
                    # The copies of orders are for nobody but the dashboard.
                    published = exchanges[one.exchange].publish(message, one.key, mandatory=False)
                    confirms.create_task(published)
            sent = due
            await asyncio.sleep(_TICK_S if seconds else 0)
