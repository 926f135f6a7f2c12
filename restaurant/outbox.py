"""The outbox: publishes the messages of orders, and deletes those that the broker confirmed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from heapq import heappop, heappush
from operator import attrgetter
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from django.db import connection, transaction
from django.db.models import Count, Min, Q

from kitchen_worker.amqp.broker import Broker, BrokerLost, Outgoing, PublishFailed
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import ORDER_PLACED, rfc3339, utc_now
from restaurant import sent_counts
from restaurant.bulk_sql import run_for_each
from restaurant.db_retry import run_in_db_thread
from restaurant.models import Order, OutboxMessage
from restaurant.queues import Queues

logger = logging.getLogger(__name__)

#: Messages per batch.
BATCH = 200
#: The pause after a partial batch, and the longest wait for a signal, which may be lost.
BUSY_S, IDLE_S = 0.02, 1.0
#: The pause before rejected messages are retried.
RETRY_S = 1.0

#: Entirely rejected batches in a row before the session ends: after the loss of a node, a channel
#: may reject everything for good.
REFUSED_IN_A_ROW = 3

#: Maximum number of launches that a relay numbers; the oldest is dropped.
LAUNCHES = 100

_UNSENT = """
    SELECT placed.id, placed.uuid, placed.launch_id, placed.launch_change, placed.control,
        placed.sample, placed.body
    FROM restaurant_outboxmessage message
    JOIN restaurant_order placed ON placed.id = message.order_id
    WHERE message.order_id > %s AND placed.control <> ''{others}
    ORDER BY message.order_id
    LIMIT %s{lock}
"""
#: Skips other relays' batches, which are locked until they are marked.
_LOCK = "\n    FOR UPDATE OF message SKIP LOCKED"
_DELETE = "DELETE FROM restaurant_outboxmessage WHERE order_id IN ({}) RETURNING order_id"
_SET_SENT_AT = "UPDATE restaurant_order SET sent_at = %s WHERE id = %s"


class SequenceNumber(NamedTuple):
    """A relay process's id for one launch, and a message's number under that id."""

    relay: str
    seq: int


class UnsentMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An outbox message, with everything needed to publish it."""

    #: The order's number.
    id: int
    order: str
    launch: str | None
    launch_change: int
    control: str
    sample: tuple[str, ...]
    body: bytes

    def message(self, *, sent_at: str, number: SequenceNumber) -> Outgoing:
        """The message as published; the order's sample becomes headers."""
        headers: dict[str, Any] = {topology.dark_header(name): "1" for name in self.sample}
        headers[topology.SENT_AT_HEADER] = sent_at
        headers[topology.RELAY_HEADER] = number.relay
        headers[topology.SEQ_HEADER] = str(number.seq)
        if self.launch is not None:
            headers[topology.LAUNCH_HEADER] = self.launch
        return Outgoing(
            exchange=topology.ORDERS,
            routing_key=self.control,
            body=self.body,
            type=ORDER_PLACED,
            message_id=self.order,
            headers=headers,
        )


@dataclass
class _Sequence:
    relay: str = field(default_factory=lambda: uuid4().hex)
    next: int = 1
    #: A heap of numbers to use again.
    free: list[int] = field(default_factory=list)


@dataclass
class SequenceNumbers:
    """Numbers what one relay process publishes on ``orders``: 1, 2, 3 and so on in each launch.

    Each launch has its own relay id, so that a reader knows which launch a missing number belongs
    to. The number of an unconfirmed message goes to the next message of its launch. So a number
    that a reader misses, below others of the same id, was confirmed by the broker.
    """

    #: By launch, the newest last.
    _sequences: dict[str | None, _Sequence] = field(default_factory=dict)

    def take(self, launch: str | None) -> SequenceNumber:
        """The lowest free number of a launch."""
        sequence = self._sequences.get(launch)
        if sequence is None:
            sequence = self._sequences[launch] = _Sequence()
            if len(self._sequences) > LAUNCHES:
                del self._sequences[next(iter(self._sequences))]
        if sequence.free:
            return SequenceNumber(sequence.relay, heappop(sequence.free))
        sequence.next += 1
        return SequenceNumber(sequence.relay, sequence.next - 1)

    def release(self, numbers: Iterable[SequenceNumber]) -> None:
        """Free the numbers of messages that weren't confirmed."""
        by_relay = {one.relay: one.free for one in self._sequences.values()}
        for number in numbers:
            if number.relay in by_relay:
                heappush(by_relay[number.relay], number.seq)


