"""Orders that stay without an answer: found, and sent to the control again.

Three ways lead here. An order that found no control's queue comes back over
``restaurant.unrouted``. One that the control's queue dead-lettered comes over ``restaurant.dead``,
and its customer is told. And whatever else becomes of a message or of an answer, the order is still
unanswered in the database after a while. What is sent again goes to the control alone; where the
control had it after all, it answers twice, and the first answer counts.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import F, Q, QuerySet

from kitchen_worker.amqp.broker import (
    Broker,
    BrokerLost,
    DeclareRefused,
    Deliveries,
    Delivery,
    Outgoing,
)
from kitchen_worker.amqp.dead_letters import MAX_REASON
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import ID_PATTERN, ORDER_PLACED, rfc3339, utc_now
from kitchen_worker.contract.topology import ANSWERS_QUEUE, kitchen_queue
from restaurant import launches
from restaurant.models import Again, Letter, Order, OrderState
from restaurant.patience import in_database
from restaurant.queues import Queues
from restaurant.write_lock import write_transaction

logger = logging.getLogger(__name__)

#: Orders that are sent again at once.
BATCH = 200
#: The wait before an order is sent again doubles each time, and so often at most.
DOUBLINGS = 5
#: Where more wait in the control's queue, its control is late and nothing is known to be lost.
_LATE = 5_000
_GATHER_S, _WAIT_S = 0.05, 0.5
#: What a customer is told of an order that the control's queue dead-lettered.
_NOT_HANDLED = "NotHandled"


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is to be sent to a control again."""

    letter: int
    order: UUID
    launch: UUID | None
    control: str
    body: bytes

    def message(self) -> Outgoing:
        """The order for the control alone: nothing of it goes over ``orders``, so no number."""
        headers = {topology.SENT_AT_HEADER: rfc3339(utc_now())}
        if self.launch is not None:
            headers[topology.LAUNCH_HEADER] = str(self.launch)
        return Outgoing(
            exchange=topology.ORDERS_LIVE,
            routing_key=self.control,
            body=self.body,
            type=ORDER_PLACED,
            message_id=str(self.order),
            headers=headers,
        )


@dataclass
class Resending:
    """Sends orders again over one session with the broker."""

    queues: Queues
    #: How long an order may stay unanswered before it is sent again.
    after: timedelta
    on_attempt: Callable[[], None] = lambda: None
    #: Since when a former control has had no kitchen.
    _gone_since: dict[str, datetime] = field(default_factory=dict)

    async def unanswered(self, broker: Broker) -> int:
        """Send again a batch of what has stayed unanswered for too long; gives how many orders."""
        if await broker.depth(ANSWERS_QUEUE):
            return 0  # what waits there may be the answers
        current = await self._database(launches.current_control)
        former = await self._database(launches.former_controls)
        sent = 0
        for control in [current, *(name for name in former if former[name])]:
            try:
                sent += await self._unanswered_of(broker, control, current)
            except DeclareRefused as refusal:
                logger.info("%s", refusal, extra={"action": "no_queue"})
        return sent

    async def _unanswered_of(self, broker: Broker, control: str, current: str) -> int:
        at, queue = utc_now(), kitchen_queue(control)
        waiting = await broker.depth(queue)
        if control != current and await self._is_gone(broker, control, at):
            claim = partial(hand_over, control, current, at - self.after)
            return await self._send(broker, await self._database(claim), Again.HANDED_OVER)
        if waiting > _LATE:
            return 0
        claim = partial(claim_overdue, control, at, self.after, waiting=waiting)
        return await self._send(broker, await self._database(claim), Again.UNANSWERED)

    async def _is_gone(self, broker: Broker, control: str, at: datetime) -> bool:
        """Whether a former control has had no kitchen for so long that none is coming back."""
        if await broker.consumers(kitchen_queue(control)):
            self._gone_since.pop(control, None)
            return False
        return at - self._gone_since.setdefault(control, at) >= self.after

    async def unrouted(self, broker: Broker, deliveries: Deliveries) -> bool:
        """Take orders that found no control's queue, and send them once it exists again."""
        batch = await deliveries.batch(at_most=BATCH, gather_s=_GATHER_S, wait_s=_WAIT_S)
        if batch:
            orders: list[Lost] = await self._database(partial(unanswered_among, batch))
            self.queues.forget()
            controls = {one.control for one in orders}
            await self.queues.ensure(broker, controls, [])
            # Where the queue cannot be declared they would come back at once: they are sent later,
            # as every other order that stays unanswered.
            exist = {name for name in controls if await broker.has_queue(kitchen_queue(name))}
            orders = [one for one in orders if one.control in exist]
            if await self._send(broker, orders, Again.UNROUTED) < len(orders):
                raise BrokerLost("it does not take orders that found no queue")
            await self._database(partial(_mark, orders, Again.UNROUTED))
            await deliveries.ack(batch)
        return bool(batch)

    async def dead(self, deliveries: Deliveries) -> bool:
        """Take orders that the control's queue dead-lettered, and tell their customers."""
        batch = await deliveries.batch(at_most=BATCH, gather_s=_GATHER_S, wait_s=_WAIT_S)
        if batch:
            await self._database(partial(fail, batch))
            await deliveries.ack(batch)
        return bool(batch)

    async def _send(self, broker: Broker, orders: Sequence[Lost], why: Again) -> int:
        """Publish orders to their control; gives how many the broker took."""
        outcomes = await broker.publish([one.message() for one in orders])
        taken = sum(outcome is None for outcome in outcomes)
        if orders:
            logger.warning(
                "%d of %d orders are sent to the control again: %s",
                taken,
                len(orders),
                why.label,
                extra={"action": "sent_again"},
            )
        return taken

    async def _database(self, call: Callable[[], Any]) -> Any:
        return await in_database(call, on_attempt=self.on_attempt)


