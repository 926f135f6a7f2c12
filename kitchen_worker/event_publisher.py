"""Publishes a kitchen's events in bundles; acknowledges the orders once they are confirmed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec

from kitchen_worker.amqp.broker import Broker, Deliveries, Delivery, Outgoing, publish_all
from kitchen_worker.contract.messages import (
    MAX_EVENTS_BYTES,
    ORDER_EVENTS,
    EventKind,
    join_events,
)
from kitchen_worker.contract.topology import KITCHEN_EVENTS

#: Maximum number of events in a message.
MAX_EVENTS = 100
#: How long an event waits for others to share its message; shorter for the control, because
#: customers wait for its answers.
GATHER_S, DARK_GATHER_S = 0.005, 0.015


class EncodedEvent(msgspec.Struct, frozen=True):
    """An encoded event, and the delivery to acknowledge once it is confirmed."""

    kind: EventKind
    encoded: bytes
    delivery: Delivery | None


class EventPublisher:
    """Bundles the events of one session into messages."""

    def __init__(
        self, broker: Broker, deliveries: Deliveries, routing_key: str, *, gather_s: float
    ) -> None:
        self._broker = broker
        self._deliveries = deliveries
        self._routing_key = routing_key
        self._gather_s = gather_s
        self._waiting: deque[EncodedEvent] = deque()
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def add(self, event: EncodedEvent) -> None:
        """Queue an event to be published soon."""
        self._waiting.append(event)
        self._quiet.clear()
        self._some.set()
        if len(self._waiting) >= MAX_EVENTS:
            self._enough.set()

    async def publish(self, event: EncodedEvent) -> None:
        """Publish one event alone and wait for the confirm; raises BrokerError."""
        await self._publish([event])

    async def run(self) -> None:
        """Publish queued events until cancelled; raises BrokerError."""
        while True:
            await self._some.wait()
            try:
                async with asyncio.timeout(self._gather_s):
                    await self._enough.wait()
            except TimeoutError:
                pass
            while await self._publish(self._gathered()) and len(self._waiting) >= MAX_EVENTS:
                pass
            self._enough.clear()
            if not self._waiting:
                self._some.clear()
                self._quiet.set()

    async def wait_until_published(self) -> None:
        """Wait until everything added is confirmed and acknowledged."""
        await self._quiet.wait()

    async def _publish(self, events: Sequence[EncodedEvent]) -> bool:
        if not events:
            return False
        several = len(events) > 1
        message = Outgoing(
            exchange=KITCHEN_EVENTS,
            routing_key=self._routing_key,
            body=join_events([event.encoded for event in events]),
            type=ORDER_EVENTS if several else f"order.{events[0].kind}",
            persistent=any(event.kind is not EventKind.RECEIVED for event in events),
        )
        await publish_all(self._broker, [message])
        done = [event.delivery for event in events if event.delivery is not None]
        if done:
            await self._deliveries.ack(done)
        return True

    def _gathered(self) -> list[EncodedEvent]:
        """The oldest events, as many as fit into one message."""
        gathered: list[EncodedEvent] = []
        size = 2
        while self._waiting and len(gathered) < MAX_EVENTS:
            size += len(self._waiting[0].encoded) + 1
            if gathered and size > MAX_EVENTS_BYTES:
                break
            gathered.append(self._waiting.popleft())
        return gathered
