"""Finds orders without an answer, and sends them to the control again.

There are three sources. An order without a control's queue comes back over
``restaurant.unrouted``. One that the control's queue dead-lettered comes over ``restaurant.dead``,
and fails for its customer. And after any other loss the order stays unanswered in the database.
Resent orders go to the control alone; if it had the order after all, its first answer counts.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import Q, QuerySet

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
from restaurant.bulk_sql import run_for_each
from restaurant.db_retry import run_in_db_thread
from restaurant.models import Order, OrderState, ResendReason
from restaurant.queues import Queues

logger = logging.getLogger(__name__)

#: Orders resent per batch.
BATCH = 200
#: The wait before an order is resent doubles, at most this often.
DOUBLINGS = 5
#: Behind a longer queue, an unanswered order is more likely late than lost: nothing is resent.
_LATE = 5_000
_GATHER_S, _WAIT_S = 0.05, 0.5
#: Failure type of an order that the control's queue dead-lettered.
_NOT_HANDLED = "NotHandled"

_COUNT_RESEND = """
    UPDATE restaurant_order SET times_again = times_again + 1, again_at = %s, again_reason = %s
    WHERE id = %s
"""


class UnansweredOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order to send to a control again."""

    id: int
    order: UUID
    launch: UUID | None
    control: str
    body: bytes

    def message(self) -> Outgoing:
        """The order for the control alone. It doesn't go through ``orders``, so it has no
        number."""
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
    """Resends orders over one session with the broker."""

    queues: Queues
    #: How long an order may stay unanswered before it is sent again.
    after: timedelta
    on_attempt: Callable[[], None] = lambda: None
    #: Since when former controls have had no kitchen.
    _gone_since: dict[str, datetime] = field(default_factory=dict)

    async def resend_unanswered(self, broker: Broker) -> int:
        """Resend a batch of overdue orders; returns how many."""
        if await broker.depth(ANSWERS_QUEUE):
            return 0  # the answers may be waiting there
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
            return await self._send(broker, await self._database(claim), ResendReason.HANDED_OVER)
        if waiting > _LATE:
            return 0
        claim = partial(claim_overdue, control, at, self.after, waiting=waiting)
        return await self._send(broker, await self._database(claim), ResendReason.UNANSWERED)

    async def _is_gone(self, broker: Broker, control: str, at: datetime) -> bool:
        """Whether a former control has been without a kitchen for so long that none is coming
        back."""
        if await broker.consumers(kitchen_queue(control)):
            self._gone_since.pop(control, None)
            return False
        return at - self._gone_since.setdefault(control, at) >= self.after

    async def resend_unrouted(self, broker: Broker, deliveries: Deliveries) -> bool:
        """Take orders that had no queue, and resend those whose control has one now."""
        batch = await deliveries.batch(at_most=BATCH, gather_s=_GATHER_S, wait_s=_WAIT_S)
        if batch:
            orders: list[UnansweredOrder] = await self._database(partial(unanswered_among, batch))
            self.queues.forget()
            controls = {one.control for one in orders}
            await self.queues.ensure(broker, controls, [])
            # Without a queue they would come back at once; they are resent later, like every other
            # unanswered order.
            exist = {name for name in controls if await broker.has_queue(kitchen_queue(name))}
            orders = [one for one in orders if one.control in exist]
            if await self._send(broker, orders, ResendReason.UNROUTED) < len(orders):
                raise BrokerLost("it rejects orders that came back without a queue")
            await self._database(partial(_record_resend, orders, ResendReason.UNROUTED))
            await deliveries.ack(batch)
        return bool(batch)

    async def fail_dead(self, deliveries: Deliveries) -> bool:
        """Fail the orders that the control's queue dead-lettered."""
        batch = await deliveries.batch(at_most=BATCH, gather_s=_GATHER_S, wait_s=_WAIT_S)
        if batch:
            await self._database(partial(fail, batch))
            await deliveries.ack(batch)
        return bool(batch)

    async def _send(
        self, broker: Broker, orders: Sequence[UnansweredOrder], why: ResendReason
    ) -> int:
        """Publish orders to their control; returns how many the broker accepted."""
        outcomes = await broker.publish([one.message() for one in orders])
        taken = sum(outcome is None for outcome in outcomes)
        if orders:
            logger.warning(
                "resent %d of %d orders to the control: %s",
                taken,
                len(orders),
                why.label,
                extra={"action": "sent_again"},
            )
        return taken

    async def _database(self, call: Callable[[], Any]) -> Any:
        return await run_in_db_thread(call, on_attempt=self.on_attempt)