def claim_overdue(control: str, at: datetime, after: timedelta, *, waiting: int) -> list[Lost]:
    """Take orders that a control should have answered, oldest first, at most a batch of them.

    A queue gives its oldest first: the newest ``waiting`` of the orders that were sent before
    ``at`` are still in it, and are not lost. What is taken counts as sent again.
    """
    sent = Letter.objects.filter(order__in=launches.unanswered(control), sent_at__lte=at)
    not_in_queue = sent.order_by("-order_id").values("pk")[waiting:]
    with write_transaction():
        orders = _lost(Letter.objects.filter(_is_due(at, after), pk__in=not_in_queue))
        _mark(orders, Again.UNANSWERED)
    return orders


def hand_over(control: str, to: str, sent_before: datetime) -> list[Lost]:
    """Take orders of a former control for another one, at most a batch of them.

    What the former one still says of them no longer counts.
    """
    waiting = launches.unanswered(control)
    with write_transaction():
        orders = _lost(Letter.objects.filter(order__in=waiting, sent_at__lt=sent_before))
        waiting.filter(uuid__in=[one.order for one in orders]).update(control=to)
        _mark(orders, Again.HANDED_OVER)
    return [msgspec.structs.replace(one, control=to) for one in orders]


def _is_due(at: datetime, after: timedelta) -> Q:
    due = Q(times_again=0, sent_at__lt=at - after)
    for times in range(1, DOUBLINGS):
        due |= Q(times_again=times, again_at__lt=at - after * 2**times)
    return due | Q(times_again__gte=DOUBLINGS, again_at__lt=at - after * 2**DOUBLINGS)


def sent_again(launch: UUID, *, at_most: int) -> dict[Again, int]:
    """How many orders of a launch were sent again, by the last reason; counted to a bound."""
    again = Letter.objects.filter(launch=launch, times_again__gt=0)
    reasons = again.values_list("again_reason", flat=True)[:at_most]
    return {Again(why): count for why, count in Counter(reasons).most_common()}


def unanswered_among(deliveries: Iterable[Delivery]) -> list[Lost]:
    """The orders of these messages that still wait for an answer."""
    ids = {one.message_id for one in deliveries if one.message_id and _is_id(one.message_id)}
    waiting = Order.objects.filter(uuid__in=ids, answered_at__isnull=True)
    return _lost(Letter.objects.filter(order__in=waiting))


def fail(deliveries: Iterable[Delivery]) -> None:
    """Bring orders that their own control's queue dead-lettered to their end."""
    for one in deliveries:
        if not (one.message_id and _is_id(one.message_id)):
            continue
        for control in Order.objects.filter(uuid=one.message_id).values_list("control", flat=True):
            if one.routing_key == kitchen_queue(control):
                _fail(one.message_id, control, _reason(one.headers))


def _fail(order: str, control: str, reason: str) -> None:
    failed = launches.unanswered(control).filter(uuid=order)
    answer = {"error": {"type": _NOT_HANDLED, "message": reason}}
    if failed.update(state=OrderState.FAILED, answer=answer, answered_at=utc_now()):
        logger.warning("order %s failed: %s", order, reason, extra={"action": "order_dead"})


def _is_id(text: str) -> bool:
    return re.fullmatch(ID_PATTERN, text) is not None


def _reason(headers: Mapping[str, Any]) -> str:
    """Why an order was dead-lettered: a kitchen's own words, or the broker's; whatever they are."""
    given = headers.get(topology.REASON_HEADER)
    if given is None:
        deaths = headers.get("x-death")
        first = deaths[0] if isinstance(deaths, list) and deaths else None
        why = first.get("reason") if isinstance(first, dict) else None
        given = f"the broker gave it up: {why or 'it did not say why'}"
    text = given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)
    return text[:MAX_REASON].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _lost(letters: QuerySet[Letter]) -> list[Lost]:
    """A batch of these, oldest first; of several relays each gets others."""
    rows = (
        letters.order_by("order_id")
        .select_for_update(skip_locked=True, of=("self",))
        .values_list("pk", "order__uuid", "launch_id", "order__control", "body")[:BATCH]
    )
    with transaction.atomic():
        return [
            Lost(letter=pk, order=order, launch=launch, control=control, body=bytes(body))
            for pk, order, launch, control, body in rows
        ]


def _mark(orders: Sequence[Lost], why: Again) -> None:
    """Keep that orders are sent again."""
    Letter.objects.filter(pk__in=[one.letter for one in orders]).update(
        times_again=F("times_again") + 1, again_at=utc_now(), again_reason=why.value
    )
