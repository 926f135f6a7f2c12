"""Answers: turns the control's events into the state of customers' orders."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.db import Error, InterfaceError, OperationalError, connection, transaction

from kitchen_worker.amqp.broker import Broker, Deliveries
from kitchen_worker.amqp.dead_letters import RefusedMessage, publish_dead_letters
from kitchen_worker.amqp.decoding import DecodedEvent, decode_deliveries
from kitchen_worker.contract.messages import Event, EventKind, Role, utc_now
from restaurant.bulk_sql import run_for_each
from restaurant.db_retry import run_in_db_thread
from restaurant.models import Order, OrderState

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

#: Maximum number of unacknowledged deliveries.
PREFETCH = 200
#: Deliveries per transaction; each may have several events.
BATCH = 100
#: How long a batch gathers after its first delivery.
GATHER_S = 0.005
#: How long a step waits for a first delivery.
WAIT_S = 0.5
#: Orders per statement.
_CHUNK = 500

#: An escaped NUL in JSON, unless the backslash is itself escaped.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

_UPDATE = """
    UPDATE restaurant_order SET state = %s, answer = %s, answered_at = %s
    WHERE uuid = %s AND control = %s AND state IN ('placed', %s)
"""


async def step(
    broker: Broker,
    deliveries: Deliveries,
    *,
    wait_s: float = WAIT_S,
    on_attempt: Callable[[], None] = lambda: None,
    thread: Executor | None = None,
) -> bool:
    """Take one batch: commit, then acknowledge; returns whether there was anything."""
    batch = await deliveries.batch(at_most=BATCH, gather_s=GATHER_S, wait_s=wait_s)
    decoded, refused = decode_deliveries(batch)
    of_control = [one for one in decoded if one.event.role is Role.CONTROL]
    refused += [
        one.refused(f"a {one.event.role} ({one.event.version}) cannot answer customers")
        for one in decoded
        if one.event.role is not Role.CONTROL
    ]
    if of_control:
        record_batch = partial(_record_batch, of_control)
        refused += await run_in_db_thread(record_batch, on_attempt=on_attempt, thread=thread)
    for one in refused:
        logger.warning("dead letter: %s", one.reason, extra={"action": "dead_letter"})
    await publish_dead_letters(broker, refused)
    await deliveries.ack(batch)
    return bool(batch)


def record(events: Iterable[Event]) -> int:
    """Update orders from their control's events, in one transaction; returns how many changed.

    The first end of an order counts. Repeats, late ``received`` events, and events of a version
    that isn't the order's own control change nothing.
    """
    newest: dict[tuple[str, str], Event] = {}
    for event in events:
        known = newest.get((event.order_id, event.version))
        if known is None or known.kind is EventKind.RECEIVED:
            newest[event.order_id, event.version] = event
    now = connection.ops.adapt_datetimefield_value(utc_now())
    # Sorted, as in the outbox, so that transactions can't deadlock.
    rows = [_row(newest[key], now) for key in sorted(newest)]
    with transaction.atomic():
        return run_for_each(_UPDATE, rows)


def misdirected(decoded: Sequence[DecodedEvent]) -> list[RefusedMessage]:
    """Answers to unknown orders, or to orders of another control."""
    ends = [one for one in decoded if one.event.kind is not EventKind.RECEIVED]
    controls: dict[str, str] = {}
    for chunk in _chunks(sorted({one.event.order_id for one in ends})):
        found = Order.objects.filter(uuid__in=chunk).values_list("uuid", "control")
        controls.update((str(uuid), control) for uuid, control in found)
    refused = []
    for one in ends:
        order, control = one.event.order_id, controls.get(one.event.order_id)
        if control is None:
            refused.append(one.refused(f"nobody placed the order {order}"))
        elif control != one.event.version:
            reason = f"{control} is to answer the order {order}, not {one.event.version}"
            refused.append(one.refused(reason))
    return refused


def _record_batch(decoded: Sequence[DecodedEvent]) -> list[RefusedMessage]:
    """Record a batch; if the database refuses it, by halves. Returns the refused events."""
    try:
        changed = record(one.event for one in decoded)
    except (OperationalError, InterfaceError):
        raise
    except (Error, ValueError, OverflowError, RecursionError) as cause:
        if len(decoded) == 1:
            return [decoded[0].refused(f"cannot be stored: {cause}")]
        middle = len(decoded) // 2
        return _record_batch(decoded[:middle]) + _record_batch(decoded[middle:])
    newest = len({(one.event.order_id, one.event.version) for one in decoded})
    return misdirected(decoded) if changed < newest else []


def _row(event: Event, now: Any) -> tuple[Any, ...]:
    """The new values of an order, and the state besides ``placed`` in which it may be."""
    which = (_stored(event.order_id), event.version)
    if event.kind is EventKind.RECEIVED:
        return OrderState.IN_KITCHEN.value, None, None, *which, OrderState.PLACED.value
    return *_answer(event), now, *which, OrderState.IN_KITCHEN.value


def _stored(order: str) -> str:
    """An order's id as the database stores it: SQLite without the dashes."""
    return order if connection.features.has_native_uuid_field else order.replace("-", "")


def _answer(event: Event) -> tuple[str, str]:
    """The state after an end, and the stored answer as JSON."""
    if event.error is not None:
        error = {"type": event.error.type, "message": event.error.message}
        return OrderState.FAILED.value, _as_json({"error": error})
    return OrderState.READY.value, _as_json(event.result)


def _as_json(answer: Any) -> str:
    """The answer without NUL in its texts: PostgreSQL can't store that character."""
    encoded = msgspec.json.encode(answer)
    return _NUL.sub(rb"\1\\ufffd", encoded).decode()


def _chunks(items: Sequence[_T]) -> Iterable[Sequence[_T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
