"""The way to RabbitMQ, and the only file that knows aio-pika.

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
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from kitchen_worker.contract.shutdown import Shutdown
from kitchen_worker.contract.topology import Exchange, Queue, Topology
from kitchen_worker.contract.wild_properties import survive_wild_properties
from kitchen_worker.contract.wire import Broker, BrokerLost, Delivery, Outgoing, PublishFailed

survive_wild_properties()

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
HEARTBEAT_S = 10
#: Longest wait for a confirm; below the time in which a silent broker is given up.
PUBLISH_TIMEOUT_S = 20.0
DECLARE_TIMEOUT_S = 20.0
#: Publishes in flight at once.
PUBLISH_WINDOW = 200
RECONNECT_S = (0.2, 3.0)
#: How long a session may take to finish what it holds once the process was asked to stop.
DRAIN_S = 10.0
#: A session that lasted this long makes the next loss a new one; a shorter one does not.
STEADY_S = 5.0

_LOST = (AMQPError, ChannelInvalidStateError, ConnectionError, OSError, RuntimeError, TimeoutError)


class RabbitDeliveries:
    """The deliveries of one queue on a channel of their own."""

    def __init__(self, channel: AbstractChannel, queue: str, lost: asyncio.Future[str]) -> None:
        self._channel = channel
        self._queue = queue
        self._lost = lost
        self._waiting: asyncio.Queue[Delivery] = asyncio.Queue()
        #: Tags that were delivered and not acknowledged, lowest first.
        self._unacked: deque[int] = deque()
        self._consumer_tag: str | None = None

    async def start(self, prefetch: int) -> None:
        """Begin to take deliveries, at most ``prefetch`` of them unacknowledged."""
        await self._channel.set_qos(prefetch_count=prefetch)
        underlay = await self._channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._on_cancelled_by_broker)
        queue = await self._channel.get_queue(self._queue, ensure=False)
        self._consumer_tag = await queue.consume(self._on_message)

    async def batch(self, *, at_most: int, gather_s: float, wait_s: float) -> list[Delivery]:
        """See Deliveries.batch."""
        first = await self._next(wait_s)
        if first is None:
            return []
        taken = [first]
        deadline = asyncio.get_running_loop().time() + gather_s
        while len(taken) < at_most:
            if not self._waiting.empty():
                taken.append(self._waiting.get_nowait())
                continue
            remaining = deadline - asyncio.get_running_loop().time()
            following = await self._next(remaining) if remaining > 0 else None
            if following is None:
                break
            taken.append(following)
        return taken

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See Deliveries.ack."""
        done = {delivery.tag for delivery in deliveries}
        up_to = 0
        while self._unacked and self._unacked[0] in done:
            up_to = self._unacked.popleft()
        with _loss_as_broker_lost():
            underlay = await self._channel.get_underlay_channel()
            if up_to:
                await underlay.basic_ack(up_to, multiple=True, wait=False)
            for tag in sorted(tag for tag in done if tag > up_to):
                self._unacked.remove(tag)
                await underlay.basic_ack(tag, wait=False)

    async def cancel(self) -> None:
        """See Deliveries.cancel."""
        if self._consumer_tag is not None:
            tag, self._consumer_tag = self._consumer_tag, None
            with _loss_as_broker_lost():
                underlay = await self._channel.get_underlay_channel()
                await underlay.basic_cancel(tag, timeout=DECLARE_TIMEOUT_S)

    async def _next(self, wait_s: float) -> Delivery | None:
        if not self._waiting.empty():
            return self._waiting.get_nowait()
        getter = asyncio.ensure_future(self._waiting.get())
        try:
            either: set[asyncio.Future[Any]] = {getter, self._lost}
            await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if getter.done():
                return getter.result()
            if self._lost.done():
                raise BrokerLost(self._lost.result())
            return None
        finally:
            getter.cancel()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        tag = message.delivery_tag or 0
        self._unacked.append(tag)
        self._waiting.put_nowait(
            Delivery(
                tag=tag,
                queue=self._queue,
                body=message.body,
                routing_key=message.routing_key or "",
                message_id=message.message_id,
                headers=dict(message.headers),
                redelivered=bool(message.redelivered),
            )
        )

    def _on_cancelled_by_broker(self, _frame: Any) -> None:
        if not self._lost.done():
            self._lost.set_result(f"the queue {self._queue} went away")


