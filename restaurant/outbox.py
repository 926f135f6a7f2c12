"""The outbox: posts letters to the broker, and marks those that it confirmed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import msgspec
from django.db import connection, transaction

from kitchen_worker.amqp.broker import Broker, BrokerLost, Outgoing, PublishFailed
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import ORDER_PLACED, rfc3339, utc_now
from restaurant import sent_counts
from restaurant.models import Letter
from restaurant.patience import in_database
from restaurant.queues import Queues
from restaurant.write_lock import write_transaction

logger = logging.getLogger(__name__)

#: Letters read, published and marked at once.
BATCH = 200
#: How long a relay gathers before it looks again where it has just found something, and how long it
#: waits at most for a signal where not: a signal may be lost.
BUSY_S, IDLE_S = 0.02, 1.0
#: After how long letters that the broker did not take are tried again.
RETRY_S = 1.0

#: Batches in a row of which the broker takes nothing before the session is given up: after the loss
#: of a node a channel may refuse everything, and go on doing so.
REFUSED_IN_A_ROW = 3

_UNSENT = """
    SELECT letter.id, placed.uuid, letter.launch_id, placed.control, letter.sample, letter.body
    FROM restaurant_letter letter
    JOIN restaurant_order placed ON placed.id = letter.order_id
    WHERE letter.sent_at IS NULL AND letter.id > %s AND placed.control <> ''{others}
    ORDER BY letter.id
    LIMIT %s{lock}
"""
#: Another relay's batch is locked until it is marked.
_LOCK = "\n    FOR UPDATE OF letter SKIP LOCKED"


class Unsent(msgspec.Struct, frozen=True, kw_only=True):
    """A letter that waits, with all that its message needs."""

    id: int
    order: str
    launch: str | None
    control: str
    sample: tuple[str, ...]
    body: bytes

    def message(self, *, sent_at: str, relay: str, seq: int) -> Outgoing:
        """The order as it is published; its sample becomes headers."""
        headers: dict[str, Any] = {topology.dark_header(name): "1" for name in self.sample}
        headers[topology.SENT_AT_HEADER] = sent_at
        headers[topology.RELAY_HEADER] = relay
        headers[topology.SEQ_HEADER] = str(seq)
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
class Numbers:
    """Numbers what one relay process publishes on ``orders``: 1, 2, 3 and so on.

    The number of a message that was not confirmed goes to the next message. So a number that a
    reader still lacks, below others of the same relay, is of a message that the broker confirmed.
    """

    relay: str = field(default_factory=lambda: uuid4().hex)
    _next: int = 1
    _free: list[int] = field(default_factory=list)

    def take(self, count: int) -> list[int]:
        """So many numbers, the lowest that are free."""
        taken, self._free = self._free[:count], self._free[count:]
        first, self._next = self._next, self._next + count - len(taken)
        return [*taken, *range(first, self._next)]

    def give_back(self, numbers: Iterable[int]) -> None:
        """Have these go to the next messages."""
        self._free = sorted([*self._free, *numbers])


@dataclass
class Lane:
    """Reads a batch, and marks it once it is published; in one database thread.

    On PostgreSQL its transaction stays open in between, and keeps the batch from other relays. On
    SQLite the site could not write meanwhile: it opens none, and there is one relay.
    """

    thread: Executor | None = None
    #: The outbox messages that are read and not marked yet.
    letters: Sequence[Unsent] = ()
    _transaction: ExitStack = field(default_factory=ExitStack)

    def read(self, *, after: int, others: Sequence[int]) -> None:
        """Read a batch of what waits, but for what other lanes have."""
        with ExitStack() as stack:
            if connection.features.has_select_for_update_skip_locked:
                stack.enter_context(transaction.atomic())
            self.letters = unsent(after=after, others=others)
            if self.letters:
                self._transaction = stack.pop_all()

    def mark(self, sent: Sequence[int]) -> None:
        """Mark what was sent of the batch; may be repeated."""
        opened, self._transaction = self._transaction, ExitStack()
        with opened:
            if sent:
                mark_sent(sent)


@dataclass
class Outbox:
    """Publishes outbox messages over one session with the broker.

    Several lanes take turns: while one marks a batch, the next one publishes the next batch.
    """

    queues: Queues
    on_attempt: Callable[[], None] = lambda: None
    numbers: Numbers = field(default_factory=Numbers)
    #: The seconds after which to look again.
    pause_s: float = 0.0
    #: Whose turn it is to read and publish.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _lanes: list[Lane] = field(default_factory=list)
    #: Letters up to here were tried and not taken; the ones behind do not wait for them.
    _after: int = 0
    _retry_at: float = 0.0
    _refused_in_a_row: int = 0

    def lane(self, thread: Executor | None = None) -> Lane:
        """A further lane, which works in this thread."""
        lane = Lane(thread)
        self._lanes.append(lane)
        return lane

    async def step(self, broker: Broker) -> float:
        """Publish and mark one batch; gives the seconds after which to look again.

        Raises BrokerLost also when the broker has refused several batches one after the other.
        """
        lane = self._lanes[0] if self._lanes else self.lane()
        await self.mark(lane, await self.publish(broker, lane))
        return self.pause_s

    async def publish(self, broker: Broker, lane: Lane) -> list[int]:
        """Publish the next batch, in its turn; gives what the broker confirmed, to be marked.

        Raises BrokerLost also when the broker has refused several batches one after the other.
        """
        if self._after and monotonic() >= self._retry_at:
            self._after = 0
        others = [letter.id for other in self._lanes for letter in other.letters]
        await self._database(lane, partial(lane.read, after=self._after, others=others))
        try:
            return await self._publish_batch(broker, lane.letters)
        except BaseException:
            await self.mark(lane, [])
            raise

    async def mark(self, lane: Lane, sent: Sequence[int]) -> None:
        """Mark what was sent of a lane's batch, which ends it; tried until it is done."""
        if lane.letters:
            await self._database(lane, partial(lane.mark, sent))
            lane.letters = ()

    async def _publish_batch(self, broker: Broker, letters: Sequence[Unsent]) -> list[int]:
        self.pause_s = IDLE_S
        if not letters:
            return []
        await self.queues.ensure(
            broker,
            {letter.control for letter in letters},
            {name for letter in letters for name in letter.sample},
        )
        outcomes = await self._publish_numbered(broker, letters)
        taken = [one.id for one, failure in zip(letters, outcomes, strict=True) if not failure]
        if len(taken) < len(letters):
            self._put_off(letters, outcomes)
        if taken:
            self._refused_in_a_row = 0
            self.pause_s = 0.0 if len(letters) == BATCH else BUSY_S
            return taken
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= REFUSED_IN_A_ROW:
            raise BrokerLost(f"it refuses every order: {outcomes[0]}")
        return []

    async def _publish_numbered(
        self, broker: Broker, letters: Sequence[Unsent]
    ) -> list[PublishFailed | None]:
        """Publish a batch under numbers of its own; gives a failure or None a message."""
        unconfirmed = numbers = self.numbers.take(len(letters))
        sent_at = rfc3339(utc_now())
        try:
            outcomes = await broker.publish(
                [
                    letter.message(sent_at=sent_at, relay=self.numbers.relay, seq=seq)
                    for letter, seq in zip(letters, numbers, strict=True)
                ]
            )
            unconfirmed = [seq for seq, failure in zip(numbers, outcomes, strict=True) if failure]
        finally:
            self.numbers.give_back(unconfirmed)
        return outcomes

    def _put_off(self, letters: Sequence[Unsent], outcomes: Sequence[PublishFailed | None]) -> None:
        """Leave what was not taken for later, and declare anew before the next batch."""
        failures = [failure for failure in outcomes if failure is not None]
        logger.warning(
            "%d letters were not taken, tried again in %.0f s: %s",
            len(failures),
            RETRY_S,
            failures[0],
            extra={"action": "letters_put_off"},
        )
        if not self._after:
            self._retry_at = monotonic() + RETRY_S
        self._after = letters[-1].id
        self.queues.forget()

    async def _database(self, lane: Lane, call: Callable[[], Any]) -> Any:
        return await in_database(call, on_attempt=self.on_attempt, thread=lane.thread)


