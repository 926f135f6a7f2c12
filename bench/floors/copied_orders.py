"""A queue that gets a copy of every order, and that nobody reads: what the broker does for one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import aio_pika

from kitchen_worker.contract.topology import ORDERS

_COPIES = "bench.copies"


@contextmanager
def copied_orders(url: str) -> Iterator[None]:
    """Copy the orders for the time of the block."""
    asyncio.run(_begin(url))
    try:
        yield
    finally:
        asyncio.run(_end(url))


async def _begin(url: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue(
            _COPIES, durable=True, arguments={"x-max-length": 10_000}
        )
        await queue.bind(ORDERS)


async def _end(url: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.queue_delete(_COPIES)
