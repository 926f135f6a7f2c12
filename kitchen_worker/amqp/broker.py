"""The interface of a broker, and what is exchanged with it.

Errors::

    BrokerError
      BrokerLost      Raised when the connection, a channel or a consumer ended; reconnect.
        DeclareRefused  Raised when the broker refuses a declaration; the session goes on.
      PublishFailed   Raised when a message wasn't accepted: no route, refused, no confirm.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from kitchen_worker.contract.topology import Binding, Topology

logger = logging.getLogger(__name__)


class BrokerError(Exception):
    """Anything that goes wrong between this process and its broker."""


class BrokerLost(BrokerError):
    """Raised when the connection, a channel or a consumer ended; reconnect."""


class DeclareRefused(BrokerLost):
    """Raised when the broker refuses a declaration; if caught, the session can go on.

    ``name`` is the exchange or queue.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name
        self.reason = reason


class PublishFailed(BrokerError):
    """Raised when a message wasn't accepted: no route, refused, or no confirm in time."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to publish. If ``mandatory``, it is a failure that no queue gets it."""

    exchange: str
    body: bytes
    routing_key: str = ""
    type: str | None = None
    message_id: str | None = None
    headers: Mapping[str, Any] = msgspec.field(default_factory=dict)
    persistent: bool = True
    mandatory: bool = True


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message from the broker, to be acknowledged or dead-lettered once.

    ``exchange`` is the exchange it was published to, even if a binding led it to another one. For
    messages that the broker dead-lettered it is the dead-letter exchange; empty means the default
    one.
    """

    tag: int
    queue: str
    body: bytes
    exchange: str = ""
    routing_key: str = ""
    message_id: str | None = None
    headers: Mapping[str, Any] = msgspec.field(default_factory=dict)
    redelivered: bool = False


class Deliveries(Protocol):
    """The deliveries of one queue, at most ``prefetch`` of them unacknowledged."""

    async def batch(self, *, at_most: int, gather_s: float, wait_s: float) -> list[Delivery]:
        """Wait ``wait_s`` for a first delivery, then ``gather_s`` for more; may be empty.

        Raises BrokerLost when no more can come.
        """
        ...

    async def set_prefetch(self, prefetch: int) -> None:
        """Allow so many unacknowledged deliveries beside those held now; raises BrokerLost."""
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge deliveries; raises BrokerLost."""
        ...

    async def cancel(self) -> None:
        """Stop consuming; what is held can still be acknowledged."""
        ...


class Broker(Protocol):
    """A connected broker."""

    async def declare(self, topology: Topology) -> None:
        """Declare a topology.

        Raises DeclareRefused at the first part that the broker refuses, usually because it exists
        with other arguments; raises BrokerLost.
        """
        ...

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        """Remove bindings; a missing one is no error. Raises BrokerLost."""
        ...

    async def delete_queue(self, name: str, *, only_if_empty: bool) -> bool:
        """Delete a queue; returns whether it is gone. Raises BrokerLost."""
        ...

    async def purge_queue(self, name: str) -> int:
        """Drop the messages that wait in a queue; returns how many. Raises DeclareRefused if there
        is no such queue or it may not be purged, and BrokerLost."""
        ...

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """Publish all, pipelined, and wait for the confirms; None or a failure for each message."""
        ...

    async def consume(
        self, queue: str, *, prefetch: int, single_active: bool = False
    ) -> Deliveries:
        """Start to consume a queue; raises BrokerLost.

        ``single_active``: the queue delivers to one of its consumers only, for as long as that one
        consumes.
        """
        ...

    async def has_queue(self, name: str) -> bool:
        """Whether a queue exists, checked without declaring it; raises BrokerLost."""
        ...

    async def depth(self, queue: str) -> int:
        """How many messages wait in a queue; raises BrokerLost."""
        ...

    async def consumers(self, queue: str) -> int:
        """How many consumers a queue has; raises BrokerLost."""
        ...


async def publish_all(broker: Broker, messages: Sequence[Outgoing]) -> None:
    """Publish all; raises the first PublishFailed."""
    for failure in await broker.publish(messages):
        if failure is not None:
            raise failure


async def depths_of(broker: Broker, queues: Iterable[str]) -> dict[str, int]:
    """How many messages wait in each queue, as far as it exists and the broker answers."""
    depths: dict[str, int] = {}
    for queue in queues:
        try:
            if await broker.has_queue(queue):
                depths[queue] = await broker.depth(queue)
        except BrokerError:
            logger.debug("no depth of %s", queue)
    return depths


async def declare_or_keep(broker: Broker, topology: Topology) -> list[DeclareRefused]:
    """Declare a topology as far as the broker accepts its queues.

    A queue that exists with other arguments is kept and bound as it is; an unusable one is left
    out, with its bindings. Returns the refusals of these queues. Raises DeclareRefused for an
    exchange, and BrokerLost.
    """
    refusals: list[DeclareRefused] = []
    while True:
        try:
            await broker.declare(topology)
        except DeclareRefused as refusal:
            if all(queue.name != refusal.name for queue in topology.queues):
                raise
            refusals.append(refusal)
            is_kept = await broker.has_queue(refusal.name)
            topology = _without(topology, refusal.name, keep_bindings=is_kept)
        else:
            return refusals


def _without(topology: Topology, name: str, *, keep_bindings: bool) -> Topology:
    queues = tuple(queue for queue in topology.queues if queue.name != name)
    bindings = tuple(one for one in topology.bindings if keep_bindings or one.destination != name)
    return replace(topology, queues=queues, bindings=bindings)
