"""Waits in tests: for a condition, with a deadline, and never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kitchen_worker.amqp.broker import Broker, Delivery
from kitchen_worker.amqp.connection import RabbitBroker, connect
from kitchen_worker.contract.topology import Topology

DEADLINE_S = 60.0


async def until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until ``condition`` holds."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited {deadline_s} s in vain until {what}"
        await asyncio.sleep(0.005)


async def taken(broker: Broker, queue: str, count: int) -> list[Delivery]:
    """The next ``count`` messages of a queue, acknowledged."""
    deliveries = await broker.consume(queue, prefetch=count)
    found: list[Delivery] = []
    while len(found) < count:
        batch = await deliveries.batch(at_most=count - len(found), gather_s=0.01, wait_s=DEADLINE_S)
        assert batch, f"{queue} gave {len(found)} messages, not {count}"
        await deliveries.ack(batch)
        found += batch
    await deliveries.cancel()
    return found


@asynccontextmanager
async def fresh_rabbit(url: str, *topologies: Topology) -> AsyncIterator[RabbitBroker]:
    """A session with a real broker on which nothing of these topologies stands before or after."""
    whole = sum(topologies, Topology())
    async with connect(url, "test") as broker:
        await _removed(broker, whole)
        try:
            yield broker
        finally:
            await _removed(broker, whole)


async def _removed(broker: RabbitBroker, topology: Topology) -> None:
    channel = await broker._consuming.channel()
    for queue in topology.queues:
        await channel.queue_delete(queue.name)
    for exchange in topology.exchanges:
        await channel.exchange_delete(exchange.name)
    await channel.close()
