"""The deliveries of one queue, as the library's lower half hands them over."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from kitchen_worker.contract.losses import loss_as_broker_lost
from kitchen_worker.contract.wire import BrokerLost, Delivery

_CANCEL_TIMEOUT_S = 20.0


class RabbitDeliveries:
    """The deliveries of one queue on a channel of their own."""

    def __init__(self, channel: AbstractChannel, queue: str, lost: asyncio.Future[str]) -> None:
        self._channel = channel
        self._queue = queue
        self._lost = lost
        self._waiting: deque[Delivery] = deque()
        #: Set while somebody waits for the next delivery.
        self._arrived: asyncio.Future[None] | None = None
        #: Tags that were delivered and not acknowledged, lowest first.
        self._unacked: deque[int] = deque()
        self._consumer_tag: str | None = None

    async def start(self, prefetch: int) -> None:
        """Begin to take deliveries, at most ``prefetch`` of them unacknowledged."""
        await self._channel.basic_qos(prefetch_count=prefetch)
        self._channel.on_consumer_cancel_callbacks.add(self._on_cancelled_by_broker)
        consuming = await self._channel.basic_consume(self._queue, self._on_message)
        self._consumer_tag = consuming.consumer_tag

    async def batch(self, *, at_most: int, gather_s: float, wait_s: float) -> list[Delivery]:
        """See Deliveries.batch."""
        if not self._waiting and not await self._next(wait_s):
            return []
        taken: list[Delivery] = []
        deadline = asyncio.get_running_loop().time() + gather_s
        while len(taken) < at_most:
            if self._waiting:
                taken.append(self._waiting.popleft())
                continue
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0 or not await self._next(remaining):
                break
        return taken

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See Deliveries.ack."""
        done = {delivery.tag for delivery in deliveries}
        up_to = 0
        while self._unacked and self._unacked[0] in done:
            up_to = self._unacked.popleft()
        with loss_as_broker_lost():
            if up_to:
                await self._channel.basic_ack(up_to, multiple=True, wait=False)
            for tag in sorted(tag for tag in done if tag > up_to):
                self._unacked.remove(tag)
                await self._channel.basic_ack(tag, wait=False)

    async def cancel(self) -> None:
        """See Deliveries.cancel."""
        if self._consumer_tag is not None:
            tag, self._consumer_tag = self._consumer_tag, None
            with loss_as_broker_lost():
                await self._channel.basic_cancel(tag, timeout=_CANCEL_TIMEOUT_S)

    async def _next(self, wait_s: float) -> bool:
        """Wait for a delivery; raises BrokerLost when none can come."""
        self._arrived = asyncio.get_running_loop().create_future()
        either: set[asyncio.Future[Any]] = {self._arrived, self._lost}
        try:
            await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._arrived = None
        if self._waiting:
            return True
        if self._lost.done():
            raise BrokerLost(self._lost.result())
        return False

    async def _on_message(self, message: DeliveredMessage) -> None:
        properties, tag = message.header.properties, message.delivery_tag or 0
        self._unacked.append(tag)
        self._waiting.append(
            Delivery(
                tag=tag,
                queue=self._queue,
                body=message.body,
                routing_key=message.routing_key or "",
                message_id=properties.message_id,
                headers=properties.headers or {},
                redelivered=bool(message.redelivered),
            )
        )
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _on_cancelled_by_broker(self, _frame: Any) -> None:
        if not self._lost.done():
            self._lost.set_result(f"the queue {self._queue} went away")
