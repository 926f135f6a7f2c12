"""The batched skeleton: what the product does with messages, and nothing else of what it does.

A publisher with pipelined confirms posts orders of 400 bytes to a fanout exchange; two workers
each confirm an event an order, gathered for at most 5 ms or 100 of them in one message, and
acknowledge what they have told; an observer counts. All of it aio-pika, durable and persistent,
each in a process of its own: ``python -m bench.floors.skeleton ROLE URL ORDERS``. A role says
"ready" once it listens; the observer, which makes the queues, is the first to start. Publisher and
observer say when they begin and end, by the monotonic clock.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractMessage

ORDERS, EVENTS = "orders", "events"
WORKERS = ("worker-1", "worker-2")
WINDOW = 500
PREFETCH = 500
MOST, GATHER_S = 100, 0.005
_ORDER = b'{"id":"8b1f9c1e-7f0e-4a53-9f5e-1f0c6a0c2d11","number":%07d,"note":"%s"}'
_EVENT = b'{"kind":"handled","order":"8b1f9c1e-7f0e-4a53-9f5e-1f0c6a0c2d11","result":"%s"}' % (
    b"x" * 320
)


async def publish(channel: AbstractChannel, orders: int) -> None:
    """Post orders, with at most WINDOW of them unconfirmed."""
    exchange = await channel.get_exchange(ORDERS, ensure=False)
    window = asyncio.Semaphore(WINDOW)

    async def post(number: int) -> None:
        await exchange.publish(_persistent(_ORDER % (number, b"x" * 330)), routing_key="")
        window.release()

    async with asyncio.TaskGroup() as posting:
        for number in range(orders):
            await window.acquire()
            posting.create_task(post(number))


async def work(channel: AbstractChannel, name: str, orders: int) -> None:
    """Tell an event for each order, gathered; acknowledge those that were told."""
    held: list[AbstractIncomingMessage] = []
    some, enough = asyncio.Event(), asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        held.append(message)
        some.set()
        if len(held) >= MOST:
            enough.set()

    await _consume(channel, name, take)
    told = 0
    while told < orders:
        await some.wait()
        if len(held) < MOST:
            with suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), GATHER_S)
        batch, held[:] = held[:MOST], held[MOST:]
        if not held:
            some.clear()
        if len(held) < MOST:
            enough.clear()
        body = b"\n".join([_EVENT] * len(batch))
        await channel.default_exchange.publish(_persistent(body), routing_key=EVENTS)
        await batch[-1].ack(multiple=True)
        told += len(batch)


async def observe(channel: AbstractChannel, orders: int) -> None:
    """Count what the workers told."""
    wanted, counted, done = len(WORKERS) * orders, 0, asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        nonlocal counted
        counted += message.body.count(b"\n") + 1
        await message.ack()
        if counted >= wanted:
            done.set()

    await _declare(channel)
    await _consume(channel, EVENTS, take)
    await done.wait()


async def _consume(
    channel: AbstractChannel, queue: str, take: Callable[[AbstractIncomingMessage], Awaitable[None]]
) -> None:
    await channel.set_qos(prefetch_count=PREFETCH)
    await (await channel.get_queue(queue, ensure=False)).consume(take)
    print("ready", flush=True)


async def _declare(channel: AbstractChannel) -> None:
    """Make the exchange and the queues, all durable."""
    exchange = await channel.declare_exchange(ORDERS, aio_pika.ExchangeType.FANOUT, durable=True)
    await channel.declare_queue(EVENTS, durable=True)
    for name in WORKERS:
        await (await channel.declare_queue(name, durable=True)).bind(exchange)


def _persistent(body: bytes) -> AbstractMessage:
    return aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)


async def main(role: str, url: str, orders: int) -> None:
    """Play one role until it is done."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        if role == "publisher":
            print("ready", flush=True)
            print(time.monotonic(), flush=True)
            await publish(channel, orders)
        elif role == "observer":
            await observe(channel, orders)
            print(time.monotonic(), flush=True)
        else:
            await work(channel, role, orders)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
