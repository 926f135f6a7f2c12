"""Tells the broker what became of orders: gathered, confirmed, and only then acknowledged."""

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

#: Events that one message carries at most.
GATHER_MOST = 100
#: How long an event waits for others to go with: a customer waits for the control's, and nobody
#: for a dark version's.
GATHER_S, DARK_GATHER_S = 0.005, 0.015


class Report(msgspec.Struct, frozen=True):
    """One event, written, and the delivery that is done with once it is confirmed."""

    kind: EventKind
    encoded: bytes
    delivery: Delivery | None


class Reporter:
    """Gathers reports into messages of one session."""

    def __init__(
        self, broker: Broker, deliveries: Deliveries, routing_key: str, *, gather_s: float
    ) -> None:
        self._broker = broker
        self._deliveries = deliveries
        self._routing_key = routing_key
        self._gather_s = gather_s
        self._waiting: deque[Report] = deque()
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def add(self, report: Report) -> None:
        """Have an event told as soon as possible."""
        self._waiting.append(report)
        self._quiet.clear()
        self._some.set()
        if len(self._waiting) >= GATHER_MOST:
            self._enough.set()

    async def publish(self, report: Report) -> None:
        """Publish an event by itself, and wait for the confirm; raises BrokerError."""
        await self._tell([report])

    async def run(self) -> None:
        """Tell what is added, until cancelled; raises BrokerError when it is not taken."""
        while True:
            await self._some.wait()
            try:
                async with asyncio.timeout(self._gather_s):
                    await self._enough.wait()
            except TimeoutError:
                pass
            while await self._tell(self._gathered()) and len(self._waiting) >= GATHER_MOST:
                pass
            self._enough.clear()
            if not self._waiting:
                self._some.clear()
                self._quiet.set()

    async def wait_until_told(self) -> None:
        """Wait until all that was added is confirmed and acknowledged."""
        await self._quiet.wait()

    async def _tell(self, reports: Sequence[Report]) -> bool:
        if not reports:
            return False
        several = len(reports) > 1
        message = Outgoing(
            exchange=KITCHEN_EVENTS,
            routing_key=self._routing_key,
            body=join_events([report.encoded for report in reports]),
            type=ORDER_EVENTS if several else f"order.{reports[0].kind}",
            persistent=any(report.kind is not EventKind.RECEIVED for report in reports),
        )
        await publish_all(self._broker, [message])
        done = [report.delivery for report in reports if report.delivery is not None]
        if done:
            await self._deliveries.ack(done)
        return True

    def _gathered(self) -> list[Report]:
        """The oldest reports that go into one message."""
        gathered: list[Report] = []
        size = 2
        while self._waiting and len(gathered) < GATHER_MOST:
            size += len(self._waiting[0].encoded) + 1
            if gathered and size > MAX_EVENTS_BYTES:
                break
            gathered.append(self._waiting.popleft())
        return gathered
