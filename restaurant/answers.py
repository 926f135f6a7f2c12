"""Answers: what the control says of an order becomes the state of the customer's order."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.db import Error, InterfaceError, OperationalError, connection

from kitchen_worker.amqp.broker import Broker, Deliveries
from kitchen_worker.amqp.dead_letters import Refused, put_aside
from kitchen_worker.amqp.decoding import Heard, hear
from kitchen_worker.contract.messages import Event, EventKind, Role, utc_now
from restaurant.models import Order, OrderState
from restaurant.patience import in_database
from restaurant.rows import run_for_each
from restaurant.write_lock import write_transaction

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

#: NUL as JSON escapes it. Behind a backslash that is itself escaped, the same letters are text.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

_BEGIN = """
    UPDATE restaurant_order SET state = 'in_kitchen'
    WHERE uuid = %s AND control = %s AND state = 'placed'
"""
_END = """
    UPDATE restaurant_order SET state = %s, answer = %s, answered_at = %s
    WHERE uuid = %s AND control = %s AND state IN ('placed', 'in_kitchen')
"""


async def step(
    broker: Broker,
    deliveries: Deliveries,
    *,
    wait_s: float = WAIT_S,
    on_attempt: Callable[[], None] = lambda: None,
    thread: Executor | None = None,
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
        record_batch = partial(_record_batch, of_control)
        refused += await in_database(record_batch, on_attempt=on_attempt, thread=thread)
    for one in refused:
        logger.warning("dead letter: %s", one.reason, extra={"action": "dead_letter"})
    await put_aside(broker, refused)
    await deliveries.ack(batch)
    return bool(batch)


def record(events: Iterable[Event]) -> int:
    """Bring orders up to what their control says of them, in one transaction; how many changed.

    The first end of an order counts; repeats and late ``received`` change nothing, and neither does
    what another version than the order's own control says.
    """
    ends: dict[tuple[str, str], Event] = {}
    received: set[tuple[str, str]] = set()
    for event in events:
        told = (event.order_id, event.version)
        if event.kind is EventKind.RECEIVED:
            received.add(told)
        else:
            ends.setdefault(told, event)
    with write_transaction():
        return _end(ends) + _begin(sorted(received - ends.keys()))


def misdirected(heard: Sequence[Heard]) -> list[Refused]:
    """The answers to orders that nobody placed, or that another version is to answer."""
    ends = [one for one in heard if one.event.kind is not EventKind.RECEIVED]
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


def _record_batch(heard: Sequence[Heard]) -> list[Refused]:
    """Record a batch at once, or, when the database refuses it, by halving; what it refuses."""
    try:
        changed = record(one.event for one in heard)
    except (OperationalError, InterfaceError):
        raise
    except (Error, ValueError, OverflowError, RecursionError) as cause:
        if len(heard) == 1:
            return [heard[0].refused(f"cannot be stored: {cause}")]
        middle = len(heard) // 2
        return _record_batch(heard[:middle]) + _record_batch(heard[middle:])
    told = len({(one.event.order_id, one.event.version) for one in heard})
    return misdirected(heard) if changed < told else []


def _begin(told: Sequence[tuple[str, str]]) -> int:
    return run_for_each(_BEGIN, [(_stored(order), version) for order, version in told])


def _end(ends: Mapping[tuple[str, str], Event]) -> int:
    """Save many answers; in one order, so that two relays never wait for each other in a circle."""
    now = connection.ops.adapt_datetimefield_value(utc_now())
    return run_for_each(
        _END,
        [
            (*_answer(ends[order, version]), now, _stored(order), version)
            for order, version in sorted(ends)
        ],
    )


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
    return _NUL.sub(rb"\1\\ufffd", encoded).decode()


def _chunks(items: Sequence[_Item]) -> Iterable[Sequence[_Item]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
