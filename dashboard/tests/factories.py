"""Launches, orders and events for the dashboard's tests."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from dashboard.fold.admission import EventMessage
from dashboard.ingest import stream
from dashboard.models import ObservedOrder
from kitchen_worker.contract.messages import (
    RAW_EVENTS,
    Event,
    EventKind,
    Failure,
    OrderItem,
    Role,
    encode_event,
    encode_order,
)
from kitchen_worker.contract.messages import PlacedOrder as WireOrder
from restaurant.description import Description, describe
from restaurant.models import DarkVersion, Launch, Order, OrderLine, OutboxMessage

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
    note: str = "",
) -> Order:
    """An order of one line that was placed, sent, and seen by the observer, in a launch."""
    order = Order.objects.create(
        launch=launch,
        placed_at=placed_at,
        total_price=Decimal("7.00"),
        total_prep_time=10,
        sample=list(sample),
        sent_at=sent_at,
        note=note,
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
    order.body = _body(order)
    order.save()
    if sent_at is None:
        OutboxMessage.objects.create(order=order)
    elif launch is not None:
        observed(launch.id, str(order.uuid), body=order.body, sample=sample, sent_at=sent_at)
    return order


def observed(
    launch: uuid.UUID,
    order_id: str,
    *,
    body: bytes = b"",
    sample: Collection[str] = ("vnext",),
    sent_at: datetime = START,
    placed_at: datetime | None = None,
    arrived_at: datetime | None = None,
) -> ObservedOrder:
    """An order whose message the observer has seen."""
    about = describe(body) if body else Description()
    newest = ObservedOrder.objects.order_by("-id").values_list("id", flat=True).first()
    return ObservedOrder.objects.create(
        id=(newest or 0) + 1,
        order_id=order_id,
        launch=launch,
        number=about.number,
        placed_at=placed_at or about.placed_at or sent_at,
        sent_at=sent_at,
        arrived_at=arrived_at or sent_at,
        body=body,
        label=about.label,
        size=about.size,
        categories=list(about.categories),
        sample=sorted(sample),
    )


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


def as_message(event: Event) -> EventMessage:
    """An event as the observer reads it."""
    return stream.as_message(RAW_EVENTS.one(encode_event(event)))
