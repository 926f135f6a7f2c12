"""The observer's loop: takes events in batches, has them recorded, then acks, then announces."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import msgspec
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError

from dashboard.chores import Chores
from dashboard.observing.dead_letters import record_dead_letters
from dashboard.observing.recording import record_events
from dashboard.observing.rosters import Rosters
from dashboard.observing.sweep import Sweeping
from dashboard.reviewing.replay_answers import record_answers
from dashboard.reviewing.replaying import give_up_overdue
from dashboard.verdict.closing import close_blocks
from dashboard.verdict.final import keep_final_verdicts
from kitchen_worker.amqp.broker import Broker, Deliveries, Outgoing, declare_or_keep
from kitchen_worker.amqp.dead_letters import Refused, put_aside
from kitchen_worker.amqp.decoding import Heard, hear
from kitchen_worker.amqp.health import Health
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import Event, utc_now
from restaurant.patience import in_database

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

#: Event messages taken at once, at most.
BATCH = 1000
#: Events in one transaction, at most: a message may carry many.
RECORDED_AT_ONCE = 1000
PREFETCH = 2000
#: How long a batch waits for more once it has its first message: large ones cost less an order.
GATHER_S = 0.025
#: Nobody waits for dead letters: a version that is absent may give one an order.
DEAD_LETTERS_GATHER_S = 0.5
WAIT_S = 0.5
ANNOUNCE_EVERY_S = 0.03
SWEEP_EVERY_S = 1.0
#: So many messages in one batch mean that more wait.
MANY = 100
#: A step that took longer was held up: the process was stopped, or the database was away.
STALL_S = 2.0
#: How long nothing more must wait before what was not heard counts as not said.
CAUGHT_UP_S = 2.0


@dataclass
class Observer:
    """Records what every version says it did, until shutdown."""

    types: topology.QueueTypes
    deadline: timedelta
    shutdown: Shutdown
    health: Health
    rosters: Rosters = field(default_factory=Rosters)
    changed: set[UUID] = field(default_factory=set)
    announced: int = 0
    #: Whether more events wait than one batch takes.
    behind: bool = False
    #: The sweep that is under way, if one is.
    _sweeping: Sweeping | None = None
    #: Set while something has changed that was not announced.
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def session(self, broker: Broker) -> None:
        """Observe on a connected broker until shutdown; raises BrokerLost."""
        for kept in await declare_or_keep(broker, topology.observer(self.types)):
            logger.warning("%s. It is used as it is.", kept, extra={"action": "queue_refused"})
        await broker.unbind(topology.former_observer_bindings())
        events = await broker.consume(topology.OBSERVER_QUEUE, prefetch=PREFETCH)
        dead = await broker.consume(topology.DEAD_LETTERS_QUEUE, prefetch=BATCH)
        logger.info("takes events from %s", topology.OBSERVER_QUEUE, extra={"action": "taking"})
        chores = Chores(
            shutdown=self.shutdown,
            is_busy=lambda: self.behind,
            on_change=self._note_changed,
        )
        self._sweeping = None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._observe(broker, events))
            tasks.create_task(self._collect_dead_letters(dead))
            tasks.create_task(self._announce(broker))
            tasks.create_task(chores.run(broker))

    async def _observe(self, broker: Broker, deliveries: Deliveries) -> None:
        """Take batch after batch; sweep once all is heard that was said, and not before everybody
        was able to answer: the time without a broker is not held against a version. A long sweep
        takes turns with the batches."""
        next_sweep = time.monotonic() + self.deadline.total_seconds()
        while not self.shutdown.requested:
            self.health.beat()
            begun = time.monotonic()
            wait_s = WAIT_S if self._sweeping is None else 0.0
            self.behind = await self.step(broker, deliveries, wait_s=wait_s)
            ended = time.monotonic()
            if self.behind or ended - begun > STALL_S:
                # Much may have been said that was not heard yet.
                next_sweep = max(next_sweep, ended + CAUGHT_UP_S)
            elif ended >= next_sweep:
                await self._sweep()
                if self._sweeping is None:
                    next_sweep = time.monotonic() + SWEEP_EVERY_S
        await deliveries.cancel()

    async def step(self, broker: Broker, deliveries: Deliveries, *, wait_s: float = WAIT_S) -> bool:
        """Record one batch and ack it; says whether more is likely to wait."""
        batch = await deliveries.batch(at_most=BATCH, gather_s=GATHER_S, wait_s=wait_s)
        heard, refused = hear(batch)
        for start in range(0, len(heard), RECORDED_AT_ONCE):
            some = heard[start : start + RECORDED_AT_ONCE]
            refused += await self._stored(partial(self._record, some))
        if heard:
            self._note_changed(self.rosters.known)
        await put_aside(broker, refused)
        await deliveries.ack(batch)
        return len(batch) >= MANY

    def _record(self, heard: Sequence[Heard]) -> list[Refused]:
        """Record what can be taken, launch by launch; returns the rest, each with its reason."""
        admissions = self.rosters.admit([one.event for one in heard])
        refused: list[Refused] = []
        by_launch: defaultdict[UUID, list[Heard]] = defaultdict(list)
        replayed: list[Heard] = []
        for one, admission in zip(heard, admissions, strict=True):
            if admission.reason:
                refused.append(one.refused(admission.reason))
            elif admission.replayed:
                replayed.append(one)
            elif admission.launch is not None:
                by_launch[admission.launch].append(one)
        for launch, several in by_launch.items():
            roster = self.rosters.of(launch)
            refused += _stored_or_refused(partial(record_events, roster), several)
        return refused + _stored_or_refused(record_answers, replayed)

    async def _sweep(self) -> None:
        """Do one step of a sweep, and at its end what is to be done once a sweep."""
        sweeping = self._sweeping = self._sweeping or Sweeping(utc_now() - self.deadline)
        marked = await self._stored(lambda: sweeping.step(utc_now()))
        if marked:
            logger.info("%d answers are missing", marked, extra={"action": "sweep"})
            self._note_changed(self.rosters.known)
        if sweeping.is_done:
            self._sweeping = None
            overdue = await self._stored(lambda: give_up_overdue(utc_now(), self.deadline))
            self._note_changed(overdue)
            self._note_changed(await self._stored(self._close_blocks))

    def _close_blocks(self) -> set[UUID]:
        now = utc_now()
        return close_blocks(now, on_step=self.health.beat) | keep_final_verdicts(now)

    async def _collect_dead_letters(self, deliveries: Deliveries) -> None:
        while not self.shutdown.requested:
            batch = await deliveries.batch(
                at_most=BATCH, gather_s=DEAD_LETTERS_GATHER_S, wait_s=WAIT_S
            )
            if batch:
                await self._stored(partial(record_dead_letters, batch, uuid4(), utc_now()))
                await deliveries.ack(batch)
                self._note_changed(self.rosters.known)
        await deliveries.cancel()

    async def _announce(self, broker: Broker) -> None:
        """Say at once which launches changed, then rest: that something changed, never what."""
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
        self.changed.update(launches)
        if self.changed:
            self._news.set()

    async def _stored(self, work: Callable[[], _Answer]) -> _Answer:
        return await in_database(work, on_attempt=self.health.beat)


def _stored_or_refused(
    record: Callable[[Sequence[Event], datetime], None], heard: Sequence[Heard]
) -> list[Refused]:
    """Record events; what the database will not take is found by halving, and given back."""
    try:
        record([one.event for one in heard], utc_now())
    except (OperationalError, InterfaceError):
        raise
    except (DatabaseError, ValueError, OverflowError, RecursionError) as cause:
        if len(heard) == 1:
            return [heard[0].refused(f"the database does not take it: {cause}")]
        middle = len(heard) // 2
        first = _stored_or_refused(record, heard[:middle])
        return first + _stored_or_refused(record, heard[middle:])
    return []


def _announcement(launch: UUID, number: int) -> Outgoing:
    body: dict[str, Any] = {"launch": str(launch), "n": number}
    return Outgoing(
        exchange=topology.ANNOUNCEMENTS,
        body=msgspec.json.encode(body),
        persistent=False,
        mandatory=False,
    )
