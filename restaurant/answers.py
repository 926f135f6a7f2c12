"""Answers: what the control says of an order becomes the state of the customer's order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import Error, InterfaceError, OperationalError, connection, transaction

from kitchen_worker.contract.dead_letters import dead_letter
from kitchen_worker.contract.messages import (
    Event,
    EventKind,
    MessageError,
    Role,
    decode_events,
    utc_now,
)
from kitchen_worker.contract.topology import events_key
from kitchen_worker.contract.wire import Broker, Deliveries, Delivery
from restaurant.models import Order, OrderState
from restaurant.patience import in_database

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")

#: Deliveries that the broker hands over before the first of them is acknowledged.
PREFETCH = 200
#: Deliveries of one transaction; each may carry several events.
BATCH = 100
#: How long a batch gathers once its first delivery is there.
GATHER_S = 0.005
#: How long a step waits for a first delivery.
WAIT_S = 0.5
#: Orders of one statement.
_CHUNK = 500

_SAVE = "UPDATE restaurant_order SET state = %s, answer = %s, answered_at = %s WHERE id = %s"

_UNANSWERED = (OrderState.PLACED, OrderState.IN_KITCHEN)


class NotTheControl(ValueError):
    """Raised when an event is not the control's, or not of the version it was sent as."""


async def step(
    broker: Broker,
    deliveries: Deliveries,
    *,
    wait_s: float = WAIT_S,
    on_attempt: Callable[[], None] = lambda: None,
) -> bool:
    """Take one batch: commit, then acknowledge; says whether there was anything."""
    batch = await deliveries.batch(at_most=BATCH, gather_s=GATHER_S, wait_s=wait_s)
    read: list[tuple[Delivery, tuple[Event, ...]]] = []
    refused: list[tuple[Delivery, str]] = []
    for delivery in batch:
        try:
            read.append((delivery, events_of_control(delivery)))
        except (MessageError, NotTheControl) as cause:
            refused.append((delivery, str(cause)))
    if read:
        refused += await in_database(partial(_record_batch, read), on_attempt=on_attempt)
    bad = {delivery.tag for delivery, _ in refused}
    await deliveries.ack([delivery for delivery in batch if delivery.tag not in bad])
    for delivery, reason in refused:
        logger.warning("dead letter: %s", reason, extra={"action": "dead_letter"})
        await dead_letter(broker, deliveries, delivery, reason)
    return bool(batch)


def events_of_control(delivery: Delivery) -> tuple[Event, ...]:
    """The events of a delivery; raises MessageError or NotTheControl."""
    events = decode_events(delivery.body)
    for event in events:
        if event.role is not Role.CONTROL:
            raise NotTheControl(f"a {event.role} ({event.version}) cannot answer customers")
        if delivery.routing_key != events_key(event.role, event.version):
            raise NotTheControl(f"an event of {event.version} came as {delivery.routing_key}")
    return events


def record(events: Iterable[Event]) -> int:
    """Bring orders up to what the control says of them, in one transaction; how many changed.

    The first end of an order stands; repeats and late ``received`` change nothing.
    """
    ends: dict[UUID, Event] = {}
    received: set[UUID] = set()
    for event in events:
        order = UUID(event.order_id)
        if event.kind is EventKind.RECEIVED:
            received.add(order)
        else:
            ends.setdefault(order, event)
    now = utc_now()
    with transaction.atomic():
        changed = sum(_end(chunk, now) for chunk in _chunks(list(ends.items())))
        started = sorted(received - ends.keys())
        return changed + sum(_begin(chunk) for chunk in _chunks(started))


def _record_batch(read: Sequence[tuple[Delivery, tuple[Event, ...]]]) -> list[tuple[Delivery, str]]:
    """Record a batch at once, or one by one when the database refuses it; what it refuses, why."""
    try:
        record(event for _, events in read for event in events)
    except (OperationalError, InterfaceError):
        raise
    except Error as cause:
        if len(read) == 1:
            return [(read[0][0], f"cannot be stored: {cause}")]
        return [refusal for one in read for refusal in _record_batch([one])]
    return []


def _begin(orders: Sequence[UUID]) -> int:
    placed = Order.objects.filter(uuid__in=orders, state=OrderState.PLACED)
    return placed.update(state=OrderState.IN_KITCHEN)


def _end(ends: Sequence[tuple[UUID, Event]], now: datetime) -> int:
    by_order = dict(ends)
    known = list(
        Order.objects.select_for_update()
        .filter(uuid__in=by_order)
        .order_by("id")
        .values_list("id", "uuid", "state")
    )
    if len(known) < len(by_order):
        _say_unknown(by_order.keys() - {uuid for _, uuid, _ in known})
    waiting = [(number, by_order[uuid]) for number, uuid, state in known if state in _UNANSWERED]
    _save_answers([(number, *_answer(event), now) for number, event in waiting])
    return len(waiting)


def _save_answers(
    answered: Sequence[tuple[int, OrderState, dict[str, Any] | None, datetime]],
) -> None:
    """Save many answers with one statement run many times: bulk_update takes five times as long."""
    to_column = connection.ops
    rows = [
        (
            state.value,
            None if answer is None else to_column.adapt_json_value(_storable(answer), None),
            to_column.adapt_datetimefield_value(answered_at),
            number,
        )
        for number, state, answer, answered_at in answered
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_SAVE, rows)


def _answer(event: Event) -> tuple[OrderState, dict[str, Any] | None]:
    """The state that an end brings, and what is kept of it."""
    if event.error is not None:
        error = {"type": event.error.type, "message": event.error.message}
        return OrderState.FAILED, {"error": error}
    return OrderState.READY, event.result


def _storable(answer: Any) -> Any:
    """The answer with NUL replaced in its texts: PostgreSQL cannot keep that character."""
    if isinstance(answer, str):
        return answer.replace("\x00", "\ufffd")
    if isinstance(answer, list):
        return [_storable(value) for value in answer]
    if isinstance(answer, dict):
        return {_storable(name): _storable(value) for name, value in answer.items()}
    return answer


def _say_unknown(orders: Iterable[UUID]) -> None:
    for order in orders:
        logger.warning(
            "the control answered an order that nobody placed: %s",
            order,
            extra={"action": "unknown_order", "order_id": str(order)},
        )


def _chunks(items: Sequence[_Item]) -> Iterable[Sequence[_Item]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
