"""The kitchen's loop: take orders, cook a bounded number at once, tell what became of each."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from kitchen_worker.config import WorkerConfig
from kitchen_worker.contract.dead_letters import dead_letter
from kitchen_worker.contract.health import Health
from kitchen_worker.contract.messages import MessageError, Role
from kitchen_worker.contract.shutdown import Shutdown
from kitchen_worker.contract.topology import OBSERVER_QUEUE, events_key, kitchen_queue
from kitchen_worker.contract.wire import Broker, Deliveries, Delivery
from kitchen_worker.cooking import Kitchen
from kitchen_worker.reporter import DARK_GATHER_S, GATHER_S, Reporter
from kitchen_worker.telling import OrderTold

logger = logging.getLogger(__name__)

#: How long what is held may take to finish once the process was asked to stop; a little less than
#: the time after which the session is cut off.
DRAIN_S = 9.0
#: The loop shows that it lives at least this often.
_BEAT_S = 5.0
#: Longest wait for work that was cancelled; what ignores it is left behind.
_CANCEL_S = 1.0
#: How long a control waits for its queue: the relay may be starting, too.
CONTROL_PATIENCE_S = 10.0
#: How often a queue that does not exist is asked for, and how often its absence is logged.
_ASK_EVERY_S, _WARN_EVERY_S = 1.0, 30.0


class NoQueue(Exception):
    """Raised when a control has no queue: no launch has it as its control."""


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
        self._name = f"{socket.gethostname()}:{os.getpid()}"[:200]

    async def session(self, broker: Broker) -> None:
        """Work on a connected broker until shutdown.

        Raises BrokerError when the broker is lost, and NoQueue.
        """
        config = self._config
        if not await self._has_queues(broker):
            return
        deliveries = await broker.consume(kitchen_queue(config.version), prefetch=config.prefetch)
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
        await _Shift(
            deliveries=deliveries,
            reporter=reporter,
            handle=lambda delivery: self._handle(broker, deliveries, reporter, delivery),
            concurrency=config.concurrency,
            beat=self._health.beat,
        ).work(self._shutdown, drain_s=self._drain_s)

    async def _has_queues(self, broker: Broker) -> bool:
        """Wait for the queues that others declare; False when asked to stop. Raises NoQueue."""
        deadline = time.monotonic() + CONTROL_PATIENCE_S
        warned, warn_at = "", 0.0
        while missing := await _missing_queue(broker, self._config):
            self._health.beat()
            now = time.monotonic()
            if self._config.role is Role.CONTROL and now >= deadline:
                raise NoQueue(missing)
            if missing != warned or now >= warn_at:
                logger.warning("%s; waiting for it", missing, extra={"action": "no_queue"})
                warned, warn_at = missing, now + _WARN_EVERY_S
            if await self._shutdown.wait(min(_ASK_EVERY_S, CONTROL_PATIENCE_S)):
                return False
        return True

    async def _handle(
        self, broker: Broker, deliveries: Deliveries, reporter: Reporter, delivery: Delivery
    ) -> None:
        """Everything about one order, from its bytes to its report."""
        try:
            told = OrderTold.read(delivery, config=self._config, worker=self._name)
        except MessageError as unreadable:
            logger.warning(
                "dead-lettered an order: %s", unreadable, extra={"action": "dead_lettered"}
            )
            await dead_letter(broker, deliveries, delivery, unreadable.reason)
            return
        reporter.add(told.received())
        cooked = await self._kitchen(told.order)
        reporter.add(told.ended(cooked))


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
        self._deliveries = deliveries
        self._reporter = reporter
        self._handle = handle
        self._concurrency = concurrency
        self._beat = beat
        self._running: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work(self, shutdown: Shutdown, *, drain_s: float) -> None:
        """Take and cook until shutdown, then finish what is held within ``drain_s``."""
        stop = asyncio.create_task(_until(shutdown), name="stop")
        taking = asyncio.create_task(self._take(), name="take")
        telling = asyncio.create_task(self._reporter.run(), name="tell")
        try:
            await _first_of(stop, taking, telling, self._broken)
            await _cancelled(taking)
            await self._deliveries.cancel()
            drained = asyncio.create_task(self._drained(), name="drain")
            try:
                async with asyncio.timeout(drain_s):
                    await _first_of(drained, telling, self._broken)
            except TimeoutError:
                logger.warning(
                    "%d orders were not finished in time; the broker gives them to the next",
                    len(self._running),
                    extra={"action": "drain_ended"},
                )
            finally:
                await _cancelled(drained)
        finally:
            await _cancelled(stop, taking, telling, *self._running)

    async def _take(self) -> None:
        while True:
            free = self._concurrency - len(self._running)
            if free > 0:
                batch = await self._deliveries.batch(at_most=free, gather_s=0.0, wait_s=_BEAT_S)
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
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) and not self._broken.done():
            self._broken.set_exception(error)

    async def _drained(self) -> None:
        while self._running:
            self._changed.clear()
            await self._changed.wait()
        await self._reporter.wait_until_told()


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


async def _first_of(*waiting: asyncio.Future[None]) -> None:
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