def unsent(*, after: int = 0, others: Sequence[int] = (), at_most: int = BATCH) -> list[Unsent]:
    """The oldest letters that wait, but for those that others have."""
    locks = connection.features.has_select_for_update_skip_locked
    query = _UNSENT.format(
        others=f" AND letter.id NOT IN ({', '.join(['%s'] * len(others))})" if others else "",
        lock=_LOCK if locks else "",
    )
    with connection.cursor() as cursor:
        cursor.execute(query, [after, *others, at_most])
        rows = cursor.fetchall()
    return [
        Unsent(
            id=letter,
            order=_id(order),
            launch=_id(launch) if launch is not None else None,
            control=control,
            sample=tuple(msgspec.json.decode(names)),
            body=bytes(body),
        )
        for letter, order, launch, control, names, body in rows
    ]


def mark_sent(letters: Sequence[int]) -> None:
    """Mark outbox messages as sent and count them: each once, also if several relays sent it."""
    with write_transaction():
        unsent = Letter.objects.select_for_update().filter(id__in=letters, sent_at=None)
        rows = list(unsent.order_by("id").values_list("id", *sent_counts.COUNTED))
        Letter.objects.filter(id__in=[row[0] for row in rows]).update(sent_at=utc_now())
        sent_counts.add([row[1:] for row in rows])


def _id(stored: UUID | str) -> str:
    """An id as messages carry it: PostgreSQL keeps it as it is, SQLite its digits."""
    if isinstance(stored, UUID):
        return str(stored)
    return "-".join((stored[:8], stored[8:12], stored[12:16], stored[16:20], stored[20:]))