class RabbitBroker:
    """One session with RabbitMQ; ends as a whole, with BrokerLost."""

    def __init__(self, publishing: AbstractConnection, consuming: AbstractConnection) -> None:
        self._publishing = publishing
        self._consuming = consuming
        self._publisher: AbstractChannel | None = None
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        for connection in (publishing, consuming):
            connection.close_callbacks.add(self._on_closed)

    async def declare(self, topology: Topology) -> None:
        """See Broker.declare."""
        with _loss_as_broker_lost():
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                channel = await self._consuming.channel()
                for exchange in topology.exchanges:
                    await _declare_exchange(channel, exchange)
                for queue in topology.queues:
                    await _declare_queue(channel, queue)
                underlay = await channel.get_underlay_channel()
                for binding in topology.bindings:
                    bind = underlay.exchange_bind if binding.to_exchange else underlay.queue_bind
                    await bind(
                        binding.destination,
                        binding.source,
                        binding.routing_key,
                        arguments=dict(binding.arguments),
                    )
                await channel.close()

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """See Broker.publish."""
        channel = await self._publishing_channel()
        outcomes: list[PublishFailed | None] = []
        for start in range(0, len(messages), PUBLISH_WINDOW):
            window = messages[start : start + PUBLISH_WINDOW]
            outcomes += await asyncio.gather(*(_publish_one(channel, one) for one in window))
        return outcomes

    async def consume(self, queue: str, *, prefetch: int) -> RabbitDeliveries:
        """See Broker.consume."""
        with _loss_as_broker_lost():
            channel = await self._consuming.channel(publisher_confirms=False)
            channel.close_callbacks.add(self._on_closed)
            deliveries = RabbitDeliveries(channel, queue, self.lost)
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                await deliveries.start(prefetch)
            return deliveries

    async def depth(self, queue: str) -> int:
        """See Broker.depth."""
        with _loss_as_broker_lost():
            async with asyncio.timeout(DECLARE_TIMEOUT_S):
                channel = await self._consuming.channel()
                declared = await channel.declare_queue(queue, passive=True)
                await channel.close()
                return declared.declaration_result.message_count or 0

    async def _publishing_channel(self) -> AbstractChannel:
        with _loss_as_broker_lost():
            if self._publisher is None:
                self._publisher = await self._publishing.channel(on_return_raises=True)
                self._publisher.close_callbacks.add(self._on_closed)
            return self._publisher

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


class _OwnedConnection(aio_pika.Connection):
    """A connection that its owner closes; the library's own way would start that in ``__del__``,
    and complain of it when the connection was never opened."""

    def __del__(self) -> None:
        """Do nothing."""


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception in a group, however deep it lies."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


@asynccontextmanager
async def _connection(url: str, name: str) -> AsyncIterator[AbstractConnection]:
    with _loss_as_broker_lost():
        connection = await aio_pika.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            heartbeat=HEARTBEAT_S,
            client_properties={"connection_name": name},
            connection_class=_OwnedConnection,
        )
    try:
        yield connection
    finally:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.close()
        except _LOST:
            logger.debug("the connection was gone before it could be closed")


async def _declare_exchange(channel: AbstractChannel, exchange: Exchange) -> None:
    await channel.declare_exchange(exchange.name, exchange.type, durable=True)


async def _declare_queue(channel: AbstractChannel, queue: Queue) -> None:
    await channel.declare_queue(
        queue.name,
        durable=not queue.exclusive,
        exclusive=queue.exclusive,
        arguments=dict(queue.arguments),
    )


async def _publish_one(channel: AbstractChannel, message: Outgoing) -> PublishFailed | None:
    """Publish and wait for the confirm, never longer than PUBLISH_TIMEOUT_S."""
    exchange = await channel.get_exchange(message.exchange, ensure=False)
    mode = aio_pika.DeliveryMode.PERSISTENT if message.persistent else None
    carried = aio_pika.Message(
        message.body,
        headers=dict(message.headers),
        content_type="application/json",
        delivery_mode=mode,
        message_id=message.message_id,
        type=message.type,
    )
    try:
        with _loss_as_broker_lost():
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                await exchange.publish(carried, message.routing_key, mandatory=message.mandatory)
    except BrokerLost as lost:
        return PublishFailed(f"{message.exchange} {message.routing_key}: {lost}")
    return None


@contextmanager
def _loss_as_broker_lost() -> Iterator[None]:
    """Turn every way in which aio-pika says that the broker is gone into BrokerLost."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BrokerLost("the broker fell silent") from None
    except _LOST as cause:
        raise BrokerLost(f"{type(cause).__name__}: {cause}") from cause
