"""``python -m bench.floors.count_messages URL QUEUE COUNT``: a consumer that only counts.

aio-pika, one acknowledgement for 50 messages. Prints the seconds from the first message to the last
acknowledgement, and those of its own processor.
"""

from __future__ import annotations

import asyncio
import sys
import time

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

PREFETCH = 1000
ACK_EVERY = 50


async def count(url: str, queue: str, messages: int) -> tuple[float, float]:
    """Take so many messages from a queue; the seconds on the clock and on the processor."""
    counted, began_at, began_cpu = 0, 0.0, 0.0
    done = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        nonlocal counted, began_at, began_cpu
        if not counted:
            began_at, began_cpu = time.perf_counter(), time.process_time()
        counted += 1
        if counted % ACK_EVERY == 0 or counted == messages:
            await message.ack(multiple=True)
        if counted == messages:
            done.set()

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=PREFETCH)
        await (await channel.get_queue(queue, ensure=False)).consume(take)
        await done.wait()
        return time.perf_counter() - began_at, time.process_time() - began_cpu


if __name__ == "__main__":
    print(*asyncio.run(count(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
