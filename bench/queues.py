"""Empties queues whose readers were killed."""

from __future__ import annotations

import asyncio

import aio_pika

from local.stack import until


def emptied(url: str, queue: str) -> None:
    """Empty a queue once its reader is gone, so that what that held is back in it."""
    until(lambda: not asyncio.run(_readers(url, queue)), f"nobody reads {queue}")
    asyncio.run(_purge(url, queue))


async def _readers(url: str, queue: str) -> int:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.consumer_count or 0


async def _purge(url: str, queue: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await (await channel.get_queue(queue, ensure=False)).purge()
