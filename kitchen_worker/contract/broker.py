"""The way to RabbitMQ; how it publishes and consumes is in the two files of these names.

One session is two connections (only publishing ones are ever blocked by the broker), plain ones:
whatever ends a connection, a channel or a consumer ends the session with BrokerLost, and
``keep_connected`` starts the next, which declares all it needs anew.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as Channel
from aiormq.exceptions import ChannelInvalidStateError, ChannelNotFoundEntity
from yarl import URL

from kitchen_worker.contract.consuming import RabbitDeliveries
from kitchen_worker.contract.line import Line, LineOpener
from kitchen_worker.contract.losses import LOST, loss_as_broker_lost
from kitchen_worker.contract.publishing import Publisher
from kitchen_worker.contract.shutdown import Shutdown
from kitchen_worker.contract.topology import Exchange, Queue, Topology
from kitchen_worker.contract.wire import Broker, BrokerLost, Outgoing, PublishFailed

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
HEARTBEAT_S = 10
DECLARE_TIMEOUT_S = 20.0
RECONNECT_S = (0.2, 3.0)
#: How long a session may take to finish what it holds once the process was asked to stop.
DRAIN_S = 10.0
#: A session that lasted this long makes the next loss a new one; a shorter one does not.
STEADY_S = 5.0


class RabbitBroker:
    """One session with RabbitMQ; ends as a whole, with BrokerLost."""

    def __init__(self, publishing: _Connection, consuming: _Connection) -> None:
        self._publishing = publishing
        self._consuming = consuming
        self._publisher: Publisher | None = None
        #: Kept: a channel that nobody refers to is closed.
        self._channels: list[AbstractChannel] = []
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        for connection in (publishing, consuming):
            connection.close_callbacks.add(self._on_closed)

    async def declare(self, topology: Topology) -> None:
        """See Broker.declare."""
        with loss_as_broker_lost():
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                channel = await self._consuming.bare_channel()
                for exchange in topology.exchanges:
                    await _declare_exchange(channel, exchange)
                for queue in topology.queues:
                    await _declare_queue(channel, queue)
                for binding in topology.bindings:
                    bind = channel.exchange_bind if binding.to_exchange else channel.queue_bind
                    await bind(
                        binding.destination,
                        binding.source,
                        binding.routing_key,
                        arguments=dict(binding.arguments),
                    )
                await channel.close()

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """See Broker.publish."""
        if self._publisher is None:
            with loss_as_broker_lost():
                channel = await self._publishing.channel()
                channel.close_callbacks.add(self._on_closed)
                underlay = await channel.get_underlay_channel()
                self._publisher = Publisher(underlay, self._publishing.line, self.lost)
                self._channels.append(channel)
        return await self._publisher.publish(messages)

    async def consume(self, queue: str, *, prefetch: int) -> RabbitDeliveries:
        """See Broker.consume."""
        with loss_as_broker_lost():
            channel = await self._consuming.channel(publisher_confirms=False)
            channel.close_callbacks.add(self._on_closed)
            self._channels.append(channel)
            underlay = await channel.get_underlay_channel()
            deliveries = RabbitDeliveries(underlay, self._consuming.line, queue, self.lost)
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                await deliveries.start(prefetch)
            return deliveries

    async def has_queue(self, name: str) -> bool:
        """See Broker.has_queue. The broker closes the channel of a question whose answer is no."""
        with loss_as_broker_lost():
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                channel = await self._consuming.bare_channel()
                try:
                    await channel.queue_declare(name, passive=True)
                except ChannelNotFoundEntity:
                    return False
                await channel.close()
                return True

    async def depth(self, queue: str) -> int:
        """See Broker.depth."""
        with loss_as_broker_lost():
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                channel = await self._consuming.bare_channel()
                declared = await channel.queue_declare(queue, passive=True)
                await channel.close()
                return declared.message_count or 0

    def _on_closed(self, _sender: Any, cause: BaseException | None) -> None:
        if not self.lost.done():
            self.lost.set_result(str(cause) if cause else "the connection was closed")


@asynccontextmanager
async def connect(url: str, name: str) -> AsyncIterator[RabbitBroker]:
    """A session with the broker at ``url``, under a name that the broker shows; or BrokerLost."""
    async with (
        _connection(url, f"{name} publishes") as publishing,
        _connection(url, f"{name} consumes") as consuming,
    ):
        yield RabbitBroker(publishing, consuming)


async def keep_connected(
    *,
    url: str,
    name: str,
    shutdown: Shutdown,
    session: Callable[[Broker], Awaitable[None]],
    on_state: Callable[[bool], None] = lambda connected: None,
) -> None:
    """Run ``session`` on a connected broker, anew whenever the broker is lost, until shutdown.

    ``on_state`` hears whether the broker is there, at every change.
    """
    patience_s = RECONNECT_S[0]
    while not shutdown.requested:
        steady_at = math.inf
        try:
            async with connect(url, name) as broker:
                logger.info("connected to the broker", extra={"action": "connected"})
                on_state(True)
                steady_at = time.monotonic() + STEADY_S
                await _run(session, broker, shutdown)
        except* (BrokerLost, PublishFailed) as lost:
            on_state(False)
            logger.warning("no broker: %s", _first(lost), extra={"action": "broker_lost"})
            if time.monotonic() > steady_at:
                patience_s = RECONNECT_S[0]
            await shutdown.wait(patience_s * random.uniform(0.5, 1.0))
            patience_s = min(patience_s * 2, RECONNECT_S[1])


async def _run(
    session: Callable[[Broker], Awaitable[None]], broker: RabbitBroker, shutdown: Shutdown
) -> None:
    """Run a session to its end; cut it off when the broker is lost, or when it does not end
    within DRAIN_S of the shutdown: what it held will be delivered again."""
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


class _Connection(aio_pika.Connection):
    """A connection on a line of ours, that its owner closes.

    The library's own way would begin to close it in ``__del__``, and complain of it when the
    connection was never opened.
    """

    def __init__(self, url: URL, **options: Any) -> None:
        super().__init__(url, **options)
        self._opener = self.kwargs["transport_factory"] = LineOpener()

    @property
    def line(self) -> Line:
        """The line, once it is open."""
        return self._opener.line

    async def bare_channel(self) -> Channel:
        """A channel for one errand, of the library below: one of this library's leaves callbacks
        with its connection, closed or not, for as long as that lasts."""
        if self.transport is None:
            raise ChannelInvalidStateError("the connection was closed")
        await self.transport.ready()
        return await self.transport.connection.channel(publisher_confirms=False)

    def __del__(self) -> None:
        """Do nothing."""


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception in a group, however deep it lies."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


@asynccontextmanager
async def _connection(url: str, name: str) -> AsyncIterator[_Connection]:
    with loss_as_broker_lost():
        connection = await aio_pika.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            heartbeat=HEARTBEAT_S,
            client_properties={"connection_name": name},
            connection_class=_Connection,
        )
    try:
        yield connection
    finally:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.close()
        except LOST:
            logger.debug("the connection was gone before it could be closed")


async def _declare_exchange(channel: Channel, exchange: Exchange) -> None:
    await channel.exchange_declare(exchange.name, exchange_type=exchange.type, durable=True)


async def _declare_queue(channel: Channel, queue: Queue) -> None:
    await channel.queue_declare(
        queue.name,
        durable=not queue.exclusive,
        exclusive=queue.exclusive,
        arguments=dict(queue.arguments),
    )
