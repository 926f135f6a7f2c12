"""Consumes one queue and acknowledges its deliveries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from kitchen_worker.amqp.broker import BrokerLost, Delivery
from kitchen_worker.amqp.errors import as_broker_lost

_TIMEOUT_S = 20.0
#: After this long without a delivery, consume again: RabbitMQ 3.10 may delete a quorum queue in a
#: cluster without notifying its consumers, which would get nothing from the new one.
QUIET_S = 10.0


class RabbitDeliveries:
    """The deliveries of one queue, on a channel of their own."""

    def __init__(
        self,
        channel: AbstractChannel,
        queue: str,
        lost: asyncio.Future[str],
        *,
        single_active: bool = False,
    ) -> None:
        self._channel = channel
        self._queue = queue
        self._lost = lost
        self._single_active = single_active
        self._waiting: deque[Delivery] = deque()
        #: Set while a call waits for the next delivery.
        self._arrived: asyncio.Future[None] | None = None
        #: Unacknowledged tags, lowest first.
        self._unacked: deque[int] = deque()
        #: Held while acks are sent: two callers' acks must not overtake each other.
        self._one_ack = asyncio.Lock()
        self._consumer_tag: str | None = None
        self._prefetch = 0
        #: When it started to consume, or got its last delivery.
        self._active_at = 0.0

    async def start(self, prefetch: int) -> None:
        """Start to consume, with at most ``prefetch`` unacknowledged deliveries."""
        self._channel.on_consumer_cancel_callbacks.add(self._on_cancelled_by_broker)
        self._lost.add_done_callback(self._wake)
        await self._consume(prefetch)

    async def set_prefetch(self, prefetch: int) -> None:
        """A consumer's prefetch is fixed, so a new consumer is started on the same channel,
        where held deliveries can still be acknowledged."""
        await self.cancel()
        with as_broker_lost():
            async with asyncio.timeout(_TIMEOUT_S):
                await self._consume(prefetch)

    async def _consume(self, prefetch: int) -> None:
        await self._channel.basic_qos(prefetch_count=prefetch)
        consuming = await self._channel.basic_consume(self._queue, self._arrive)
        self._consumer_tag = consuming.consumer_tag
        self._prefetch = prefetch
        self._active_at = asyncio.get_running_loop().time()

    async def batch(self, *, at_most: int, gather_s: float, wait_s: float) -> list[Delivery]:
        if not self._waiting and not await self._next(wait_s):
            await self._consume_again_if_quiet()
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
        done = {delivery.tag for delivery in deliveries}
        async with self._one_ack:
            self._check()
            with as_broker_lost():
                up_to = 0
                while self._unacked and self._unacked[0] in done:
                    up_to = self._unacked.popleft()
                if up_to:
                    await self._channel.basic_ack(up_to, multiple=True, wait=False)
                for tag in sorted(tag for tag in done if tag > up_to):
                    self._unacked.remove(tag)
                    await self._channel.basic_ack(tag, wait=False)

    async def cancel(self) -> None:
        if self._consumer_tag is not None:
            tag, self._consumer_tag = self._consumer_tag, None
            with as_broker_lost():
                await self._channel.basic_cancel(tag, timeout=_TIMEOUT_S)

    async def _consume_again_if_quiet(self) -> None:
        """Consume again after a quiet time with nothing to acknowledge.

        A single active consumer would lose its turn, so it does this only if the queue has no
        consumers left.
        """
        quiet_s = asyncio.get_running_loop().time() - self._active_at
        if quiet_s <= QUIET_S or self._unacked or self._consumer_tag is None:
            return
        if self._single_active and await self._has_consumers():
            self._active_at = asyncio.get_running_loop().time()
            return
        await self.set_prefetch(self._prefetch)

    async def _has_consumers(self) -> bool:
        with as_broker_lost():
            counts = await self._channel.queue_declare(
                self._queue, passive=True, timeout=_TIMEOUT_S
            )
        return bool(counts.consumer_count)

    async def _next(self, wait_s: float) -> bool:
        """Wait for a delivery; raises BrokerLost when none can come."""
        self._check()
        loop = asyncio.get_running_loop()
        self._arrived = loop.create_future()
        timer = loop.call_later(wait_s, self._wake)
        try:
            await self._arrived
        finally:
            timer.cancel()
            self._arrived = None
        if not self._waiting:
            self._check()
        return bool(self._waiting)

    def _check(self) -> None:
        if self._lost.done():
            raise BrokerLost(self._lost.result())

    def _wake(self, *_: Any) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def _arrive(self, message: DeliveredMessage) -> None:
        properties, tag = message.header.properties, message.delivery_tag or 0
        self._active_at = asyncio.get_running_loop().time()
        self._unacked.append(tag)
        self._waiting.append(
            Delivery(
                tag=tag,
                queue=self._queue,
                body=message.body,
                exchange=message.exchange or "",
                routing_key=message.routing_key or "",
                message_id=properties.message_id,
                headers=properties.headers or {},
                redelivered=bool(message.redelivered),
            )
        )
        self._wake()

    def _on_cancelled_by_broker(self, _frame: Any) -> None:
        if not self._lost.done():
            self._lost.set_result(f"the queue {self._queue} went away")
