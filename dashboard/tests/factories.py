"""Launches, orders and events for the dashboard's tests."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from kitchen_worker.contract.messages import (
    Event,
    EventKind,
    Failure,
    OrderItem,
    Role,
    encode_order,
)
from kitchen_worker.contract.messages import Order as WireOrder
from restaurant.models import DarkVersion, Launch, Letter, Order, OrderLine

START = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
ROLES = {"vlatest": Role.CONTROL, "vnext": Role.CANDIDATE, "vlatest-b": Role.BASELINE}
_numbers = count()


def a_launch(**fields: Any) -> Launch:
    """An open launch of vlatest, vnext and vlatest-b."""
    launch = Launch.objects.create(
        **{"name": "November", "control": "vlatest", "started_at": START, **fields}
    )
    DarkVersion.objects.create(launch=launch, version="vnext", role="candidate", percent=100)
    DarkVersion.objects.create(
        launch=launch, version="vlatest-b", role="baseline", percent=Decimal(20)
    )
    return launch


def an_order(
    launch: Launch | None,
    *,
    sample: tuple[str, ...] = ("vnext",),
    sent_at: datetime | None = START,
    placed_at: datetime = START,
    title: str = "Burger",
    quantity: int = 2,
) -> Order:
    """An order of one line that was placed, and sent, in a launch."""
    order = Order.objects.create(
        launch=launch, placed_at=placed_at, total_price=Decimal("7.00"), total_prep_time=10
    )
    OrderLine.objects.create(
        order=order,
        position=0,
        name=title.lower(),
        title=title,
        quantity=quantity,
        unit_price=Decimal("3.50"),
        preparation_time=5,
    )
    Letter.objects.create(
        order=order, launch=launch, body=_body(order), sample=list(sample), sent_at=sent_at
    )
    return order


def _body(order: Order) -> bytes:
    items = [
        OrderItem(
            name=line.name,
            title=line.title,
            quantity=line.quantity,
            preparation_time=line.preparation_time,
            unit_price=line.unit_price,
        )
        for line in order.lines.all()
    ]
    return encode_order(
        WireOrder(
            id=str(order.uuid),
            number=order.pk,
            placed_at=order.placed_at,
            items=tuple(items),
            note=order.note,
            total_price=order.total_price,
            total_prep_time=order.total_prep_time,
        )
    )


def an_event(
    launch: Launch | uuid.UUID | None,
    order: uuid.UUID,
    version: str = "vnext",
    kind: EventKind = EventKind.HANDLED,
    **fields: Any,
) -> Event:
    """What a version says of an order; it took 150 ms unless said otherwise."""
    ended = kind is not EventKind.RECEIVED
    known: dict[str, Any] = {
        "event_id": f"event-{next(_numbers)}",
        "kind": kind,
        "order_id": str(order),
        "launch": str(launch.id) if isinstance(launch, Launch) else launch and str(launch),
        "version": version,
        "role": ROLES.get(version, Role.CANDIDATE),
        "build": "git:1a2b3c",
        "worker": "host-1:4711",
        "placed_at": START,
        "received_at": START + timedelta(milliseconds=3),
        "finished_at": START + timedelta(milliseconds=153) if ended else None,
        "queue_ms": 3.0,
        "handling_ms": 150.0 if ended else None,
        "result": {"total_price": "7.00"} if kind is EventKind.HANDLED else None,
        "error": Failure(type="TooMany", message="too many") if kind is EventKind.FAILED else None,
    }
    return Event(**{**known, **fields})
