"""The observer: records batches of orders and events, acks them and announces what changed.

Background jobs send replays and rejudge past orders in between.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import msgspec
from django.core.exceptions import ObjectDoesNotExist
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError

from dashboard.fold.admission import overdue
from dashboard.ingest.dead_letters import losses_in, record_dead_letters
from dashboard.ingest.recorder import ClosedBlocks, NotTheRecorder, Recorder, Recording, recorded_at
from dashboard.ingest.stream import DecodedBatch, Describe, as_dead_letter, decode_batch
from dashboard.launches.record import RecordKeeper
from dashboard.launches.watching import Watcher, versions_to_watch
from dashboard.review.replaying import (
    give_up_overdue,
    mark_sent,
    next_to_send,
    record_answers,
    record_refusal,
)
from dashboard.verdict.assessment import keep_final_verdicts
from dashboard.verdict.closing import close_blocks
from kitchen_worker.amqp.broker import (
    Broker,
    BrokerLost,
    Deliveries,
    Outgoing,
    declare_or_keep,
    depths_of,
)
from kitchen_worker.amqp.dead_letters import RefusedMessage, publish_dead_letters
from kitchen_worker.amqp.health import Health
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import utc_now
from restaurant.db_retry import db_thread, run_in_db_thread

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

#: Maximum number of messages in a batch.
BATCH = 1000
#: Maximum number of orders and events in a transaction: a message may hold many events.
RECORDED_AT_ONCE = 1000
PREFETCH = 2000
#: How long a batch waits for more after its first message: larger batches cost less per order.
GATHER_S = 0.025
#: Dead letters aren't urgent, and an absent version may cause one per order.
DEAD_LETTERS_GATHER_S = 0.5
WAIT_S = 0.5
ANNOUNCE_EVERY_S = 0.03
SWEEP_EVERY_S = 1.0
#: From this size on, a batch suggests that more messages wait.
MANY = 100
#: A step that took longer was held up: the process was suspended, or the database unavailable.
STALL_S = 2.0
#: How long there must have been no backlog before an absent answer counts as missing.
CAUGHT_UP_S = 2.0
#: How often the recorder writes its heartbeat, and the others check it.
HEARTBEAT_S = 1.0
#: How long the heartbeat may be absent before another observer takes over.
SILENT_S = 5.0
#: How often guards and ramp plans run, and how long they wait for the lengths of queues.
WATCH_EVERY_S = 1.0
WATCH_PATIENCE_S = 3.0
#: Pauses of the background jobs: when there was nothing to do, and after an error.
IDLE_S = 0.2
RETRY_S = 2.0
#: Maximum number of orders in a chunk.
CHUNK = 200
#: Live events wait for a chunk; after one that took longer, the next is smaller.
LONGEST_S = 0.2
#: The pause after a chunk, as a multiple of its time: when idle, and while events wait.
_REST = 1.0
_REST_UNDER_LOAD = 5.0


@dataclass
class _LastHeartbeat:
    """The recorder's last heartbeat, and when it was first seen by this process's clock: the
    recorder's clock may differ."""

    at: datetime | None = None
    seen_at: float = field(default_factory=time.monotonic)

    def is_overdue(self, at: datetime | None) -> bool:
        """Whether the recorder is gone, given the newest heartbeat."""
        if at != self.at:
            self.at, self.seen_at = at, time.monotonic()
        return at is None or time.monotonic() - self.seen_at > SILENT_S


