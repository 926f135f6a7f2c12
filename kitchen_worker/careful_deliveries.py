"""Takes a kitchen's orders one at a time while redelivered ones come, then many at once."""

from __future__ import annotations

from collections.abc import Sequence

from kitchen_worker.amqp.broker import Broker, Deliveries, Delivery

#: An order that was redelivered this often may be the one that crashes the process. Once may be
#: chance: a killed process gets its whole prefetch back, and customers wait for those orders.
SUSPECT_AFTER = 2
#: How long the queue must be empty before no order is suspect.
_MOMENT_S = 0.2


class CarefulDeliveries:
    """The deliveries of one queue, with a prefetch of 1 at first.

    An order that crashes the process takes all orders with it that the process holds, and a quorum
    queue dead-letters what it has delivered too often. So a suspect order is held alone.
    """

    def __init__(self, deliveries: Deliveries, *, prefetch: int) -> None:
        self._deliveries = deliveries
        self._prefetch = prefetch
        self._is_careful = True
        #: Number of unacknowledged deliveries.
        self._held = 0

    @classmethod
    async def of(cls, broker: Broker, queue: str, *, prefetch: int) -> CarefulDeliveries:
        """Start to consume; raises BrokerLost."""
        return cls(await broker.consume(queue, prefetch=1), prefetch=prefetch)

    async def batch(self, *, at_most: int, gather_s: float, wait_s: float) -> list[Delivery]:
        was_idle = not self._held
        if self._is_careful:
            at_most, gather_s, wait_s = 1, 0.0, min(wait_s, _MOMENT_S)
        taken = await self._deliveries.batch(at_most=at_most, gather_s=gather_s, wait_s=wait_s)
        self._held += len(taken)
        if self._is_careful and (not _is_suspect(taken[0]) if taken else was_idle):
            self._is_careful = False
            await self._deliveries.set_prefetch(self._prefetch)
        return taken

    async def set_prefetch(self, prefetch: int) -> None:
        """Takes effect once no order is suspect."""
        self._prefetch = prefetch
        if not self._is_careful:
            await self._deliveries.set_prefetch(prefetch)

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._held -= len(deliveries)
        await self._deliveries.ack(deliveries)

    async def cancel(self) -> None:
        await self._deliveries.cancel()


def _is_suspect(delivery: Delivery) -> bool:
    count = delivery.headers.get("x-delivery-count")
    return isinstance(count, int) and count >= SUSPECT_AFTER
