"""The relay: publishes orders, records answers, and monitors both."""

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
from restaurant.db_retry import db_thread, run_in_db_thread
from restaurant.order_signal import OrderSignal
from restaurant.outbox import BUSY_S, BatchSlot, Outbox, SequenceNumbers
from restaurant.queues import Queues
from restaurant.resend import Resending

logger = logging.getLogger(__name__)

#: How often a waiting relay checks whether the other one has ended.
_RELAY_CHECK_EVERY_S = 0.2
#: How often queues and unanswered orders are checked.
CHECK_EVERY_S = 5.0


async def run(
    *,
    amqp_url: str,
    types: QueueTypes,
    resend_after: timedelta,
    health_port: int = 0,
    health_host: str = "127.0.0.1",
) -> None:
    """Run until SIGTERM or SIGINT."""
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
    """On SQLite, wait until no other relay uses the database: batches can't be locked there.

    The kernel releases the file lock when a process dies.
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
                    "another relay uses this database; waiting until it ends. "
                    "On PostgreSQL several relays share the work",
                    extra={"action": "waiting_for_relay"},
                )
            await shutdown.wait(_RELAY_CHECK_EVERY_S)
        yield


async def end_launches(shutdown: Shutdown) -> None:
    """End launches at their planned end, with or without a broker."""
    while not await shutdown.wait(CHECK_EVERY_S):
        try:
            ended = await run_in_db_thread(launches.end_where_planned)
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
async def _slots(outbox: Outbox) -> AsyncIterator[list[BatchSlot]]:
    """The outbox's slots, each with a database thread.

    Two are enough if marking doesn't wait; on SQLite it waits for the other writers.
    """
    count = 4 if connection.vendor == "sqlite" else 2
    async with AsyncExitStack() as stack:
        threads = [
            await stack.enter_async_context(db_thread(f"outbox-{number}"))
            for number in range(count)
        ]
        yield [outbox.new_slot(thread) for thread in threads]


@dataclass(frozen=True, kw_only=True)
class Relay:
    """What the relay does in each session with the broker."""

    types: QueueTypes
    resend_after: timedelta
    shutdown: Shutdown
    health: Health
    numbers: SequenceNumbers = field(default_factory=SequenceNumbers)

    async def session(self, broker: Broker) -> None:
        """Run all tasks until shutdown; a failure in one ends them all."""
        beat = self.health.beat
        queues = Queues(self.types, on_attempt=beat)
        await queues.check(broker)
        resending = Resending(queues, self.resend_after, on_attempt=beat)
        outbox = Outbox(queues, on_attempt=beat, numbers=self.numbers)
        async with (
            OrderSignal() as signal,
            db_thread("answers") as answering,
            _slots(outbox) as slots,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._wake(signal))
            for slot in slots:
                tasks.create_task(self._publish(broker, outbox, slot, signal))
            step = partial(answers.step, broker, on_attempt=beat, thread=answering)
            tasks.create_task(self._consume(broker, ANSWERS_QUEUE, step))
            tasks.create_task(
                self._consume(broker, UNROUTED_QUEUE, partial(resending.resend_unrouted, broker))
            )
            tasks.create_task(self._consume(broker, DEAD_ORDERS_QUEUE, resending.fail_dead))
            tasks.create_task(self._check(broker, queues, resending))
            tasks.create_task(self._check_dark(broker, queues))

    async def _publish(
        self, broker: Broker, outbox: Outbox, slot: BatchSlot, signal: OrderSignal
    ) -> None:
        """Publish batch after batch in turn with the other slots, and mark this slot's own."""
        while not self.shutdown.requested:
            async with outbox.turn:
                if await self._wait_for_orders(outbox.pause_s, signal):
                    return
                sent = await outbox.publish(broker, slot)
            await outbox.mark(slot, sent)

    async def _wait_for_orders(self, pause_s: float, signal: OrderSignal) -> bool:
        """Let a batch fill up, or wait for the signal; returns whether the relay is to stop."""
        if pause_s == BUSY_S:
            await self.shutdown.wait(BUSY_S)
        elif pause_s and not self.shutdown.requested:  # a slot may get its turn only then
            await signal.wait(pause_s)
        return self.shutdown.requested

    async def _wake(self, signal: OrderSignal) -> None:
        """At shutdown, wake the tasks that wait for orders."""
        await self.shutdown.wait()
        signal.send()

    async def _consume(
        self, broker: Broker, queue: str, step: Callable[[Deliveries], Awaitable[bool]]
    ) -> None:
        """Process a queue until shutdown, and then what was already delivered."""
        deliveries = await broker.consume(queue, prefetch=answers.PREFETCH)
        while not self.shutdown.requested:
            await step(deliveries)
        await deliveries.cancel()
        while await step(deliveries):
            pass

    async def _check(self, broker: Broker, queues: Queues, resending: Resending) -> None:
        """Check production's queues and unanswered orders."""
        while not await self.shutdown.wait(CHECK_EVERY_S):
            await queues.check(broker)
            await resending.resend_unanswered(broker)

    async def _check_dark(self, broker: Broker, queues: Queues) -> None:
        """Check the dark queues, however long it takes: nothing waits for them."""
        while not self.shutdown.requested:
            await queues.check_dark(broker)
            await self.shutdown.wait(CHECK_EVERY_S)