@dataclass
class Observer:
    """Records what every version does, until shutdown.

    Of several observers the broker delivers messages to one, which records; the others are on
    standby.
    """

    types: topology.QueueTypes
    deadline: timedelta
    shutdown: Shutdown
    health: Health
    describe: Describe
    #: Name of the function that describes orders (DescriptionFunction.name).
    description: str = ""
    recording: Recording | None = None
    changed: set[UUID] = field(default_factory=set)
    announced: int = 0
    #: Whether more messages wait than fit in a batch.
    behind: bool = False
    _recorder: Recorder | None = None
    _records: RecordKeeper = field(default_factory=RecordKeeper)
    #: Whether a sweep of several steps is in progress.
    _is_sweeping: bool = False
    #: Set while there are unannounced changes.
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def session(self, broker: Broker) -> None:
        """Observe on a connected broker until shutdown; raises BrokerLost."""
        for kept in await declare_or_keep(broker, topology.stream(self.types)):
            logger.warning("%s. It is used as it is.", kept, extra={"action": "queue_refused"})
        # Events that arrive twice meanwhile are recognised by their ids.
        await broker.unbind(topology.former_observer_bindings())
        self._recorder, self._is_sweeping = None, False
        await self._drain_former_queue(broker)
        stream = await broker.consume(topology.STREAM_QUEUE, prefetch=PREFETCH, single_active=True)
        logger.info("takes events from %s", topology.STREAM_QUEUE, extra={"action": "taking"})
        jobs = BackgroundJobs(
            shutdown=self.shutdown,
            recorder=lambda: self._recorder,
            is_busy=lambda: self.behind,
            on_change=self._note_changed,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._observe(broker, stream))
            tasks.create_task(self._collect_dead_letters(broker))
            tasks.create_task(self._announce(broker))
            tasks.create_task(jobs.run(broker))
            tasks.create_task(self._watch_launch(broker))

    async def _drain_former_queue(self, broker: Broker) -> None:
        """Record the messages in the last release's queue, and delete the queue."""
        if not await broker.has_queue(topology.FORMER_OBSERVER_QUEUE):
            return
        former = await broker.consume(topology.FORMER_OBSERVER_QUEUE, prefetch=PREFETCH)
        # Its depth doesn't include messages already delivered to this process, and a short batch
        # doesn't mean that no more are on their way.
        while await self._take(broker, former) or await broker.depth(
            topology.FORMER_OBSERVER_QUEUE
        ):
            self.health.beat()
        await former.cancel()
        if await broker.consumers(topology.FORMER_OBSERVER_QUEUE):
            # Its unacked messages would be lost with the queue.
            logger.warning(
                "an earlier release consumes from %s: stop its observer, then restart this one",
                topology.FORMER_OBSERVER_QUEUE,
                extra={"action": "former_observer"},
            )
            return
        await broker.delete_queue(topology.FORMER_OBSERVER_QUEUE, only_if_empty=True)

    async def _observe(self, broker: Broker, deliveries: Deliveries) -> None:
        """Record batches, and sweep in between.

        The first sweep waits for a full deadline, because time without a broker doesn't count, and
        each one until there is no backlog. A long sweep alternates with batches.
        """
        next_sweep = time.monotonic() + self.deadline.total_seconds()
        next_check, heartbeat = time.monotonic(), _LastHeartbeat()
        while not self.shutdown.requested:
            self.health.beat()
            started_at = time.monotonic()
            self.behind = await self.step(
                broker, deliveries, wait_s=0.0 if self._is_sweeping else WAIT_S
            )
            ended = time.monotonic()
            if ended >= next_check:
                next_check = ended + HEARTBEAT_S
                await self._check_recorder(heartbeat)
            if self._recorder is None:
                continue
            if self.behind or ended - started_at > STALL_S:
                # The backlog may be large.
                next_sweep = max(next_sweep, ended + CAUGHT_UP_S)
            elif ended >= next_sweep:
                at = utc_now()
                if await self._is_behind(broker):
                    next_sweep = time.monotonic() + CAUGHT_UP_S
                    continue
                await self._sweep(broker, at)
                if not self._is_sweeping:
                    pause_s = CAUGHT_UP_S if self._was_held_up(ended) else SWEEP_EVERY_S
                    next_sweep = time.monotonic() + pause_s
        await deliveries.cancel()

    async def _check_recorder(self, heartbeat: _LastHeartbeat) -> None:
        """Write the heartbeat, or become the recorder if there is none any more.

        While messages arrive the broker decides; this is for times without messages. If several
        take over at once, the last one records.
        """
        if (recorder := self._recorder) is not None:
            await self._in_database(lambda: recorder.record_heartbeat(utc_now()))
        elif heartbeat.is_overdue(await self._in_database(recorded_at)):
            await self.take_over()

    @staticmethod
    async def _is_behind(broker: Broker) -> bool:
        """Whether many messages wait at the broker; raises BrokerLost if it doesn't answer.

        That none arrive doesn't say that none wait: the connection may be dead, as after this
        process was suspended.
        """
        return await broker.depth(topology.STREAM_QUEUE) >= MANY

    @staticmethod
    def _was_held_up(started_at: float) -> bool:
        return time.monotonic() - started_at > STALL_S

    async def take_over(self) -> Recorder:
        """Become the recorder; the previous one reconnects and goes on standby."""
        take_over = partial(Recorder.take_over, self.description, self.recording)
        self._recorder = await self._in_database(take_over)
        logger.info("recording", extra={"action": "records"})
        return self._recorder

    async def step(self, broker: Broker, deliveries: Deliveries, *, wait_s: float = WAIT_S) -> bool:
        """Record one batch and ack it; returns whether more messages probably wait."""
        return await self._take(broker, deliveries, wait_s=wait_s) >= MANY

    async def _take(self, broker: Broker, deliveries: Deliveries, *, wait_s: float = WAIT_S) -> int:
        """Record one batch and ack it; returns its size."""
        batch = await deliveries.batch(at_most=BATCH, gather_s=GATHER_S, wait_s=wait_s)
        if batch:
            recorder = self._recorder or await self.take_over()
            decoded = decode_batch(batch, self.describe, utc_now())
            refused = decoded.refused
            for part in decoded.parts(RECORDED_AT_ONCE):
                changed: set[UUID] = set()
                try:
                    refused += await self._in_database(
                        partial(_record, recorder, part, changed.update)
                    )
                finally:
                    self._note_changed(changed)
            await publish_dead_letters(broker, refused)
            await deliveries.ack(batch)
        return len(batch)

    async def _sweep(self, broker: Broker, now: datetime) -> None:
        """Run one step of a sweep; after the last one, handle what else is overdue.

        All use the time before the broker said that no messages wait: if this process or the
        database was held up since, answers that were in time may be in the queue.
        """
        if (recorder := self._recorder) is None:
            return
        started_at = time.monotonic()
        swept = await self._in_database(lambda: recorder.sweep(now, self.deadline))
        if swept.missing:
            logger.info("%d answers are missing", swept.missing, extra={"action": "sweep"})
        self._note_changed(swept.launches)
        self._is_sweeping = not swept.is_done
        if swept.is_done and not self._was_held_up(started_at):
            await self._give_up_stubs(broker, recorder, now - self.deadline)
            replays = await self._in_database(lambda: give_up_overdue(now, self.deadline))
            self._note_changed(replays)
            self._note_changed(await self._in_database(partial(self._close_blocks, now)))

    async def _give_up_stubs(self, broker: Broker, recorder: Recorder, before: datetime) -> None:
        """Dead-letter events whose orders didn't arrive in time, and only then delete them."""
        while stubs := await self._in_database(lambda: recorder.overdue_stubs(before)):
            refused = overdue(stubs).refused
            await publish_dead_letters(
                broker, [as_dead_letter(one.event, one.reason) for one in refused]
            )
            await self._in_database(partial(recorder.give_up, stubs))

    def _close_blocks(self, now: datetime) -> set[UUID]:
        closed = close_blocks(now, on_step=self.health.beat, on_closed=self._note_closed)
        return closed | keep_final_verdicts(now) | self._records.freeze(now)

    def _note_closed(self, closed: ClosedBlocks) -> None:
        if self.recording is not None:
            self.recording.note(closed)
            self.recording.write()

    async def _collect_dead_letters(self, broker: Broker) -> None:
        """Count dead letters, while this observer records."""
        while self._recorder is None:
            if await self.shutdown.wait(WAIT_S):
                return
        deliveries = await broker.consume(topology.DEAD_LETTERS_QUEUE, prefetch=BATCH)
        while not self.shutdown.requested:
            batch = await deliveries.batch(
                at_most=BATCH, gather_s=DEAD_LETTERS_GATHER_S, wait_s=WAIT_S
            )
            if batch:
                if losses := losses_in(batch):
                    await self._in_database(partial(self._recorder.lose, losses, utc_now()))
                await self._in_database(partial(record_dead_letters, batch, uuid4(), utc_now()))
                await deliveries.ack(batch)
                self._note_changed(self._recorder.launches)
        await deliveries.cancel()

    async def _watch_launch(self, broker: Broker) -> None:
        """Run guards and ramp plans once a second, while this observer records.

        In a database thread of their own, so that no order waits for them, and whatever goes wrong
        with them: observing goes on.
        """
        watcher = Watcher()
        async with db_thread("guards") as thread:
            while not await self.shutdown.wait(WATCH_EVERY_S):
                if self._recorder is None:
                    continue
                try:
                    versions = await run_in_db_thread(versions_to_watch, thread=thread)
                    queues = await _depths(broker, versions)
                    watch = partial(watcher.watch, queues, utc_now())
                    self._note_changed(await run_in_db_thread(watch, thread=thread))
                except Exception:
                    logger.exception("guards failed", extra={"action": "guards_failed"})

    async def _announce(self, broker: Broker) -> None:
        """Announce changed launches at once, then pause; only that they changed, never what."""
        while not self.shutdown.requested:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await self._news.wait()
            self._news.clear()
            launches, self.changed = self.changed, set()
            self.announced += len(launches)
            await broker.publish([_announcement(launch, self.announced) for launch in launches])
            await self.shutdown.wait(ANNOUNCE_EVERY_S)

    def _note_changed(self, launches: Iterable[UUID]) -> None:
        """Have launches announced; only in the loop's thread, as asyncio's events demand."""
        self.changed.update(launches)
        if self.changed:
            self._news.set()

    async def _in_database(self, work: Callable[[], _T]) -> _T:
        try:
            return await run_in_db_thread(work, on_attempt=self.health.beat)
        except NotTheRecorder as cause:
            raise BrokerLost("another observer is the recorder now") from cause


