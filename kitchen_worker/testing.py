"""An in-memory broker with the interface of the real one, for the tests of all packages.

It routes over fanout, headers, topic and exchange-to-exchange bindings as declared by a Topology,
supports bounded queues that drop their oldest message, single active consumers, redelivery, and
simulated connection loss. Of message TTLs it supports only 0.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from kitchen_worker.amqp.broker import (
    BrokerLost,
    DeclareRefused,
    Delivery,
    Outgoing,
    PublishFailed,
)
from kitchen_worker.contract.topology import (
    ORDERS_DEAD,
    Binding,
    Exchange,
    Queue,
    Topology,
)


@dataclass
class MemoryQueue:
    """A declared queue and its messages, oldest first."""

    declared: Queue
    waiting: deque[Delivery] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryBroker:
    """A broker in memory. Sessions come and go (``lose``, ``restore``), queues stay.

    ``published`` has every accepted message, in order; ``queues`` the waiting ones, by queue.
    """

    def __init__(self) -> None:
        self.published: list[Outgoing] = []
        self.queues: dict[str, MemoryQueue] = {}
        self._exchanges: dict[str, Exchange] = {}
        self._bindings: list[Binding] = []
        self._consumers: list[MemoryDeliveries] = []
        self._lost: str | None = None
        self._tags = 0

    @property
    def dead_letters(self) -> list[Outgoing]:
        """All messages that were dead-lettered, in order."""
        return [message for message in self.published if message.exchange == ORDERS_DEAD]

    def bodies(self, queue: str) -> list[bytes]:
        """The bodies of a queue's messages, oldest first."""
        return [delivery.body for delivery in self.queues[queue].waiting]

    def lose(self, reason: str = "the broker went away") -> None:
        """End the session: waiting calls raise BrokerLost, unacknowledged messages are requeued."""
        self._lost = reason
        consumers, self._consumers = self._consumers, []
        for consumer in consumers:
            consumer.end(reason)

    def restore(self) -> None:
        """Accept the next session."""
        self._lost = None

    async def declare(self, topology: Topology) -> None:
        self._check()
        for exchange in topology.exchanges:
            if self._exchanges.setdefault(exchange.name, exchange) != exchange:
                raise DeclareRefused(exchange.name, f"{exchange.name} exists with another type")
        for name in topology.needed:
            if name not in self._exchanges:
                raise DeclareRefused(name, f"no exchange {name}")
        for queue in topology.queues:
            if self.queues.setdefault(queue.name, MemoryQueue(queue)).declared != queue:
                raise DeclareRefused(queue.name, f"{queue.name} exists with other arguments")
        self._bindings += [one for one in topology.bindings if one not in self._bindings]

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        self._check()
        self._bindings = [one for one in self._bindings if one not in bindings]

    async def delete_queue(self, name: str, *, only_if_empty: bool) -> bool:
        self._check()
        queue = self.queues.get(name)
        if queue is None:
            return True
        if only_if_empty and queue.waiting:
            return False
        del self.queues[name]
        self._bindings = [one for one in self._bindings if one.destination != name]
        for consumer in [one for one in self._consumers if one.queue == name]:
            self._consumers.remove(consumer)
            consumer.end(f"the queue {name} went away")
        return True

    async def purge_queue(self, name: str) -> int:
        count = await self.depth(name)
        self.queues[name].waiting.clear()
        return count

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        await asyncio.sleep(0)
        return [self._publish(message) for message in messages]

    async def consume(
        self, queue: str, *, prefetch: int, single_active: bool = False
    ) -> MemoryDeliveries:
        self._check()
        if queue not in self.queues:
            raise DeclareRefused(queue, f"no queue {queue}")
        consumer = MemoryDeliveries(self, self.queues[queue], prefetch)
        self._consumers.append(consumer)
        return consumer

    async def has_queue(self, name: str) -> bool:
        self._check()
        return name in self.queues

    async def depth(self, queue: str) -> int:
        self._check()
        if queue not in self.queues:
            raise DeclareRefused(queue, f"no queue {queue}")
        return len(self.queues[queue].waiting)

    async def consumers(self, queue: str) -> int:
        await self.depth(queue)
        return sum(one.queue == queue and one.takes for one in self._consumers)

    def is_active(self, consumer: MemoryDeliveries) -> bool:
        """Whether a consumer gets deliveries now."""
        if not self.queues[consumer.queue].declared.arguments.get("x-single-active-consumer"):
            return True
        takers = (one for one in self._consumers if one.queue == consumer.queue and one.takes)
        return next(takers, None) is consumer

    def _publish(self, message: Outgoing) -> PublishFailed | None:
        if self._lost is not None:
            return PublishFailed(f"{message.exchange} {message.routing_key}: {self._lost}")
        if message.exchange not in self._exchanges:
            return PublishFailed(f"{message.exchange}: no such exchange")
        names = dict.fromkeys(self._routed(message.exchange, message))
        if not names and message.mandatory:
            return PublishFailed(f"{message.exchange} {message.routing_key}: no route")
        self.published.append(message)
        for name in names:
            self._enqueue(self.queues[name], message)
        return None

    def _routed(self, name: str, message: Outgoing) -> Iterator[str]:
        """The queues that a message is routed to, by way of the alternate exchange if need be."""
        exchange = self._exchanges[name]
        found = [
            one
            for one in self._bindings
            if one.source == name and _matches(exchange.type, one, message)
        ]
        for binding in found:
            if binding.to_exchange:
                yield from self._routed(binding.destination, message)
            else:
                yield binding.destination
        alternate = exchange.arguments.get("alternate-exchange")
        if not found and alternate in self._exchanges:
            yield from self._routed(alternate, message)

    def _enqueue(self, queue: MemoryQueue, message: Outgoing) -> None:
        self._tags += 1
        queue.waiting.append(
            Delivery(
                tag=self._tags,
                queue=queue.declared.name,
                body=message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                message_id=message.message_id,
                headers=dict(message.headers),
            )
        )
        queue.changed.set()
        if queue.declared.arguments.get("x-message-ttl") == 0:
            self._overflow(queue, queue.waiting.pop())
        length = queue.declared.arguments.get("x-max-length")
        while length is not None and len(queue.waiting) > length:
            self._overflow(queue, queue.waiting.popleft())

    def _overflow(self, queue: MemoryQueue, dropped: Delivery) -> None:
        arguments = queue.declared.arguments
        if "x-dead-letter-exchange" in arguments:
            self._publish(
                Outgoing(
                    exchange=arguments["x-dead-letter-exchange"],
                    routing_key=arguments.get("x-dead-letter-routing-key", dropped.routing_key),
                    body=dropped.body,
                    message_id=dropped.message_id,
                    headers=dropped.headers,
                    mandatory=False,
                )
            )

    def _check(self) -> None:
        if self._lost is not None:
            raise BrokerLost(self._lost)


