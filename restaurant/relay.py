"""The relay: one process that posts letters, takes the control's answers, and looks after both."""

from __future__ import annotations

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.db import Error as DatabaseError
from django.db import connection

from kitchen_worker.amqp.broker import Broker, Deliveries
from kitchen_worker.amqp.connection import keep_connected
from kitchen_worker.amqp.health import Health, serve_health
from kitchen_worker.amqp.shutdown import Shutdown, shutdown_on_signals
from kitchen_worker.contract.topology import (
    ANSWERS_QUEUE,
    DEAD_ORDERS_QUEUE,
    UNROUTED_QUEUE,
    QueueTypes,
)
from restaurant import answers, launches
from restaurant.order_signal import OrderSignal
from restaurant.outbox import BUSY_S, Lane, Numbers, Outbox
from restaurant.patience import database_thread, in_database
from restaurant.queues import Queues
from restaurant.resend import Resending

logger = logging.getLogger(__name__)


#: How often a relay that waits for another one asks whether it has ended.
_ASK_EVERY_S = 0.2
#: How often the queues are checked, and orders without an answer looked for.
CHECK_EVERY_S = 5.0


async def run(
    *,
    amqp_url: str,
    types: QueueTypes,
    resend_after: timedelta,
    health_port: int = 0,
    health_host: str = "127.0.0.1",
) -> None:
    """Relay until SIGTERM or SIGINT."""
    health = Health()
    probes = serve_health(health_port, health, host=health_host)
    async with (
        shutdown_on_signals() as shutdown,
        probes,
        _only_relay(shutdown, on_attempt=health.beat),
    ):
        relay = Relay(types=types, resend_after=resend_after, shutdown=shutdown, health=health)
        ending = asyncio.create_task(end_launches(shutdown))
        await keep_connected(
            url=amqp_url,
            name="relay",
            shutdown=shutdown,
            session=relay.session,
            on_state=health.set_connected,
        )
        await ending
    logger.info("the relay has stopped", extra={"action": "stopped"})


@asynccontextmanager
async def _only_relay(shutdown: Shutdown, *, on_attempt: Callable[[], None]) -> AsyncIterator[None]:
    """On SQLite, wait until no other relay works on the database: there batches cannot be locked.

    The kernel lets the next one in when a process dies.
    """
    if connection.vendor != "sqlite":
        yield
        return
    with Path(f"{connection.settings_dict['NAME']}-relay").open("w") as file:  # noqa: ASYNC230
        has_warned = False
        while not shutdown.requested:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                on_attempt()
            if not has_warned:
                has_warned = True
                logger.warning(
                    "another relay works on this database; waiting until it ends. "
                    "On PostgreSQL several share the work",
                    extra={"action": "waiting_for_relay"},
                )
            await shutdown.wait(_ASK_EVERY_S)
        yield


async def end_launches(shutdown: Shutdown) -> None:
    """End launches that have reached their planned end, with or without a broker."""
    while not await shutdown.wait(CHECK_EVERY_S):
        try:
            ended = await in_database(launches.end_where_planned)
        except DatabaseError:
            logger.exception("the planned end was not checked", extra={"action": "not_checked"})
            continue
        if ended is not None:
            logger.info(
                "ended %s as planned: %s",
                ended.name,
                ended.planned_end,
                extra={"action": "launch_ended"},
            )


@asynccontextmanager
async def _lanes(outbox: Outbox) -> AsyncIterator[list[Lane]]:
    """The lanes of an outbox, each with a database thread.

    Two are enough where a mark waits for nobody; SQLite's waits for the other writers.
    """
    count = 4 if connection.vendor == "sqlite" else 2
    async with AsyncExitStack() as stack:
        threads = [
            await stack.enter_async_context(database_thread(f"outbox-{number}"))
            for number in range(count)
        ]
        yield [outbox.lane(thread) for thread in threads]


@dataclass(frozen=True, kw_only=True)
class Relay:
    """What the relay does in each session with the broker."""

    types: QueueTypes
    resend_after: timedelta
    shutdown: Shutdown
    health: Health
    numbers: Numbers = field(default_factory=Numbers)

    async def session(self, broker: Broker) -> None:
        """Do all of it side by side, until shutdown; what fails in one part ends them all."""
        beat = self.health.beat
        queues = Queues(self.types, on_attempt=beat)
        await queues.check(broker)
        resending = Resending(queues, self.resend_after, on_attempt=beat)
        outbox = Outbox(queues, on_attempt=beat, numbers=self.numbers)
        async with (
            OrderSignal() as placed,
            database_thread("answers") as answering,
            _lanes(outbox) as lanes,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._wake(placed))
            for lane in lanes:
                tasks.create_task(self._publish(broker, outbox, lane, placed))
            step = partial(answers.step, broker, on_attempt=beat, thread=answering)
            tasks.create_task(self._take(broker, ANSWERS_QUEUE, step))
            tasks.create_task(
                self._take(broker, UNROUTED_QUEUE, partial(resending.unrouted, broker))
            )
            tasks.create_task(self._take(broker, DEAD_ORDERS_QUEUE, resending.dead))
            tasks.create_task(self._check(broker, queues, resending))
            tasks.create_task(self._check_dark(broker, queues))

    async def _publish(
        self, broker: Broker, outbox: Outbox, lane: Lane, placed: OrderSignal
    ) -> None:
        """Publish batch after batch in turn with the other lanes, and mark this lane's own."""
        while not self.shutdown.requested:
            async with outbox.turn:
                if await self._was_stopped(outbox.pause_s, placed):
                    return
                sent = await outbox.publish(broker, lane)
            await outbox.mark(lane, sent)

    async def _was_stopped(self, pause_s: float, placed: OrderSignal) -> bool:
        """Gather for a moment, or wait for orders; says whether to stop instead."""
        if pause_s == BUSY_S:
            await self.shutdown.wait(BUSY_S)
        elif pause_s:
            await placed.wait(pause_s)
        return self.shutdown.requested

    async def _wake(self, placed: OrderSignal) -> None:
        """Have nobody wait for orders at shutdown."""
        await self.shutdown.wait()
        placed.send()

    async def _take(
        self, broker: Broker, queue: str, step: Callable[[Deliveries], Awaitable[bool]]
    ) -> None:
        """Take what a queue brings; at shutdown, what was already delivered, too."""
        deliveries = await broker.consume(queue, prefetch=answers.PREFETCH)
        while not self.shutdown.requested:
            await step(deliveries)
        await deliveries.cancel()
        while await step(deliveries):
            pass

    async def _check(self, broker: Broker, queues: Queues, resending: Resending) -> None:
        """Look after the queues, and after orders without an answer."""
        while not await self.shutdown.wait(CHECK_EVERY_S):
            await queues.check(broker)
            await resending.unanswered(broker)

    async def _check_dark(self, broker: Broker, queues: Queues) -> None:
        """Look after the dark queues, each as long as it takes: nothing waits for them."""
        while not self.shutdown.requested:
            await queues.check_dark(broker)
            await self.shutdown.wait(CHECK_EVERY_S)
