"""Sessions with RabbitMQ.

A session is two connections, because the broker blocks only those that publish. When a connection,
channel or consumer ends, the whole session ends with BrokerLost; ``keep_connected`` starts the next
one, which declares everything it needs.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import aio_pika
import aiormq.abc
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq import Channel, spec
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)

from kitchen_worker.amqp.broker import (
    Broker,
    BrokerLost,
    DeclareRefused,
    Outgoing,
    PublishFailed,
)
from kitchen_worker.amqp.compat import tolerate_undecodable_properties
from kitchen_worker.amqp.consumer import RabbitDeliveries
from kitchen_worker.amqp.errors import LOST, as_broker_lost
from kitchen_worker.amqp.publisher import Publisher
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.contract.topology import Binding, Topology

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
HEARTBEAT_S = 10
DECLARE_TIMEOUT_S = 20.0
#: Time limit for one reply to a declaration: RabbitMQ 4 never replies for a classic queue on a lost
#: node, and the next host should be tried soon.
ANSWER_TIMEOUT_S = 6.0
RECONNECT_S = (0.2, 3.0)
#: How long a session may take to finish what it holds after a stop request.
DRAIN_S = 10.0
#: After a session of this length, the reconnect delay starts over.
STEADY_S = 5.0


class RabbitBroker:
    """One session with RabbitMQ; ends as a whole, with BrokerLost."""

    def __init__(self, publishing: AbstractConnection, consuming: AbstractConnection) -> None:
        self._publishing = publishing
        self._consuming = consuming
        self._publisher: Publisher | None = None
        self._opening = asyncio.Lock()
        #: Kept, because aio-pika closes channels that are garbage-collected.
        self._channels: list[AbstractChannel] = []
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        for connection in (publishing, consuming):
            connection.close_callbacks.add(self._on_closed)

    async def declare(self, topology: Topology) -> None:
        async with self._brief_channel() as channel:
            for exchange in topology.exchanges:
                await _declare(
                    channel.exchange_declare,
                    exchange.name,
                    exchange_type=exchange.type,
                    durable=True,
                    arguments=dict(exchange.arguments),
                )
            for name in topology.needed:
                await _declare(channel.exchange_declare, name, passive=True)
            for queue in topology.queues:
                await _declare(
                    channel.queue_declare,
                    queue.name,
                    durable=not queue.exclusive,
                    exclusive=queue.exclusive,
                    arguments=dict(queue.arguments),
                )
            for one in topology.bindings:
                bind = channel.exchange_bind if one.to_exchange else channel.queue_bind
                await _declare(bind, *_words(one), arguments=dict(one.arguments))

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        for one in bindings:
            try:
                async with self._brief_channel() as channel:
                    unbind = channel.exchange_unbind if one.to_exchange else channel.queue_unbind
                    await _declare(unbind, *_words(one), arguments=dict(one.arguments))
            except DeclareRefused as refusal:
                if not isinstance(refusal.__cause__, ChannelNotFoundEntity):
                    raise

    async def delete_queue(self, name: str, *, only_if_empty: bool) -> bool:
        """RabbitMQ closes the connection on "delete if empty" of a quorum queue, so its length
        is read first."""
        try:
            if only_if_empty and await self.has_queue(name) and await self.depth(name):
                return False
            async with self._brief_channel() as channel:
                await _declare(channel.queue_delete, name)
        except DeclareRefused:
            return False
        return True

    async def purge_queue(self, name: str) -> int:
        async with self._brief_channel() as channel:
            purged = await _declare(channel.queue_purge, name)
        return cast("spec.Queue.PurgeOk", purged).message_count or 0

    async def has_queue(self, name: str) -> bool:
        try:
            await self._counts(name)
        except DeclareRefused:
            return False
        return True

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        async with self._opening:
            if self._publisher is None:
                channel = self._publishing.channel(on_return_raises=True)
                self._publisher = Publisher(await self._opened(channel))
        return await self._publisher.publish(messages)

    async def consume(
        self, queue: str, *, prefetch: int, single_active: bool = False
    ) -> RabbitDeliveries:
        channel = await self._opened(self._consuming.channel(publisher_confirms=False))
        deliveries = RabbitDeliveries(channel, queue, self.lost, single_active=single_active)
        with as_broker_lost():
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                await deliveries.start(prefetch)
        return deliveries

    async def depth(self, queue: str) -> int:
        return (await self._counts(queue)).message_count or 0

    async def consumers(self, queue: str) -> int:
        return (await self._counts(queue)).consumer_count or 0

    async def _counts(self, queue: str) -> spec.Queue.DeclareOk:
        async with self._brief_channel() as channel:
            counts = await _declare(channel.queue_declare, queue, passive=True)
        return cast("spec.Queue.DeclareOk", counts)

    @asynccontextmanager
    async def _brief_channel(self) -> AsyncIterator[aiormq.abc.AbstractChannel]:
        """A short-lived channel: a refusal closes it and nothing else.

        An aiormq channel, because aio-pika channels that the broker closed leak callbacks on their
        connection.
        """
        if (transport := self._consuming.transport) is None:
            raise BrokerLost("the connection was closed")
        with as_broker_lost():
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                async with _answered("a new channel"):
                    channel = await transport.connection.channel(publisher_confirms=False)
                yield channel
                await channel.close()

    async def _opened(self, channel: AbstractChannel) -> Channel:
        """The aiormq channel below an aio-pika channel; when it ends, the session ends."""
        with as_broker_lost():
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                await channel.initialize()
            channel.close_callbacks.add(self._on_closed)
            self._channels.append(channel)
            # The abstract class lacks ``basic_publish``'s argument ``wait``.
            return cast("Channel", await channel.get_underlay_channel())

    def _on_closed(self, _sender: Any, cause: BaseException | None) -> None:
        if not self.lost.done():
            self.lost.set_result(str(cause) if cause else "the connection was closed")


@asynccontextmanager
async def connect(urls: str, name: str, *, first: int = 0) -> AsyncIterator[RabbitBroker]:
    """A session with a broker, under a connection name; raises BrokerLost.

    ``urls``: one URL, or those of a cluster's nodes, separated by commas. They are tried in turn,
    starting with number ``first``.
    """
    hosts = hosts_of(urls)
    for number in range(first, first + len(hosts)):
        url = hosts[number % len(hosts)]
        async with AsyncExitStack() as connections:
            try:
                publishing, consuming = [
                    await connections.enter_async_context(_connection(url, f"{name} {does}"))
                    for does in ("publishes", "consumes")
                ]
            except BrokerLost:
                if number < first + len(hosts) - 1:
                    continue
                raise
            yield RabbitBroker(publishing, consuming)
            return


def hosts_of(urls: str) -> list[str]:
    """The URLs in a comma-separated list; commas inside a URL don't count."""
    return [url.strip() for url in re.split(r",\s*(?=amqps?://)", urls)]


