"""What the observer does beside its live work: sends orders again, and judges the past anew.

One bounded chunk at a time, and then a rest: as long as the chunk took, and several times that
while events wait. So live events come first, and a chore still gets on under steady load.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db import Error as DatabaseError

from dashboard.reviewing import rejudging
from dashboard.reviewing.replaying import Again, mark_sent, next_to_send, note_refusal
from kitchen_worker.amqp.broker import Broker, PublishFailed
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.contract.messages import utc_now
from restaurant.patience import in_database

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

#: How long until it looks again when there was nothing to do, and when something went wrong.
IDLE_S = 0.2
RETRY_S = 2.0
#: Live events wait for a chunk: one that took longer makes the next one smaller.
LONGEST_S = 0.2
#: The rest after a chunk, in times of what it took: while nothing waits, and while events do.
_REST = 1.0
_REST_UNDER_LOAD = 5.0
#: What a chore may run into that concerns nobody but itself.
_FAILURES = (
    DatabaseError, ObjectDoesNotExist, LookupError, ValueError, OverflowError, RecursionError
)  # fmt: skip


@dataclass
class Chores:
    """The chores of one observer."""

    shutdown: Shutdown
    #: Whether live events wait.
    is_busy: Callable[[], bool]
    #: Hears which launches a chore has changed.
    on_change: Callable[[Iterable[UUID]], None]
    #: Pairs of the next chunk that is judged anew: results may be small or large.
    chunk: int = field(default_factory=lambda: rejudging.CHUNK)

    async def run(self, broker: Broker) -> None:
        """Do what there is to do until shutdown, on a connected broker."""
        pause_s = 0.0
        while not await self.shutdown.wait(pause_s):
            started_at = time.monotonic()
            try:
                did_something = await self.step(broker)
            except _FAILURES as cause:
                logger.warning("a chore is put off: %s", cause, extra={"action": "put_off"})
                pause_s = RETRY_S
                continue
            took_s = time.monotonic() - started_at
            rest = _REST_UNDER_LOAD if self.is_busy() else _REST
            pause_s = took_s * rest if did_something else IDLE_S

    async def step(self, broker: Broker) -> bool:
        """One chunk of each chore; says whether there was anything to do."""
        sent = await self._send(broker)
        changed = await self._stored(self._rejudge)
        if changed is not None:
            self.on_change({changed})
        return sent or changed is not None

    def _rejudge(self) -> UUID | None:
        began = time.monotonic()
        changed = rejudging.step(utc_now(), at_most=self.chunk)
        is_long = time.monotonic() - began > LONGEST_S
        self.chunk = max(1, self.chunk // 2) if is_long else min(rejudging.CHUNK, self.chunk * 2)
        return changed

    async def _send(self, broker: Broker) -> bool:
        orders = await self._stored(lambda: next_to_send(utc_now()))
        if not orders:
            return False
        outcomes = await broker.publish([one.message for one in orders])
        taken = [one.id for one, refusal in zip(orders, outcomes, strict=True) if refusal is None]
        await self._stored(lambda: mark_sent(taken, utc_now()))
        await self._note_refusals(orders, outcomes)
        return True

    async def _note_refusals(
        self, orders: Sequence[Again], outcomes: Sequence[PublishFailed | None]
    ) -> None:
        refused = [one.id for one, refusal in zip(orders, outcomes, strict=True) if refusal]
        if not refused:
            return
        reason = str(next(refusal for refusal in outcomes if refusal))
        logger.warning(
            "%d orders were not sent again: %s", len(refused), reason, extra={"action": "not_sent"}
        )
        await self._stored(partial(note_refusal, refused, reason))
        await self.shutdown.wait(RETRY_S)

    async def _stored(self, work: Callable[[], _Answer]) -> _Answer:
        # No beat of health: that the live work goes on is not for a chore to say.
        return await in_database(work)
