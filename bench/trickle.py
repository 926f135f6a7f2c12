"""What kitchens would tell of orders that come at a steady pace, told to the observer's exchange.

So a board gets what it would get at that rate, also where this machine could not cook as fast.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from bench.backlog import placed_orders, told
from kitchen_worker.amqp.broker import Delivery, Outgoing, publish_all
from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract.topology import QueueTypes, live, observer
from local.stack import Stack

#: As a kitchen gathers what it ends within a few milliseconds.
_TICK_S = 0.05
_PATIENCE_S = 20.0
_LAST = "select max(id) from restaurant_order"
_PLACED = (
    "update restaurant_order set placed_at ="
    " strftime('%Y-%m-%d %H:%M:%f', ? - (? - id) / ?, 'unixepoch') where id > ? returning id"
)


def prepared(stack: Stack, orders: int, *, rate: float, seed: int) -> list[Outgoing]:
    """Place orders, and give what both kitchens tell of them, gathered as it is at this rate."""
    gathered = max(1, min(100, round(2 * rate * _TICK_S)))
    placed = _spread(stack, placed_orders(stack, orders, seed=seed), rate=rate)
    return told(placed, gathered=gathered)


def _spread(stack: Stack, placed: Sequence[Delivery], *, rate: float) -> list[Delivery]:
    """The orders as if they had been placed at this rate, on SQLite: the board goes by when orders
    were placed, and lets those pass by whose ends are told."""
    last, now = stack.number(_LAST), time.time()
    stack.query(_PLACED, now, last, rate, last - len(placed))
    return [
        msgspec.structs.replace(
            one, body=_placed_at(one.body, now - (len(placed) - 1 - number) / rate)
        )
        for number, one in enumerate(placed)
    ]


def _placed_at(body: bytes, moment: float) -> bytes:
    order = msgspec.json.decode(body)
    return msgspec.json.encode({**order, "placed_at": datetime.fromtimestamp(moment, UTC)})


def publish_all_now(url: str, messages: Sequence[Outgoing]) -> None:
    """All at once; the observer's queue is there from then on."""
    asyncio.run(_publish(url, messages))


async def _publish(url: str, messages: Sequence[Outgoing]) -> None:
    async with connect(url, "bench") as broker:
        await broker.declare(live("vlatest", QueueTypes()) + observer(QueueTypes()))
        await publish_all(broker, messages)


@contextmanager
def trickling(url: str, messages: Sequence[Outgoing], *, seconds: float) -> Iterator[None]:
    """Publish these messages evenly over so many seconds while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_trickle(url, messages, seconds, stop)))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_PATIENCE_S)


async def _trickle(
    url: str, messages: Sequence[Outgoing], seconds: float, stop: threading.Event
) -> None:
    async with connect(url, "bench") as broker:
        await broker.declare(live("vlatest", QueueTypes()) + observer(QueueTypes()))
        began, sent = time.monotonic(), 0
        while sent < len(messages) and not stop.is_set():
            due = min(len(messages), round((time.monotonic() - began) / seconds * len(messages)))
            await publish_all(broker, messages[sent:due])
            sent = due
            await asyncio.sleep(_TICK_S)
