"""Two callers may acknowledge at once: each tag is acknowledged once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from aiormq.abc import AbstractChannel

from kitchen_worker.amqp.consumer import RabbitDeliveries


class SlowChannel:
    """Writes each acknowledgement a little later than the next: as one that waits for room."""

    def __init__(self, count: int) -> None:
        self.unacked = set(range(1, count + 1))
        self._turns = count

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool = True) -> None:
        self._turns -= 1
        for _ in range(self._turns):
            await asyncio.sleep(0)
        assert tag in self.unacked, f"unknown delivery tag {tag}"
        self.unacked -= set(range(tag + 1)) if multiple else {tag}


async def test_acks_of_several_at_once_are_written_in_the_order_of_their_tags() -> None:
    channel = SlowChannel(12)
    lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    deliveries = RabbitDeliveries(cast(AbstractChannel, channel), "queue", lost)
    for tag in range(1, 13):
        header = SimpleNamespace(properties=SimpleNamespace(message_id=None, headers=None))
        message: Any = SimpleNamespace(
            header=header,
            delivery_tag=tag,
            body=b"",
            exchange="orders",
            routing_key="",
            redelivered=False,
        )
        await deliveries._arrive(message)
    held = await deliveries.batch(at_most=12, gather_s=0, wait_s=0)
    await asyncio.gather(*(deliveries.ack(held[start::3]) for start in (1, 2, 0)))
    assert channel.unacked == set()
