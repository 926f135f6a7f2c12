"""The kitchen's main loop: take orders, handle a bounded number at once, publish their events."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from kitchen_worker.amqp.broker import Broker, Deliveries, Delivery
from kitchen_worker.amqp.dead_letters import dead_letter
from kitchen_worker.amqp.health import Health
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.careful_deliveries import CarefulDeliveries
from kitchen_worker.config import WorkerConfig
from kitchen_worker.contract.messages import MessageError, Role, utc_now
from kitchen_worker.contract.topology import STREAM_QUEUE, events_key, kitchen_queue
from kitchen_worker.event_publisher import DARK_GATHER_S, GATHER_S, EventPublisher
from kitchen_worker.handling import Kitchen, timed_out
from kitchen_worker.order_events import OrderEvents

logger = logging.getLogger(__name__)

#: How long orders may take to finish after a stop request; a little less than the session's own
#: time limit.
DRAIN_S = 9.0
#: Longest pause between two signs of life.
_BEAT_S = 5.0
#: How long to wait for cancelled work before leaving it behind.
_CANCEL_S = 1.0
#: An order that ends sooner gets no `received` event: its end implies it.
RECEIVED_AFTER_S = 0.25
#: How long a control waits for its queue: the relay may be starting, too.
CONTROL_TIMEOUT_S = 10.0
#: How long relay and observer may take to start before a warning.
_STARTING_S = 3.0
#: How often a missing queue is checked for, and logged.
_ASK_EVERY_S, _WARN_EVERY_S = 1.0, 30.0


class CannotWork(Exception):
    """Raised when the process has to exit."""


class NoQueue(CannotWork):
    """Raised when a control has no queue: no launch names it as control."""


class KitchenHangs(CannotWork):
    """Raised when most of the running orders are past their time limit."""


class Worker:
    """Handles a version's orders, over successive sessions with the broker."""

    def __init__(
        self,
        *,
        config: WorkerConfig,
        kitchen: Kitchen,
        shutdown: Shutdown,
        health: Health,
        drain_s: float = DRAIN_S,
    ) -> None:
        self._config = config
        self._kitchen = kitchen
        self._shutdown = shutdown
        self._health = health
        self._drain_s = drain_s
        #: Tasks that keep running after they were cancelled.
        self._lingering: set[asyncio.Task[None]] = set()
        self._name = f"{socket.gethostname()}:{os.getpid()}"[:200]

    async def session(self, broker: Broker) -> None:
        """Work on a connected broker until shutdown.

        Raises BrokerError when the broker is lost, and CannotWork.
        """
        config = self._config
        if not await self._has_queues(broker):
            return
        deliveries = await CarefulDeliveries.of(
            broker, kitchen_queue(config.version), prefetch=config.prefetch
        )
        publisher = EventPublisher(
            broker,
            deliveries,
            events_key(config.role, config.version),
            gather_s=GATHER_S if config.role is Role.CONTROL else DARK_GATHER_S,
        )
        self._health.set_connected(True)
        logger.info(
            "%s takes orders from %s",
            config.version,
            kitchen_queue(config.version),
            extra={"action": "taking_orders"},
        )
        shift = _Shift(
            deliveries=deliveries,
            publisher=publisher,
            handle=lambda delivery: self._handle(shift, broker, delivery),
            concurrency=config.concurrency,
            beat=self._health.beat,
        )
        try:
            await shift.work(self._shutdown, drain_s=self._drain_s)
        finally:
            held = self._lingering | shift.running
            self._lingering = {task for task in held if not task.done()}

    @property
    def hung(self) -> int:
        """How many orders are still running after their time limit."""
        limit_s = self._config.order_timeout_seconds
        return self._kitchen.hung(limit_s) + sum(not task.done() for task in self._lingering)

    async def _has_queues(self, broker: Broker) -> bool:
        """Wait for the queues that others declare; False on shutdown. Raises NoQueue."""
        deadline = time.monotonic() + CONTROL_TIMEOUT_S
        found, warn_at = "", 0.0
        while missing := await _missing_queue(broker, self._config):
            self._health.beat()
            now = time.monotonic()
            if self._config.role is Role.CONTROL and now >= deadline:
                raise NoQueue(missing)
            if missing != found:
                found, warn_at = missing, now + _STARTING_S
            if now >= warn_at:
                logger.warning("%s; waiting for it", missing, extra={"action": "no_queue"})
                warn_at = now + _WARN_EVERY_S
            if await self._shutdown.wait(min(_ASK_EVERY_S, CONTROL_TIMEOUT_S)):
                return False
        return True

    async def _handle(self, shift: _Shift, broker: Broker, delivery: Delivery) -> None:
        """Handle one order, from its bytes to its events."""
        try:
            events = OrderEvents.read(delivery, config=self._config, worker=self._name)
        except MessageError as unreadable:
            logger.warning(
                "dead-lettered an order: %s", unreadable, extra={"action": "dead_lettered"}
            )
            await dead_letter(broker, shift.deliveries, delivery, unreadable.reason)
            return
        if events.is_redelivered:
            # It may have crashed the last process, and may crash this one before any timer fires.
            await shift.publisher.publish(events.received(utc_now()))
        task = cast("asyncio.Task[None]", asyncio.current_task())
        loop, received_at = asyncio.get_running_loop(), utc_now()
        timers = [
            loop.call_later(
                self._config.order_timeout_seconds, self._time_out, shift, task, events, received_at
            )
        ]
        if not events.is_redelivered:
            timers.append(
                loop.call_later(
                    RECEIVED_AFTER_S, _publish_received, shift, task, events, received_at
                )
            )
        try:
            handling = await self._kitchen.cook(events.order)
        finally:
            for timer in timers:
                timer.cancel()
        if task in shift.running:
            shift.publisher.add(events.ended(handling))

    def _time_out(
        self, shift: _Shift, task: asyncio.Task[None], events: OrderEvents, received_at: datetime
    ) -> None:
        """Publish an order as failed and free its slot."""
        limit_s = self._config.order_timeout_seconds
        logger.warning(
            "gave up an order after %g s",
            limit_s,
            extra={"action": "timed_out", "order_id": events.order.id},
        )
        shift.publisher.add(events.ended(timed_out(received_at, limit_s)))
        shift.give_up(task)
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)
        asyncio.get_running_loop().call_later(_CANCEL_S, self._end_if_most_hang, shift)

    def _end_if_most_hang(self, shift: _Shift) -> None:
        hung, slots = self.hung, self._config.concurrency
        if 2 * hung > slots:
            self._health.set_connected(False)
            shift.end(
                KitchenHangs(
                    f"{hung} orders are still in work after their time limit of "
                    f"{self._config.order_timeout_seconds:g} s; at most {slots} run at once"
                )
            )