@dataclass
class BatchSlot:
    """Reads a batch and marks it once it is published, in one database thread.

    On PostgreSQL its transaction stays open in between, which locks the batch against other relays.
    On SQLite that would block the site: there it opens none, and there is one relay.
    """

    thread: Executor | None = None
    #: Messages that are read but not marked yet.
    messages: Sequence[UnsentMessage] = ()
    _transaction: ExitStack = field(default_factory=ExitStack)

    def read(self, *, after: int, others: Sequence[int]) -> None:
        """Read a batch, without the messages that other slots hold."""
        with ExitStack() as stack:
            if connection.features.has_select_for_update_skip_locked:
                stack.enter_context(transaction.atomic())
            self.messages = unsent(after=after, others=others)
            if self.messages:
                self._transaction = stack.pop_all()

    def mark(self, sent: Sequence[UnsentMessage]) -> None:
        """Mark what was sent of the batch; repeatable."""
        opened, self._transaction = self._transaction, ExitStack()
        with opened:
            if sent:
                mark_sent(sent)


@dataclass
class Outbox:
    """Publishes outbox messages over one session with the broker.

    Slots take turns: while one marks its batch, the next one publishes.
    """

    queues: Queues
    on_attempt: Callable[[], None] = lambda: None
    numbers: SequenceNumbers = field(default_factory=SequenceNumbers)
    #: The pause before the next batch.
    pause_s: float = 0.0
    #: Whose turn it is to read and publish.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _slots: list[BatchSlot] = field(default_factory=list)
    #: Messages up to here were rejected; later ones don't wait for them.
    _after: int = 0
    _retry_at: float = 0.0
    _refused_in_a_row: int = 0

    def new_slot(self, thread: Executor | None = None) -> BatchSlot:
        slot = BatchSlot(thread)
        self._slots.append(slot)
        return slot

    async def publish(self, broker: Broker, slot: BatchSlot) -> list[UnsentMessage]:
        """Publish the slot's next batch; returns what the broker confirmed, to be marked.

        Also raises BrokerLost if the broker has refused several batches in a row.
        """
        if self._after and monotonic() >= self._retry_at:
            self._after = 0
        others = [one.id for other in self._slots for one in other.messages]
        await self._database(slot, partial(slot.read, after=self._after, others=others))
        try:
            return await self._publish_batch(broker, slot.messages)
        except BaseException:
            await self.mark(slot, [])
            raise

    async def mark(self, slot: BatchSlot, sent: Sequence[UnsentMessage]) -> None:
        """Mark what was sent of a slot's batch, which ends it; retried until it succeeds."""
        if slot.messages:
            await self._database(slot, partial(slot.mark, sent))
            slot.messages = ()

    async def _publish_batch(
        self, broker: Broker, messages: Sequence[UnsentMessage]
    ) -> list[UnsentMessage]:
        self.pause_s = IDLE_S
        if not messages:
            return []
        await self.queues.ensure(
            broker,
            {one.control for one in messages},
            {name for one in messages for name in one.sample},
        )
        outcomes = await self._publish_numbered(broker, messages)
        taken = [one for one, failure in zip(messages, outcomes, strict=True) if not failure]
        if len(taken) < len(messages):
            self._postpone(messages, outcomes)
        if taken:
            self._refused_in_a_row = 0
            self.pause_s = 0.0 if len(messages) == BATCH else BUSY_S
            return taken
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= REFUSED_IN_A_ROW:
            raise BrokerLost(f"it rejects every order: {outcomes[0]}")
        return []

    async def _publish_numbered(
        self, broker: Broker, messages: Sequence[UnsentMessage]
    ) -> list[PublishFailed | None]:
        """Number a batch and publish it; None or a failure for each message."""
        unconfirmed = numbers = [self.numbers.take(one.launch) for one in messages]
        sent_at = rfc3339(utc_now())
        try:
            outcomes = await broker.publish(
                [
                    one.message(sent_at=sent_at, number=number)
                    for one, number in zip(messages, numbers, strict=True)
                ]
            )
            unconfirmed = [one for one, failure in zip(numbers, outcomes, strict=True) if failure]
        finally:
            self.numbers.release(unconfirmed)
        return outcomes

    def _postpone(
        self, messages: Sequence[UnsentMessage], outcomes: Sequence[PublishFailed | None]
    ) -> None:
        """Retry the rejected messages later, and declare the queues again before the next batch."""
        failures = [failure for failure in outcomes if failure is not None]
        logger.warning(
            "%d messages were rejected; retrying in %.0f s: %s",
            len(failures),
            RETRY_S,
            failures[0],
            extra={"action": "messages_postponed"},
        )
        if not self._after:
            self._retry_at = monotonic() + RETRY_S
        self._after = messages[-1].id
        self.queues.forget()

    async def _database(self, slot: BatchSlot, call: Callable[[], Any]) -> Any:
        return await run_in_db_thread(call, on_attempt=self.on_attempt, thread=slot.thread)


