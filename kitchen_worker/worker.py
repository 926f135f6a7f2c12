"""The kitchen's loop: take orders, cook a bounded number at once, tell what became of each."""

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
from kitchen_worker.config import WorkerConfig
from kitchen_worker.contract.messages import MessageError, Role, utc_now
from kitchen_worker.contract.topology import OBSERVER_QUEUE, events_key, kitchen_queue
from kitchen_worker.cooking import Kitchen, timed_out
from kitchen_worker.reporter import DARK_GATHER_S, GATHER_S, Reporter
from kitchen_worker.taking import CarefulDeliveries
from kitchen_worker.telling import OrderTold

logger = logging.getLogger(__name__)

#: How long what is held may take to finish once the process was asked to stop; a little less than
#: the time after which the session is cut off.
DRAIN_S = 9.0
#: The loop shows that it lives at least this often.
_BEAT_S = 5.0
#: Longest wait for work that was cancelled; what ignores it is left behind.
_CANCEL_S = 1.0
#: An order that ends sooner is not said to be received: its end says so.
RECEIVED_AFTER_S = 0.25
#: How long a control waits for its queue: the relay may be starting, too.
CONTROL_PATIENCE_S = 10.0
#: How long relay and observer may take to start before it is worth a word.
_STARTING_S = 3.0
#: How often a queue that does not exist is asked for, and how often its absence is logged.
_ASK_EVERY_S, _WARN_EVERY_S = 1.0, 30.0


class CannotWork(Exception):
    """Raised when the process has to end; says why.

    ::

        NoQueue         Raised when a control has no queue: no launch has it as its control.
        KitchenHangs    Raised when most orders that are cooked at once do not come to an end.
    """


class NoQueue(CannotWork):
    """Raised when a control has no queue: no launch has it as its control."""


class KitchenHangs(CannotWork):
    """Raised when most orders that are cooked at once do not come to an end."""


class Worker:
    """Cooks a version's orders, session after session with the broker."""

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
        #: What goes on although it was cancelled.
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
        reporter = Reporter(
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
            reporter=reporter,
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
        """How many orders are cooked although their time is over."""
        limit_s = self._config.order_timeout_seconds
        return self._kitchen.hung(limit_s) + sum(not task.done() for task in self._lingering)

    async def _has_queues(self, broker: Broker) -> bool:
        """Wait for the queues that others declare; False when asked to stop. Raises NoQueue."""
        deadline = time.monotonic() + CONTROL_PATIENCE_S
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
            if await self._shutdown.wait(min(_ASK_EVERY_S, CONTROL_PATIENCE_S)):
                return False
        return True

    async def _handle(self, shift: _Shift, broker: Broker, delivery: Delivery) -> None:
        """Everything about one order, from its bytes to its report."""
        try:
            told = OrderTold.read(delivery, config=self._config, worker=self._name)
        except MessageError as unreadable:
            logger.warning(
                "dead-lettered an order: %s", unreadable, extra={"action": "dead_lettered"}
            )
            await dead_letter(broker, shift.deliveries, delivery, unreadable.reason)
            return
        if told.is_redelivered:
            # It may have ended the last process, and may end this one before any timer does.
            await shift.reporter.publish(told.received(utc_now()))
        task = cast("asyncio.Task[None]", asyncio.current_task())
        loop, received_at = asyncio.get_running_loop(), utc_now()
        timers = [
            loop.call_later(
                self._config.order_timeout_seconds, self._time_out, shift, task, told, received_at
            )
        ]
        if not told.is_redelivered:
            timers.append(
                loop.call_later(RECEIVED_AFTER_S, _say_received, shift, task, told, received_at)
            )
        try:
            cooked = await self._kitchen.cook(told.order)
        finally:
            for timer in timers:
                timer.cancel()
        if task in shift.running:
            shift.reporter.add(told.ended(cooked))

    def _time_out(
        self, shift: _Shift, task: asyncio.Task[None], told: OrderTold, received_at: datetime
    ) -> None:
        """Report an order as failed, and give its slot to another one."""
        limit_s = self._config.order_timeout_seconds
        logger.warning(
            "gave up an order after %g s",
            limit_s,
            extra={"action": "timed_out", "order_id": told.order.id},
        )
        shift.reporter.add(told.ended(timed_out(received_at, limit_s)))
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
                    f"{hung} orders go on after their time limit of "
                    f"{self._config.order_timeout_seconds:g} s, and {slots} are cooked at once"
                )
            )


class _Shift:
    """One session's work: at most ``concurrency`` orders at once, ended as a whole."""

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        reporter: Reporter,
        handle: Callable[[Delivery], Awaitable[None]],
        concurrency: int,
        beat: Callable[[], None],
    ) -> None:
        self.deliveries = deliveries
        self.reporter = reporter
        self.running: set[asyncio.Task[None]] = set()
        self._handle = handle
        self._concurrency = concurrency
        self._beat = beat
        self._changed = asyncio.Event()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: Why the process has to end after this shift.
        self._ending: asyncio.Future[CannotWork] = asyncio.get_running_loop().create_future()

    async def work(self, shutdown: Shutdown, *, drain_s: float) -> None:
        """Take and cook until shutdown, then finish what is held within ``drain_s``.

        Raises BrokerError when the broker is lost, and what ``end`` was given.
        """
        stop = asyncio.create_task(_until(shutdown), name="stop")
        taking = asyncio.create_task(self._take(), name="take")
        telling = asyncio.create_task(self.reporter.run(), name="tell")
        try:
            await _first_of(stop, taking, telling, self._broken, self._ending)
            await _cancelled(taking)
            await self.deliveries.cancel()
            drained = asyncio.create_task(self._drained(), name="drain")
            try:
                async with asyncio.timeout(drain_s):
                    await _first_of(drained, telling, self._broken)
            except TimeoutError:
                logger.warning(
                    "%d orders were not finished in time; the broker gives them to the next",
                    len(self.running),
                    extra={"action": "drain_ended"},
                )
            finally:
                await _cancelled(drained)
            if self._ending.done():
                raise self._ending.result()
        finally:
            await _cancelled(stop, taking, telling, *self.running)

    def give_up(self, task: asyncio.Task[None]) -> None:
        """Cancel the work on an order, and wait for it no more."""
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
        await self.reporter.wait_until_told()


def _say_received(
    shift: _Shift, task: asyncio.Task[None], told: OrderTold, received_at: datetime
) -> None:
    """Report that an order is in work, unless it was given up."""
    if task in shift.running:
        shift.reporter.add(told.received(received_at))


async def _missing_queue(broker: Broker, config: WorkerConfig) -> str:
    """What is missing before a kitchen can work, and what it takes; empty when nothing is."""
    version, queue = config.version, kitchen_queue(config.version)
    if not await broker.has_queue(queue):
        if config.role is Role.CONTROL:
            return (
                f"{version} is not the control of a launch: the relay has declared no queue {queue}"
            )
        return (
            f"no launch names {version}: the relay has declared no queue {queue}; "
            f"add {version} to the open launch as a {config.role}"
        )
    if config.role is not Role.CONTROL and not await broker.has_queue(OBSERVER_QUEUE):
        return (
            f"nobody would learn what {version} did: the observer has declared no queue "
            f"{OBSERVER_QUEUE}; start the observer"
        )
    return ""


async def _until(shutdown: Shutdown) -> None:
    await shutdown.wait()


async def _first_of(*waiting: asyncio.Future[Any]) -> None:
    """Wait until one ends; raises what any that ended raised."""
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait for them; one that will not end is left behind."""
    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished, timeout=_CANCEL_S)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # looked at: what ended the session was told already
