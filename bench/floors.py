"""The floors on the broker, all of them plain aio-pika: ``python -m bench.floors ...``.

The batched skeleton does with messages what the product does, and nothing else. A publisher with
pipelined confirms publishes orders of 400 bytes to a fanout exchange; two workers each confirm an
event per order, gathered for at most 5 ms or 100 of them in one message, and acknowledge the orders
of what they have confirmed; an observer counts. Everything is durable and persistent, each role a
process: ``ROLE URL ORDERS``. A role prints "ready" once it listens; the observer, which declares
the queues, starts first. Publisher and observer print when they begin and end, by the monotonic
clock.

``count URL QUEUE MESSAGES`` counts what waits in a queue, with one acknowledgement for 50 messages,
and prints the seconds from the first message to the last acknowledgement, and those of its own
processor.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractMessage

from bench.processes import line, running

ORDERS, EVENTS = "orders", "events"
WORKERS = ("worker-1", "worker-2")
WINDOW = 500
PREFETCH = 500
MOST, GATHER_S = 100, 0.005
ACK_EVERY = 50
_ORDER = b'{"id":"8b1f9c1e-7f0e-4a53-9f5e-1f0c6a0c2d11","number":%07d,"note":"%s"}'
_EVENT = b'{"kind":"handled","order":"8b1f9c1e-7f0e-4a53-9f5e-1f0c6a0c2d11","result":"%s"}' % (
    b"x" * 320
)

_ROLE = (sys.executable, "-m", "bench.floors")

_Take = Callable[[AbstractIncomingMessage], Awaitable[None]]


def skeleton_rate(url: str, orders: int) -> float:
    """Orders a second of the batched skeleton: from the first one published to the last event
    counted."""
    with ExitStack() as open_roles:
        roles = {}
        for role in ("observer", *WORKERS, "publisher"):
            roles[role] = open_roles.enter_context(running(*_ROLE, role, url, str(orders)))
            line(roles[role])
        began, ended = (float(line(roles[role])) for role in ("publisher", "observer"))
    return orders / (ended - began)


def counted_s(url: str, queue: str, messages: int) -> tuple[float, float]:
    """Seconds on the clock and on a processor in which so many messages of a queue are counted."""
    with running(*_ROLE, "count", url, queue, str(messages)) as counting:
        line(counting)
        clock_s, processor_s = map(float, line(counting).split())
    return clock_s, processor_s


async def publish(channel: AbstractChannel, orders: int) -> None:
    exchange = await channel.get_exchange(ORDERS, ensure=False)
    window = asyncio.Semaphore(WINDOW)

    async def publish_one(number: int) -> None:
        await exchange.publish(_persistent(_ORDER % (number, b"x" * 330)), routing_key="")
        window.release()

    print("ready", time.monotonic(), sep="\n", flush=True)
    async with asyncio.TaskGroup() as publishing:
        for number in range(orders):
            await window.acquire()
            publishing.create_task(publish_one(number))


async def work(channel: AbstractChannel, name: str, orders: int) -> None:
    """Publish an event for each order, gathered; acknowledge the orders that have theirs."""
    held: list[AbstractIncomingMessage] = []
    some, enough = asyncio.Event(), asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        held.append(message)
        some.set()
        if len(held) >= MOST:
            enough.set()

    await _consume(channel, name, take)
    done = 0
    while done < orders:
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
        done += len(batch)


async def observe(channel: AbstractChannel, orders: int) -> None:
    left, done = len(WORKERS) * orders, asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        nonlocal left
        left -= message.body.count(b"\n") + 1
        await message.ack()
        if left <= 0:
            done.set()

    exchange = await channel.declare_exchange(ORDERS, aio_pika.ExchangeType.FANOUT, durable=True)
    await channel.declare_queue(EVENTS, durable=True)
    for name in WORKERS:
        await (await channel.declare_queue(name, durable=True)).bind(exchange)
    await _consume(channel, EVENTS, take)
    await done.wait()
    print(time.monotonic(), flush=True)


async def count(channel: AbstractChannel, queue: str, messages: int) -> None:
    counted, clocks = 0, (0.0, 0.0)
    done = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        nonlocal counted, clocks
        clocks = clocks if counted else (time.perf_counter(), time.process_time())
        counted += 1
        if counted % ACK_EVERY == 0 or counted == messages:
            await message.ack(multiple=True)
        if counted == messages:
            done.set()

    await _consume(channel, queue, take, prefetch=2 * PREFETCH)
    await done.wait()
    print(time.perf_counter() - clocks[0], time.process_time() - clocks[1], flush=True)


async def _consume(
    channel: AbstractChannel, queue: str, take: _Take, *, prefetch: int = PREFETCH
) -> None:
    await channel.set_qos(prefetch_count=prefetch)
    await (await channel.get_queue(queue, ensure=False)).consume(take)
    print("ready", flush=True)


def _persistent(body: bytes) -> AbstractMessage:
    return aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)


async def main(role: str, url: str, *rest: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        orders = int(rest[-1])
        if role == "publisher":
            await publish(channel, orders)
        elif role == "observer":
            await observe(channel, orders)
        elif role == "count":
            await count(channel, rest[0], orders)
        else:
            await work(channel, role, orders)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