class MemoryDeliveries:
    """The deliveries of one queue of a MemoryBroker."""

    def __init__(self, broker: MemoryBroker, queue: MemoryQueue, prefetch: int) -> None:
        self._broker = broker
        self._queue = queue
        self._prefetch = prefetch
        self._held: dict[int, Delivery] = {}
        self._ended: str | None = None
        self._cancelled = False

    @property
    def queue(self) -> str:
        return self._queue.declared.name

    @property
    def held(self) -> int:
        """How many deliveries are not acknowledged yet."""
        return len(self._held)

    @property
    def takes(self) -> bool:
        """Whether it still consumes."""
        return not self._cancelled and self._ended is None

    async def batch(self, *, at_most: int, gather_s: float, wait_s: float) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        taken: list[Delivery] = []
        deadline = loop.time() + wait_s
        while len(taken) < at_most:
            self._check()
            first_of_batch = not taken
            if self._take(taken):
                deadline = loop.time() + gather_s if first_of_batch else deadline
                continue
            self._queue.changed.clear()
            try:
                async with asyncio.timeout(max(deadline - loop.time(), 0)):
                    await self._queue.changed.wait()
            except TimeoutError:
                break
        self._check()
        return taken

    async def set_prefetch(self, prefetch: int) -> None:
        self._check()
        self._prefetch = len(self._held) + prefetch
        self._queue.changed.set()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._check()
        for delivery in deliveries:
            if self._held.pop(delivery.tag, None) is None:
                self._broker.lose(f"unknown delivery tag {delivery.tag}")
                self._check()
        self._queue.changed.set()

    async def cancel(self) -> None:
        self._check()
        self._cancelled = True
        self._queue.changed.set()

    def end(self, reason: str) -> None:
        """End with BrokerLost, and requeue unacknowledged deliveries at the queue's head."""
        self._ended = reason
        for delivery in reversed(self._held.values()):
            self._queue.waiting.appendleft(replace(delivery, redelivered=True))
        self._held.clear()
        self._queue.changed.set()

    def _take(self, taken: list[Delivery]) -> bool:
        if self._cancelled or not self._queue.waiting or len(self._held) >= self._prefetch:
            return False
        if not self._broker.is_active(self):
            return False
        delivery = self._queue.waiting.popleft()
        self._held[delivery.tag] = delivery
        taken.append(delivery)
        return True

    def _check(self) -> None:
        if self._ended is not None:
            raise BrokerLost(self._ended)


def _matches(kind: str, binding: Binding, message: Outgoing) -> bool:
    if kind == "fanout":
        return True
    if kind == "headers":
        return _headers_match(binding.arguments, message.headers)
    if kind == "topic":
        return _topic_matches(binding.routing_key.split("."), message.routing_key.split("."))
    return binding.routing_key == message.routing_key


def _headers_match(wanted: Any, headers: Any) -> bool:
    found = [headers.get(name) == value for name, value in wanted.items() if name[:2] != "x-"]
    return any(found) if wanted.get("x-match") == "any" else all(found)


def _topic_matches(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_topic_matches(pattern[1:], words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _topic_matches(pattern[1:], words[1:])