async def keep_connected(
    *,
    url: str,
    name: str,
    shutdown: Shutdown,
    session: Callable[[Broker], Awaitable[None]],
    on_state: Callable[[bool], None] = lambda connected: None,
) -> None:
    """Run ``session`` on a connected broker, and again after each loss, until shutdown.

    ``on_state`` is called with True or False when the broker comes or goes. Each session starts
    with the next node: one that accepts connections may still refuse everything else.
    """
    delay_s = RECONNECT_S[0]
    for attempt in itertools.count():
        if shutdown.requested:
            return
        steady_at, what = math.inf, "no broker"
        try:
            async with connect(url, name, first=attempt) as broker:
                what = "the session with the broker ended"
                logger.info("connected to the broker", extra={"action": "connected"})
                on_state(True)
                steady_at = time.monotonic() + STEADY_S
                await _run(session, broker, shutdown)
        except* (BrokerLost, PublishFailed) as lost:
            on_state(False)
            cause = _first(lost)
            what = "the broker refuses" if isinstance(cause, DeclareRefused) else what
            logger.warning("%s: %s", what, cause, extra={"action": "broker_lost"})
            if time.monotonic() > steady_at:
                delay_s = RECONNECT_S[0]
            await shutdown.wait(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(delay_s * 2, RECONNECT_S[1])


async def _run(
    session: Callable[[Broker], Awaitable[None]], broker: RabbitBroker, shutdown: Shutdown
) -> None:
    """Run a session to its end; cancel it when the broker is lost, or DRAIN_S after the shutdown.

    What it held is then redelivered.
    """
    running = asyncio.ensure_future(session(broker))
    stopping = asyncio.ensure_future(shutdown.wait())
    ends: set[asyncio.Future[Any]] = {running, broker.lost}
    try:
        await asyncio.wait({*ends, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            await asyncio.wait(ends, timeout=DRAIN_S, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        elif broker.lost.done():
            raise BrokerLost(broker.lost.result())
        else:
            logger.warning("stopped before all work was finished", extra={"action": "cut_off"})
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first non-group exception of a group."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


@asynccontextmanager
async def _connection(url: str, name: str) -> AsyncIterator[AbstractConnection]:
    tolerate_undecodable_properties()
    with as_broker_lost():
        connection = await aio_pika.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            heartbeat=HEARTBEAT_S,
            client_properties={"connection_name": name},
        )
    try:
        yield connection
    finally:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.close()
        except LOST:
            logger.debug("the connection was lost before it could be closed")


@asynccontextmanager
async def _answered(what: str) -> AsyncIterator[None]:
    """A time limit for one reply of the broker; raises BrokerLost."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            yield
    except TimeoutError as cause:
        raise BrokerLost(f"{what}: no answer within {ANSWER_TIMEOUT_S:g} s") from cause


#: Refusals of a declaration; each closes only its channel.
_REFUSALS = (
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)


def _words(binding: Binding) -> tuple[str, str, str]:
    return binding.destination, binding.source, binding.routing_key


async def _declare(call: Callable[..., Awaitable[Any]], name: str, *rest: Any, **more: Any) -> Any:
    """Make one declaration; raises DeclareRefused, or BrokerLost without a reply."""
    try:
        async with _answered(name):
            return await call(name, *rest, **more)
    except _REFUSALS as cause:
        raise DeclareRefused(name, f"{name}: {cause}") from cause