def claim_overdue(
    control: str, at: datetime, after: timedelta, *, waiting: int
) -> list[UnansweredOrder]:
    """Claim a batch of overdue orders of a control, oldest first, and count them as resent.

    Queues deliver their oldest message first: the newest ``waiting`` of the orders sent before
    ``at`` are still in the queue, and not lost.
    """
    sent = launches.unanswered(control).filter(sent_at__lte=at)
    not_in_queue = sent.order_by("-id").values("pk")[waiting:]
    with transaction.atomic():
        orders = _lock_batch(Order.objects.filter(_is_due(at, after), pk__in=not_in_queue))
        _record_resend(orders, ResendReason.UNANSWERED)
    return orders


def hand_over(control: str, to: str, sent_before: datetime) -> list[UnansweredOrder]:
    """Give a batch of a former control's orders to another one.

    The former control's answers to them no longer count.
    """
    waiting = launches.unanswered(control)
    with transaction.atomic():
        orders = _lock_batch(waiting.filter(sent_at__lt=sent_before))
        waiting.filter(pk__in=[one.id for one in orders]).update(control=to)
        _record_resend(orders, ResendReason.HANDED_OVER)
    return [msgspec.structs.replace(one, control=to) for one in orders]


def _is_due(at: datetime, after: timedelta) -> Q:
    due = Q(times_again=0, sent_at__lt=at - after)
    for times in range(1, DOUBLINGS):
        due |= Q(times_again=times, again_at__lt=at - after * 2**times)
    return due | Q(times_again__gte=DOUBLINGS, again_at__lt=at - after * 2**DOUBLINGS)


def resend_counts(launch: UUID, *, at_most: int) -> dict[ResendReason, int]:
    """How many orders of a launch were resent, by the last reason; counted up to a bound."""
    again = Order.objects.filter(launch=launch, times_again__gt=0)
    reasons = again.values_list("again_reason", flat=True)[:at_most]
    return {ResendReason(why): count for why, count in Counter(reasons).most_common()}


def unanswered_among(deliveries: Iterable[Delivery]) -> list[UnansweredOrder]:
    """Those of these messages' orders that still have no answer."""
    ids = {one.message_id for one in deliveries if one.message_id and _is_id(one.message_id)}
    return _lock_batch(Order.objects.filter(uuid__in=ids, answered_at__isnull=True))


def fail(deliveries: Iterable[Delivery]) -> None:
    """Fail orders that their own control's queue dead-lettered."""
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
    """Why an order was dead-lettered, from the kitchen's header or the broker's."""
    given = headers.get(topology.REASON_HEADER)
    if given is None:
        deaths = headers.get("x-death")
        first = deaths[0] if isinstance(deaths, list) and deaths else None
        why = first.get("reason") if isinstance(first, dict) else None
        given = f"the broker dead-lettered it: {why or 'reason unknown'}"
    text = given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)
    return text[:MAX_REASON].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _lock_batch(waiting: QuerySet[Order]) -> list[UnansweredOrder]:
    """Lock a batch of these orders, oldest first; each relay gets a different one."""
    rows = (
        waiting.order_by("id")
        .select_for_update(skip_locked=True, no_key=True)
        .values_list("pk", "uuid", "launch_id", "control", "body")[:BATCH]
    )
    with transaction.atomic():
        return [
            UnansweredOrder(id=pk, order=order, launch=launch, control=control, body=bytes(body))
            for pk, order, launch, control, body in rows
        ]


def _record_resend(orders: Sequence[UnansweredOrder], why: ResendReason) -> None:
    """Record that orders were resent."""
    now = connection.ops.adapt_datetimefield_value(utc_now())
    # In the sequence in which answers are written, so that transactions can't deadlock.
    in_order = sorted(orders, key=attrgetter("order"))
    with transaction.atomic():
        run_for_each(_COUNT_RESEND, [(now, why.value, one.id) for one in in_order])