class _Shift:
    """The work of one session: at most ``concurrency`` orders at once, ended as a whole."""

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        publisher: EventPublisher,
        handle: Callable[[Delivery], Awaitable[None]],
        concurrency: int,
        beat: Callable[[], None],
    ) -> None:
        self.deliveries = deliveries
        self.publisher = publisher
        self.running: set[asyncio.Task[None]] = set()
        self._handle = handle
        self._concurrency = concurrency
        self._beat = beat
        self._changed = asyncio.Event()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: Why the process has to exit after this shift.
        self._ending: asyncio.Future[CannotWork] = asyncio.get_running_loop().create_future()

    async def work(self, shutdown: Shutdown, *, drain_s: float) -> None:
        """Take and handle orders until shutdown, then finish what is held within ``drain_s``.

        Raises BrokerError when the broker is lost, and the cause given to ``end``.
        """
        stop = asyncio.create_task(_until(shutdown), name="stop")
        taking = asyncio.create_task(self._take(), name="take")
        publishing = asyncio.create_task(self.publisher.run(), name="publish")
        try:
            await _first_of(stop, taking, publishing, self._broken, self._ending)
            await _cancelled(taking)
            await self.deliveries.cancel()
            drained = asyncio.create_task(self._drained(), name="drain")
            try:
                async with asyncio.timeout(drain_s):
                    await _first_of(drained, publishing, self._broken)
            except TimeoutError:
                logger.warning(
                    "%d orders were not finished in time; the broker redelivers them",
                    len(self.running),
                    extra={"action": "drain_ended"},
                )
            finally:
                await _cancelled(drained)
            if self._ending.done():
                raise self._ending.result()
        finally:
            await _cancelled(stop, taking, publishing, *self.running)

    def give_up(self, task: asyncio.Task[None]) -> None:
        """Cancel the work on an order without waiting for it."""
        self.running.discard(task)
        self._changed.set()
        task.cancel()

    def end(self, cause: CannotWork) -> None:
        """Take no more orders, finish those that end, and raise the cause."""
        if not self._ending.done():
            self._ending.set_result(cause)

    async def _take(self) -> None:
        while True:
            free = self._concurrency - len(self.running)
            if free > 0:
                batch = await self.deliveries.batch(at_most=free, gather_s=0.0, wait_s=_BEAT_S)
                for delivery in batch:
                    self._start(delivery)
            else:
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_BEAT_S):
                        await self._changed.wait()
            self._beat()

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.ensure_future(self._handle(delivery))
        self.running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) and not self._broken.done():
            self._broken.set_exception(error)

    async def _drained(self) -> None:
        while self.running:
            self._changed.clear()
            await self._changed.wait()
        await self.publisher.wait_until_published()


def _publish_received(
    shift: _Shift, task: asyncio.Task[None], events: OrderEvents, received_at: datetime
) -> None:
    """Publish `received`, unless the order was given up."""
    if task in shift.running:
        shift.publisher.add(events.received(received_at))


async def _missing_queue(broker: Broker, config: WorkerConfig) -> str:
    """Why a kitchen can't work yet, and what would help; empty if nothing is missing."""
    version, queue = config.version, kitchen_queue(config.version)
    if not await broker.has_queue(queue):
        if config.role is Role.CONTROL:
            return (
                f"no launch has {version} as its control: the relay has declared no queue {queue}"
            )
        return (
            f"no launch names {version}: the relay has declared no queue {queue}; "
            f"add {version} to the open launch as a {config.role}"
        )
    if config.role is not Role.CONTROL and not await broker.has_queue(STREAM_QUEUE):
        return (
            f"the results of {version} would be lost: the observer has declared no queue "
            f"{STREAM_QUEUE}; start the observer"
        )
    return ""


async def _until(shutdown: Shutdown) -> None:
    await shutdown.wait()


async def _first_of(*waiting: asyncio.Future[Any]) -> None:
    """Wait until one ends; raises its exception, if any."""
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait for them, but not forever."""
    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished, timeout=_CANCEL_S)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # retrieved, or asyncio logs it again
