"""The outbox: posts letters to the broker, and marks those that it confirmed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import ORDER_PLACED, utc_now
from kitchen_worker.contract.wire import Broker, Outgoing, PublishFailed
from restaurant import launches
from restaurant.models import Letter
from restaurant.patience import in_database

logger = logging.getLogger(__name__)

#: Letters read, published and marked at once.
BATCH = 200
#: How long a relay waits before it looks again: where it has just found something, and where not.
BUSY_S, IDLE_S = 0.02, 0.05
#: After how long letters that the broker did not take are tried again.
RETRY_S = 1.0

_UNSENT = """
    SELECT letter.id, placed.uuid, letter.launch_id, launch.control, letter.sample, letter.body
    FROM restaurant_letter letter
    JOIN restaurant_order placed ON placed.id = letter.order_id
    LEFT JOIN restaurant_launch launch ON launch.id = letter.launch_id
    WHERE letter.sent_at IS NULL AND letter.id > %s
    ORDER BY letter.id
    LIMIT %s
"""


class Unsent(msgspec.Struct, frozen=True, kw_only=True):
    """A letter that waits, with all that its message needs."""

    id: int
    order: str
    launch: str | None
    control: str | None
    sample: tuple[str, ...]
    body: bytes

    def message(self) -> Outgoing:
        """The order as it goes over the wire; its sample becomes headers."""
        headers: dict[str, Any] = {topology.dark_header(name): "1" for name in self.sample}
        if self.launch is not None:
            headers[topology.LAUNCH_HEADER] = self.launch
        return Outgoing(
            exchange=topology.ORDERS,
            body=self.body,
            type=ORDER_PLACED,
            message_id=self.order,
            headers=headers,
        )


@dataclass
class Outbox:
    """Posts letters over one session with the broker: call ``step`` for ever."""

    limits: topology.Limits
    on_attempt: Callable[[], None] = lambda: None
    #: Letters up to here were tried and not taken; the ones behind do not wait for them.
    _after: int = 0
    _retry_at: float = 0.0
    #: Versions whose queues this session has declared.
    _controls: set[str] = field(default_factory=set)
    _dark: set[str] = field(default_factory=set)

    async def prepare(self, broker: Broker) -> None:
        """Make sure that the open launch's versions have their queues."""
        control, dark = await self._database(_current_versions)
        await self._stand(broker, [control], dark)

    async def step(self, broker: Broker) -> float:
        """Post one batch; gives the seconds after which to look again."""
        if self._after and monotonic() >= self._retry_at:
            self._after = 0
        letters = await self._database(partial(unsent, after=self._after, at_most=BATCH))
        if not letters:
            return IDLE_S
        controls = {letter.control for letter in letters if letter.control is not None}
        await self._stand(broker, controls, {name for one in letters for name in one.sample})
        outcomes = await broker.publish([letter.message() for letter in letters])
        taken = [one.id for one, failure in zip(letters, outcomes, strict=True) if not failure]
        if taken:
            await self._database(partial(mark_sent, taken))
        if len(taken) < len(letters):
            self._put_off(letters, outcomes)
        if not taken:
            return IDLE_S
        return 0.0 if len(letters) == BATCH else BUSY_S

    async def _stand(self, broker: Broker, controls: Iterable[str], dark: Iterable[str]) -> None:
        """Declare the queues of versions that this session has not declared yet."""
        new_dark = set(dark) - self._dark
        new = set(controls) - self._controls
        if not new and (new_dark or not self._controls):
            new = {await self._database(launches.current_control)}
        for control in sorted(new):
            await broker.declare(topology.relay(control, sorted(new_dark), self.limits))
        self._controls |= new
        self._dark |= new_dark

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
        self._controls.clear()
        self._dark.clear()

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
    """Mark letters as posted."""
    Letter.objects.filter(id__in=letters).update(sent_at=utc_now())


def _current_versions() -> tuple[str, list[str]]:
    return launches.current_control(), launches.dark_versions()


def _id(stored: UUID | str) -> str:
    """An id as messages carry it: PostgreSQL keeps it as it is, SQLite its digits."""
    if isinstance(stored, UUID):
        return str(stored)
    return "-".join((stored[:8], stored[8:12], stored[12:16], stored[16:20], stored[20:]))