def unsent(
    *, after: int = 0, others: Sequence[int] = (), at_most: int = BATCH
) -> list[UnsentMessage]:
    """The oldest waiting messages, without those that other slots hold."""
    locks = connection.features.has_select_for_update_skip_locked
    query = _UNSENT.format(
        others=f" AND message.order_id NOT IN ({_placeholders(others)})" if others else "",
        lock=_LOCK if locks else "",
    )
    with connection.cursor() as cursor:
        cursor.execute(query, [after, *others, at_most])
        rows = cursor.fetchall()
    return [
        UnsentMessage(
            id=number,
            order=_dashed(order),
            launch=_dashed(launch) if launch is not None else None,
            launch_change=change,
            control=control,
            sample=tuple(msgspec.json.decode(names)),
            body=bytes(body),
        )
        for number, order, launch, change, control, names, body in rows
    ]


def mark_sent(messages: Sequence[UnsentMessage]) -> None:
    """Delete messages from the outbox and count them: each once, even if several relays sent it."""
    now = connection.ops.adapt_datetimefield_value(utc_now())
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_DELETE.format(_placeholders(messages)), [one.id for one in messages])
            deleted = {number for (number,) in cursor.fetchall()}
        # In the sequence in which answers are written, so that the two can't deadlock.
        sent = sorted((one for one in messages if one.id in deleted), key=attrgetter("order"))
        run_for_each(_SET_SENT_AT, [(now, one.id) for one in sent])
        sent_counts.add((one.launch, one.launch_change, one.sample) for one in sent)


class Backlog(NamedTuple):
    orders: int
    #: When the oldest of them was placed.
    oldest: datetime | None


def backlog(*, at_most: int) -> Backlog:
    """The outbox's backlog, counted up to a bound."""
    oldest = OutboxMessage.objects.order_by("pk")[:at_most]
    return Backlog(**oldest.aggregate(orders=Count("pk"), oldest=Min("order__placed_at")))


def sent_since(launch: UUID, number: int, *, at_most: int) -> Backlog:
    """The sent orders of a launch after an order number, searched up to a bound."""
    later = Order.objects.filter(pk__gt=number).order_by("pk")[:at_most]
    sent = Q(launch=launch, sent_at__isnull=False)
    found = later.aggregate(orders=Count("pk", filter=sent), oldest=Min("placed_at", filter=sent))
    return Backlog(**found)


def _placeholders(values: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(values))


def _dashed(stored: UUID | str) -> str:
    """A UUID as messages spell it; SQLite stores it without dashes."""
    if isinstance(stored, UUID):
        return str(stored)
    return "-".join((stored[:8], stored[8:12], stored[12:16], stored[16:20], stored[20:]))
