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
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import F, Q

from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import ID_PATTERN, ORDER_PLACED, utc_now
from kitchen_worker.contract.topology import kitchen_queue
from kitchen_worker.contract.wire import Broker, Deliveries, Delivery, Outgoing
from restaurant import launches
from restaurant.models import WAITING, Again, Letter, Order, OrderState
from restaurant.patience import in_database
from restaurant.queues import Queues

logger = logging.getLogger(__name__)

#: Orders that are sent again at once.
BATCH = 200
#: How often an order is sent again; the wait before each time is twice as long as the one before.
MOST_TIMES = 5
#: Where more wait in the control's queue, its control is late and nothing is known to be lost.
_LATE = 5_000
_PREFETCH = 200
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
        """The order for the control alone."""
        launch = {} if self.launch is None else {topology.LAUNCH_HEADER: str(self.launch)}
        return Outgoing(
            exchange=topology.ORDERS_LIVE,
            routing_key=self.control,
            body=self.body,
            type=ORDER_PLACED,
            message_id=str(self.order),
            headers=launch,
        )


@dataclass
class Resending:
    """Sends orders again over one session with the broker."""

    queues: Queues
    #: How long an order may stay unanswered before it is sent again.
    after: timedelta
    on_attempt: Callable[[], None] = lambda: None

    async def unanswered(self, broker: Broker) -> int:
        """Send again what has stayed unanswered for too long; gives how many orders."""
        current = await self._database(launches.current_control)
        former = await self._database(launches.former_controls)
        sent = 0
        for control in [current, *(name for name in former if former[name])]:
            sent += await self._unanswered_of(broker, control, current)
        return sent

    async def _unanswered_of(self, broker: Broker, control: str, current: str) -> int:
        asked_at, queue = utc_now(), kitchen_queue(control)
        waiting, target, why = await broker.depth(queue), control, Again.UNANSWERED
        if control != current and not await broker.consumers(queue):
            waiting, target, why = 0, current, Again.HANDED_OVER
        if waiting > _LATE:
            return 0
        find = partial(overdue, control, asked_at, self.after, waiting=waiting)
        orders: list[Lost] = await self._database(find)
        if orders and target != control:
            await self._database(partial(_hand_over, orders, target))
            orders = [msgspec.structs.replace(one, control=target) for one in orders]
        return await self._send(broker, orders, why)

    async def unrouted(self, broker: Broker, deliveries: Deliveries) -> bool:
        """Take orders that found no control's queue, and send them once it exists again."""
        batch = await deliveries.batch(at_most=BATCH, gather_s=_GATHER_S, wait_s=_WAIT_S)
        if batch:
            orders: list[Lost] = await self._database(partial(unanswered_among, batch))
            self.queues.forget()
            await self.queues.ensure(broker, {one.control for one in orders}, [])
            await self._send(broker, orders, Again.UNROUTED)
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
        """Publish orders to their control, and keep that they were sent again."""
        outcomes = await broker.publish([one.message() for one in orders])
        for failure in outcomes:
            if failure is not None:
                raise failure
        if orders:
            await self._database(partial(_mark, [one.letter for one in orders], why))
            logger.warning(
                "%d orders are sent to the control again: %s",
                len(orders),
                why.label,
                extra={"action": "sent_again"},
            )
        return len(orders)

    async def _database(self, call: Callable[[], Any]) -> Any:
        return await in_database(call, on_attempt=self.on_attempt)


def overdue(control: str, at: datetime, after: timedelta, *, waiting: int) -> list[Lost]:
    """Orders that a control should have answered, oldest first, at most a batch of them.

    A queue gives its oldest first: the newest ``waiting`` of the orders that were sent before
    ``at`` are still in it, and are not lost.
    """
    sent = Letter.objects.filter(
        order__in=launches.unanswered(control), sent_at__isnull=False, sent_at__lte=at
    )
    not_in_queue = sent.order_by("-order_id").values("pk")[waiting:]
    return _lost(
        Letter.objects.filter(_is_due(at, after), pk__in=not_in_queue).order_by("order_id")[:BATCH]
    )


def _is_due(at: datetime, after: timedelta) -> Q:
    due = Q(times_again=0, sent_at__lt=at - after)
    for times in range(1, MOST_TIMES):
        due |= Q(times_again=times, again_at__lt=at - after * 2**times)
    return due


def sent_again(launch: UUID, *, at_most: int) -> dict[Again, int]:
    """How many orders of a launch were sent again, by the last reason; counted to a bound."""
    again = Letter.objects.filter(launch=launch, times_again__gt=0)
    reasons = again.values_list("again_reason", flat=True)[:at_most]
    return {Again(why): count for why, count in Counter(reasons).most_common()}


def unanswered_among(deliveries: Iterable[Delivery]) -> list[Lost]:
    """The orders of these messages that still wait for an answer."""
    ids = {one.message_id for one in deliveries if one.message_id and _is_id(one.message_id)}
    waiting = Order.objects.filter(uuid__in=ids, state__in=WAITING)
    return _lost(Letter.objects.filter(order__in=waiting).order_by("order_id"))


def fail(deliveries: Iterable[Delivery]) -> None:
    """Bring orders that their own control's queue dead-lettered to their end."""
    reasons = {
        (one.message_id, one.routing_key): _reason(one.headers)
        for one in deliveries
        if _is_id(one.message_id)
    }
    with transaction.atomic():
        for order in Order.objects.filter(uuid__in={uuid for uuid, _ in reasons}):
            reason = reasons.get((str(order.uuid), kitchen_queue(order.control)))
            if reason is None:
                continue
            answer = {"error": {"type": _NOT_HANDLED, "message": reason}}
            failed = (
                launches.unanswered(order.control)
                .filter(pk=order.pk)
                .update(state=OrderState.FAILED, answer=answer, answered_at=utc_now())
            )
            if failed:
                logger.warning(
                    "order %s failed: %s", order.uuid, reason, extra={"action": "order_dead"}
                )


def _is_id(text: str | None) -> bool:
    return text is not None and re.fullmatch(ID_PATTERN, text) is not None


def _reason(headers: Mapping[str, Any]) -> str:
    """Why an order was dead-lettered: a kitchen's own words, or the broker's."""
    said = headers.get(topology.REASON_HEADER)
    if isinstance(said, str):
        return said
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else {}
    return f"the broker gave it up: {first.get('reason', 'it did not say why')}"


def _lost(letters: Any) -> list[Lost]:
    rows = letters.values_list(
        "pk", "order__uuid", "launch_id", "order__control", "body", named=False
    )
    return [
        Lost(letter=pk, order=order, launch=launch, control=control, body=bytes(body))
        for pk, order, launch, control, body in rows
    ]


def _mark(letters: Sequence[int], why: Again) -> None:
    Letter.objects.filter(pk__in=letters).update(
        times_again=F("times_again") + 1, again_at=utc_now(), again_reason=why.value
    )


def _hand_over(orders: Sequence[Lost], control: str) -> None:
    """Let another control answer; what the retired one still says of them no longer counts."""
    ids = [one.order for one in orders]
    Order.objects.filter(uuid__in=ids, state__in=WAITING).update(control=control)
