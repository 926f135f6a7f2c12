"""Answers: what the control says of an order becomes the state of the customer's order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.db import Error, InterfaceError, OperationalError, connection, transaction

from kitchen_worker.contract.dead_letters import Refused, put_aside
from kitchen_worker.contract.hearing import Heard, hear
from kitchen_worker.contract.messages import Event, EventKind, Role, utc_now
from kitchen_worker.contract.wire import Broker, Deliveries
from restaurant.models import Order, OrderState
from restaurant.patience import in_database
from restaurant.rows import run_for_each

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

_BEGIN = "UPDATE restaurant_order SET state = 'in_kitchen' WHERE uuid = %s AND state = 'placed'"
_END = """
    UPDATE restaurant_order SET state = %s, answer = %s, answered_at = %s
    WHERE uuid = %s AND state IN ('placed', 'in_kitchen')
"""


async def step(
    broker: Broker,
    deliveries: Deliveries,
    *,
    wait_s: float = WAIT_S,
    on_attempt: Callable[[], None] = lambda: None,
) -> bool:
    """Take one batch: commit, then acknowledge; says whether there was anything."""
    batch = await deliveries.batch(at_most=BATCH, gather_s=GATHER_S, wait_s=wait_s)
    heard, refused = hear(batch)
    of_control = [one for one in heard if one.event.role is Role.CONTROL]
    refused += [
        one.refused(f"a {one.event.role} ({one.event.version}) cannot answer customers")
        for one in heard
        if one.event.role is not Role.CONTROL
    ]
    if of_control:
        refused += await in_database(partial(_record_batch, of_control), on_attempt=on_attempt)
    for one in refused:
        logger.warning("dead letter: %s", one.reason, extra={"action": "dead_letter"})
    await put_aside(broker, refused)
    await deliveries.ack(batch)
    return bool(batch)


def record(events: Iterable[Event]) -> int:
    """Bring orders up to what the control says of them, in one transaction; how many changed.

    The first end of an order stands; repeats and late ``received`` change nothing.
    """
    ends: dict[str, Event] = {}
    received: set[str] = set()
    for event in events:
        if event.kind is EventKind.RECEIVED:
            received.add(event.order_id)
        else:
            ends.setdefault(event.order_id, event)
    with transaction.atomic():
        changed = _end(ends)
        return changed + _begin(sorted(received - ends.keys()))


def _record_batch(heard: Sequence[Heard]) -> list[Refused]:
    """Record a batch at once, or, when the database refuses it, by halving; what it refuses."""
    try:
        record(one.event for one in heard)
    except (OperationalError, InterfaceError):
        raise
    except (Error, ValueError, OverflowError, RecursionError) as cause:
        if len(heard) == 1:
            return [heard[0].refused(f"cannot be stored: {cause}")]
        middle = len(heard) // 2
        return _record_batch(heard[:middle]) + _record_batch(heard[middle:])
    return []


def _begin(orders: Sequence[str]) -> int:
    return run_for_each(_BEGIN, [(_stored(order),) for order in orders])


def _end(ends: Mapping[str, Event]) -> int:
    """Save many answers; in one order, so that two relays never wait for each other in a circle."""
    now = connection.ops.adapt_datetimefield_value(utc_now())
    changed = run_for_each(
        _END, [(*_answer(ends[order]), now, _stored(order)) for order in sorted(ends)]
    )
    if changed < len(ends):
        _say_unknown(ends)
    return changed


def _stored(order: str) -> str:
    """An order's id as the database takes it: PostgreSQL as it is, SQLite its digits."""
    return order if connection.features.has_native_uuid_field else order.replace("-", "")


def _answer(event: Event) -> tuple[str, str]:
    """The state that an end brings, and what is kept of it as JSON."""
    if event.error is not None:
        error = {"type": event.error.type, "message": event.error.message}
        return OrderState.FAILED.value, _as_json({"error": error})
    return OrderState.READY.value, _as_json(event.result)


def _as_json(answer: Any) -> str:
    """The answer with NUL replaced in its texts: PostgreSQL cannot keep that character."""
    encoded = msgspec.json.encode(answer)
    if b"\\u0000" in encoded:
        encoded = encoded.replace(b"\\u0000", b"\\ufffd")
    return encoded.decode()


def _say_unknown(ends: Mapping[str, Event]) -> None:
    """Log the orders that nobody placed; the others that changed nothing were answered before."""
    known: set[str] = set()
    for chunk in _chunks(list(ends)):
        found = Order.objects.filter(uuid__in=chunk).values_list("uuid", flat=True)
        known.update(str(uuid) for uuid in found)
    for order in ends.keys() - known:
        logger.warning(
            "the control answered an order that nobody placed: %s",
            order,
            extra={"action": "unknown_order", "order_id": order},
        )


def _chunks(items: Sequence[_Item]) -> Iterable[Sequence[_Item]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