def _record(
    recorder: Recorder, part: DecodedBatch, on_change: Callable[[Iterable[UUID]], None]
) -> list[RefusedMessage]:
    """Record orders and events; returns the refused ones. Those that the database rejects are
    found by bisection."""
    now = utc_now()
    try:
        admitted = recorder.record(
            part.orders, part.events, now, numbers=part.numbers, undescribed=part.undescribed
        )
        record_answers(admitted.replayed, now)
    except (OperationalError, InterfaceError):
        raise
    except (DatabaseError, ValueError, OverflowError, RecursionError) as cause:
        if part.size <= 1:
            return part.all_refused(f"the database does not take it: {cause}")
        return [
            one
            for half in part.parts(-(-part.size // 2))
            for one in _record(recorder, half, on_change)
        ]
    on_change({*admitted.batches, *recorder.launches} if admitted.replayed else admitted.batches)
    return [part.refused_as(one.event, one.reason) for one in admitted.refused]


async def _depths(broker: Broker, versions: Sequence[str]) -> dict[str, int] | None:
    """The lengths of the observer's and the versions' queues; None if the broker is too slow."""
    if not versions:
        return None
    try:
        async with asyncio.timeout(WATCH_PATIENCE_S):
            return await depths_of(
                broker, (topology.STREAM_QUEUE, *map(topology.kitchen_queue, versions))
            )
    except TimeoutError:
        return None


def _announcement(launch: UUID, number: int) -> Outgoing:
    body: dict[str, Any] = {"launch": str(launch), "n": number}
    return Outgoing(
        exchange=topology.ANNOUNCEMENTS,
        body=msgspec.json.encode(body),
        persistent=False,
        mandatory=False,
    )


#: Errors that concern only the job itself.
_FAILURES = (
    DatabaseError, ObjectDoesNotExist, LookupError, ValueError, OverflowError, RecursionError
)  # fmt: skip


@dataclass
class BackgroundJobs:
    """Sends replays, and rejudges past orders in small chunks."""

    shutdown: Shutdown
    #: None while this observer is on standby: then there is nothing to do.
    recorder: Callable[[], Recorder | None]
    is_busy: Callable[[], bool]
    #: Called with the launches that a job has changed.
    on_change: Callable[[Iterable[UUID]], None]
    #: Size of the next chunk to rejudge: results may be small or large.
    chunk: int = CHUNK

    async def run(self, broker: Broker) -> None:
        """Run jobs until shutdown, on a connected broker."""
        pause_s = 0.0
        while not await self.shutdown.wait(pause_s):
            started_at = time.monotonic()
            try:
                did_something = await self.step(broker)
            except _FAILURES as cause:
                logger.warning("a job is postponed: %s", cause, extra={"action": "put_off"})
                pause_s = RETRY_S
                continue
            took_s = time.monotonic() - started_at
            rest = _REST_UNDER_LOAD if self.is_busy() else _REST
            pause_s = took_s * rest if did_something else IDLE_S

    async def step(self, broker: Broker) -> bool:
        """Run one chunk of each job; returns whether there was anything to do."""
        recorder = self.recorder()
        if recorder is None:
            return False
        sent = await self._send(broker)
        changed = await self._in_database(partial(self._rejudge, recorder))
        if changed is not None:
            self.on_change({changed})
        return sent or changed is not None

    def _rejudge(self, recorder: Recorder) -> UUID | None:
        started_at = time.monotonic()
        changed = recorder.rejudge(utc_now(), self.chunk)
        is_long = time.monotonic() - started_at > LONGEST_S
        self.chunk = max(1, self.chunk // 2) if is_long else min(CHUNK, self.chunk * 2)
        return changed

    async def _send(self, broker: Broker) -> bool:
        orders = await self._in_database(lambda: next_to_send(utc_now()))
        if not orders:
            return False
        outcomes = await broker.publish([one.message for one in orders])
        taken = [one.id for one, refusal in zip(orders, outcomes, strict=True) if refusal is None]
        await self._in_database(lambda: mark_sent(taken, utc_now()))
        refused = [one.id for one, refusal in zip(orders, outcomes, strict=True) if refusal]
        if refused:
            reason = str(next(refusal for refusal in outcomes if refusal))
            logger.warning(
                "%d orders not replayed: %s",
                len(refused),
                reason,
                extra={"action": "not_sent"},
            )
            await self._in_database(partial(record_refusal, refused, reason))
            await self.shutdown.wait(RETRY_S)
        return True

    async def _in_database(self, work: Callable[[], _T]) -> _T:
        # No health beat: only the live work may prove that the observer is alive.
        try:
            return await run_in_db_thread(work)
        except NotTheRecorder as cause:
            raise BrokerLost("another observer is the recorder now") from cause
