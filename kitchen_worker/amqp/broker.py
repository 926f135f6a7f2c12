"""What goes to the broker and comes from it, and the face that every broker of ours has.

Errors::

    BrokerError
      BrokerLost      Raised when the connection, a channel or a consumer ended; connect anew.
        DeclareRefused  Raised when the broker refuses a declaration; the session goes on.
      PublishFailed   Raised when the broker did not take a message: no route, refused, no answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from kitchen_worker.contract.topology import Binding, Topology


class BrokerError(Exception):
    """Anything that goes wrong between this process and its broker."""


class BrokerLost(BrokerError):
    """Raised when the connection, a channel or a consumer ended; connect anew."""


class DeclareRefused(BrokerLost):
    """Raised when the broker refuses a declaration; the session goes on, if it is caught.

    ``name`` is the exchange or queue that it concerns.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name
        self.reason = reason


class PublishFailed(BrokerError):
    """Raised when the broker did not take a message: no route, refused, no answer in time."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to publish. ``mandatory``: that nobody would get it is a failure."""

    exchange: str
    body: bytes
    routing_key: str = ""
    type: str | None = None
    message_id: str | None = None
    headers: Mapping[str, Any] = msgspec.field(default_factory=dict)
    persistent: bool = True
    mandatory: bool = True


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker hands over, to be acknowledged or dead-lettered once, by its tag."""

    tag: int
    queue: str
    body: bytes
    routing_key: str = ""
    message_id: str | None = None
    headers: Mapping[str, Any] = msgspec.field(default_factory=dict)
    redelivered: bool = False


class Deliveries(Protocol):
    """The deliveries of one queue, with at most ``prefetch`` of them unacknowledged."""

    async def batch(self, *, at_most: int, gather_s: float, wait_s: float) -> list[Delivery]:
        """Wait ``wait_s`` for a first delivery, then ``gather_s`` for more; empty if none came.

        Raises BrokerLost when no more can come.
        """
        ...

    async def set_prefetch(self, prefetch: int) -> None:
        """Have at most so many unacknowledged, beside what is held now; raises BrokerLost."""
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that these are done with; raises BrokerLost."""
        ...

    async def cancel(self) -> None:
        """Take no more from the queue; what is held stays to be acknowledged."""
        ...


class Broker(Protocol):
    """A connected broker."""

    async def declare(self, topology: Topology) -> None:
        """Make all of a topology exist.

        Raises DeclareRefused at the first part that the broker refuses, most often because it
        exists with other arguments; raises BrokerLost.
        """
        ...

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        """Take bindings away; one that does not exist is no error. Raises BrokerLost."""
        ...

    async def delete_queue(self, name: str, *, only_if_empty: bool) -> bool:
        """Delete a queue; says whether it is gone now. Raises BrokerLost."""
        ...

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """Publish all, pipelined, and wait for each confirm; a failure or None a message."""
        ...

    async def consume(self, queue: str, *, prefetch: int) -> Deliveries:
        """Start to take deliveries from a queue; raises BrokerLost."""
        ...

    async def has_queue(self, name: str) -> bool:
        """Whether a queue exists, asked without declaring it; raises BrokerLost."""
        ...

    async def depth(self, queue: str) -> int:
        """How many messages wait in a queue now; raises BrokerLost."""
        ...

    async def consumers(self, queue: str) -> int:
        """How many consumers a queue has now; raises BrokerLost."""
        ...


async def publish_all(broker: Broker, messages: Sequence[Outgoing]) -> None:
    """Publish all; raises the first PublishFailed there is."""
    for failure in await broker.publish(messages):
        if failure is not None:
            raise failure


async def declare_or_keep(broker: Broker, topology: Topology) -> list[DeclareRefused]:
    """Declare a topology, whatever the broker has against some of its queues.

    A queue that exists with other arguments is kept and bound as it is; one that cannot be used at
    all is left out, with its bindings. Gives the refusals of these queues; raises DeclareRefused
    for an exchange, and BrokerLost.
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
