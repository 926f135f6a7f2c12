"""The outbox: posts letters to the broker, and marks those that it confirmed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import msgspec
from django.db import connection

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
#: How long a relay waits before it looks again: where it has just found something, and where not.
BUSY_S, IDLE_S = 0.02, 0.05
#: After how long letters that the broker did not take are tried again.
RETRY_S = 1.0

#: Batches in a row of which the broker takes nothing before the session is given up: after the loss
#: of a node a channel may refuse everything, and go on doing so.
REFUSED_IN_A_ROW = 3

_UNSENT = """
    SELECT letter.id, placed.uuid, letter.launch_id, placed.control, letter.sample, letter.body
    FROM restaurant_letter letter
    JOIN restaurant_order placed ON placed.id = letter.order_id
    WHERE letter.sent_at IS NULL AND letter.id > %s AND placed.control <> ''
    ORDER BY letter.id
    LIMIT %s
"""


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
class Outbox:
    """Posts letters over one session with the broker: call ``step`` for ever."""

    queues: Queues
    on_attempt: Callable[[], None] = lambda: None
    numbers: Numbers = field(default_factory=Numbers)
    #: Letters up to here were tried and not taken; the ones behind do not wait for them.
    _after: int = 0
    _retry_at: float = 0.0
    _refused_in_a_row: int = 0

    async def step(self, broker: Broker) -> float:
        """Post one batch; gives the seconds after which to look again.

        Raises BrokerLost also when the broker has refused several batches one after the other.
        """
        if self._after and monotonic() >= self._retry_at:
            self._after = 0
        letters = await self._database(partial(unsent, after=self._after, at_most=BATCH))
        if not letters:
            return IDLE_S
        await self.queues.ensure(
            broker,
            {letter.control for letter in letters},
            {name for letter in letters for name in letter.sample},
        )
        outcomes = await self._publish(broker, letters)
        taken = [one.id for one, failure in zip(letters, outcomes, strict=True) if not failure]
        if taken:
            await self._database(partial(mark_sent, taken))
        if len(taken) < len(letters):
            self._put_off(letters, outcomes)
        if not taken:
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= REFUSED_IN_A_ROW:
                raise BrokerLost(f"it refuses every order: {outcomes[0]}")
            return IDLE_S
        self._refused_in_a_row = 0
        return 0.0 if len(letters) == BATCH else BUSY_S

    async def _publish(
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

    async def _database(self, call: Callable[[], Any]) -> Any:
        return await in_database(call, on_attempt=self.on_attempt)


def unsent(*, after: int = 0, at_most: int = BATCH) -> list[Unsent]:
    """The oldest letters that wait."""
    with connection.cursor() as cursor:
        cursor.execute(_UNSENT, [after, at_most])
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
