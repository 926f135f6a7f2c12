"""Makes orders and events for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from kitchen_worker.amqp.broker import Outgoing
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import (
    ORDER_PLACED,
    Event,
    EventKind,
    OrderItem,
    PlacedOrder,
    Role,
    decode_event,
    encode_order,
    split_events,
)
from kitchen_worker.contract.topology import (
    LAUNCH_HEADER,
    ORDERS,
    QueueTypes,
    Topology,
    dark_header,
)

A_MOMENT = datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC)
CONTROL = "vlatest"
LAUNCH = "0e1b8f3a-6f0c-4c7e-9b1d-0c5f6f1f2a3b"


def topology_of(*dark: str, types: QueueTypes | None = None) -> Topology:
    """All that relay and observer declare for vlatest and these dark versions."""
    types = types or QueueTypes()
    whole = topology.live(CONTROL, types) + topology.stream(types)
    return sum((topology.dark(version, types) for version in dark), whole)


def an_item(name: str = "burger", quantity: int = 1, **changes: Any) -> OrderItem:
    """A line of an order."""
    fields = {"title": name.title(), "preparation_time": 5, "unit_price": Decimal("3.50")}
    return OrderItem(name=name, quantity=quantity, **{**fields, **changes})


def an_order(*items: OrderItem, **changes: Any) -> PlacedOrder:
    """An order of the given lines; of one burger when none are given."""
    lines = items or (an_item(),)
    fields: dict[str, Any] = {
        "id": str(uuid4()),
        "number": 1042,
        "placed_at": A_MOMENT,
        "items": lines,
        "note": "no onions",
        "total_price": sum((one.quantity * one.unit_price for one in lines), Decimal()),
        "total_prep_time": sum(one.quantity * one.preparation_time for one in lines),
    }
    return PlacedOrder(**{**fields, **changes})


def an_event(kind: EventKind = EventKind.HANDLED, **changes: Any) -> Event:
    """What vnext says of an order."""
    fields: dict[str, Any] = {
        "event_id": str(uuid4()),
        "kind": kind,
        "order_id": str(uuid4()),
        "launch": LAUNCH,
        "version": "vnext",
        "role": Role.CANDIDATE,
        "received_at": A_MOMENT,
    }
    if kind is not EventKind.RECEIVED:
        fields |= {"finished_at": A_MOMENT, "queue_ms": 3.1, "handling_ms": 212.4}
    if kind is EventKind.HANDLED:
        fields["result"] = {"cook": "Esi"}
    return Event(**{**fields, **changes})


def posted(order: PlacedOrder, *dark: str, launch: str | None = LAUNCH) -> Outgoing:
    """An order as the relay posts it, for the control and for ``dark`` versions."""
    headers = {dark_header(version): "1" for version in dark}
    return posted_bytes(encode_order(order), headers, launch=launch, message_id=order.id)


def posted_bytes(
    body: bytes,
    headers: dict[str, str] | None = None,
    *,
    launch: str | None = LAUNCH,
    message_id: str | None = None,
) -> Outgoing:
    """Any bytes where an order is expected."""
    return Outgoing(
        exchange=ORDERS,
        routing_key=CONTROL,
        body=body,
        type=ORDER_PLACED,
        message_id=message_id,
        headers={**(headers or {}), **({LAUNCH_HEADER: launch} if launch else {})},
    )


def decode_events(raw: bytes) -> tuple[Event, ...]:
    """All events of a message; raises for the first that cannot be read."""
    return tuple(decode_event(one) for one in split_events(raw))
