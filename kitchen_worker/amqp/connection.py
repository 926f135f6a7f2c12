"""Sessions with RabbitMQ.

One session is two connections, since the broker blocks only those that publish. When a connection,
a channel or a consumer ends, the whole session ends with BrokerLost, and ``keep_connected`` starts
the next, which declares all that it needs.
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
#: How long the broker may take for one answer while queues are declared: RabbitMQ 4 gives none for
#: a classic queue on a lost node, and the next host is to be tried soon.
ANSWER_TIMEOUT_S = 6.0
RECONNECT_S = (0.2, 3.0)
#: How long a session may take to finish what it holds once the process was asked to stop.
DRAIN_S = 10.0
#: A session that lasted this long makes the next loss a new one; a shorter one does not.
STEADY_S = 5.0


class RabbitBroker:
    """One session with RabbitMQ; ends as a whole, with BrokerLost."""

    def __init__(self, publishing: AbstractConnection, consuming: AbstractConnection) -> None:
        self._publishing = publishing
        self._consuming = consuming
        self._publisher: Publisher | None = None
        self._opening = asyncio.Lock()
        #: Kept, since aio-pika gives up a channel that is garbage.
        self._channels: list[AbstractChannel] = []
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        for connection in (publishing, consuming):
            connection.close_callbacks.add(self._on_closed)

    async def declare(self, topology: Topology) -> None:
        """See Broker.declare."""
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
        """See Broker.unbind."""
        for one in bindings:
            try:
                async with self._brief_channel() as channel:
                    unbind = channel.exchange_unbind if one.to_exchange else channel.queue_unbind
                    await _declare(unbind, *_words(one), arguments=dict(one.arguments))
            except DeclareRefused as refusal:
                if not isinstance(refusal.__cause__, ChannelNotFoundEntity):
                    raise

    async def delete_queue(self, name: str, *, only_if_empty: bool) -> bool:
        """See Broker.delete_queue.

        RabbitMQ closes the connection on "delete if empty" of a quorum queue, so its length is
        read first.
        """
        try:
            if only_if_empty and await self.has_queue(name) and await self.depth(name):
                return False
            async with self._brief_channel() as channel:
                await _declare(channel.queue_delete, name)
        except DeclareRefused:
            return False
        return True

    async def has_queue(self, name: str) -> bool:
        """See Broker.has_queue."""
        try:
            await self._counts(name)
        except DeclareRefused:
            return False
        return True

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """See Broker.publish."""
        async with self._opening:
            if self._publisher is None:
                channel = self._publishing.channel(on_return_raises=True)
                self._publisher = Publisher(await self._opened(channel))
        return await self._publisher.publish(messages)

    async def consume(self, queue: str, *, prefetch: int) -> RabbitDeliveries:
        """See Broker.consume."""
        channel = await self._opened(self._consuming.channel(publisher_confirms=False))
        deliveries = RabbitDeliveries(channel, queue, self.lost)
        with as_broker_lost():
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                await deliveries.start(prefetch)
        return deliveries

    async def depth(self, queue: str) -> int:
        """See Broker.depth."""
        return (await self._counts(queue)).message_count or 0

    async def consumers(self, queue: str) -> int:
        """See Broker.consumers."""
        return (await self._counts(queue)).consumer_count or 0

    async def _counts(self, queue: str) -> spec.Queue.DeclareOk:
        async with self._brief_channel() as channel:
            counts = await _declare(channel.queue_declare, queue, passive=True)
        return cast("spec.Queue.DeclareOk", counts)

    @asynccontextmanager
    async def _brief_channel(self) -> AsyncIterator[aiormq.abc.AbstractChannel]:
        """A channel for one purpose: the broker closes it, and nothing else, when it refuses.

        Of aiormq, since a channel of aio-pika that the broker closed leaves its callbacks on the
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
        """The aiormq channel below one of aio-pika; the session ends with it."""
        with as_broker_lost():
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                await channel.initialize()
            channel.close_callbacks.add(self._on_closed)
            self._channels.append(channel)
            # Its abstract class lacks the argument ``wait`` of ``basic_publish``.
            return cast("Channel", await channel.get_underlay_channel())

    def _on_closed(self, _sender: Any, cause: BaseException | None) -> None:
        if not self.lost.done():
            self.lost.set_result(str(cause) if cause else "the connection was closed")


@asynccontextmanager
async def connect(urls: str, name: str, *, first: int = 0) -> AsyncIterator[RabbitBroker]:
    """A session with a broker, under a name that the broker shows; or BrokerLost.

    ``urls``: one URL, or the nodes of a cluster with a comma between; they are tried in turn,
    beginning with number ``first``.
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
    """The URLs of a list with commas between; a comma inside a URL is no border."""
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

    ``on_state`` is called with whether there is a broker, at every change. Each session starts with
    the next of several nodes: one that takes connections may still refuse everything else.
    """
    patience_s = RECONNECT_S[0]
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
                patience_s = RECONNECT_S[0]
            await shutdown.wait(patience_s * random.uniform(0.5, 1.0))
            patience_s = min(patience_s * 2, RECONNECT_S[1])


async def _run(
    session: Callable[[Broker], Awaitable[None]], broker: RabbitBroker, shutdown: Shutdown
) -> None:
    """Run a session to its end; cancel it when the broker is lost, or DRAIN_S after the shutdown.

    What it held is then delivered again.
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
            logger.warning("stopped before all was finished", extra={"action": "cut_off"})
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception in a group, however deep it lies."""
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
            logger.debug("the connection was gone before it could be closed")


@asynccontextmanager
async def _answered(what: str) -> AsyncIterator[None]:
    """A time limit for one answer of the broker; raises BrokerLost."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            yield
    except TimeoutError as cause:
        raise BrokerLost(f"{what}: no answer within {ANSWER_TIMEOUT_S:g} s") from cause


#: The broker's reasons to refuse a declaration, each of which closes the channel alone.
_REFUSALS = (
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)


def _words(binding: Binding) -> tuple[str, str, str]:
    return binding.destination, binding.source, binding.routing_key


async def _declare(call: Callable[..., Awaitable[Any]], name: str, *rest: Any, **more: Any) -> Any:
    """One declaration; raises DeclareRefused, and BrokerLost when there is no answer."""
    try:
        async with _answered(name):
            return await call(name, *rest, **more)
    except _REFUSALS as cause:
        raise DeclareRefused(name, f"{name}: {cause}") from cause
