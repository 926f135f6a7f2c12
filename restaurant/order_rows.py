"""Writes checked orders: the rows of orders, lines and letters, each kind with one statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from kitchen_worker.contract import messages
from restaurant import launches
from restaurant.models import Letter, Order, OrderLine
from restaurant.order_signal import notify
from restaurant.pricing import OrderRequest, quote
from restaurant.rows import insert

#: What is written of an order, and of a line as the request has it.
_ORDER = (
    "uuid",
    "launch_id",
    "control",
    "placed_at",
    "note",
    "total_price",
    "total_prep_time",
    "idempotency_key",
    "request_digest",
    "state",
)
_LINE = ("name", "title", "quantity", "unit_price", "preparation_time")


def write(
    requests: Sequence[OrderRequest], *, idempotency_key: str | None = None, digest: str = ""
) -> list[Order]:
    """Write orders, lines and letters; to be called inside a transaction."""
    control, launch, shares, change = launches.routing()
    now = messages.utc_now()
    under = {"idempotency_key": idempotency_key, "request_digest": digest}
    orders = [
        _order(request, now, launch_id=launch, control=control, **under) for request in requests
    ]
    ids = insert(Order, _ORDER, [[getattr(order, name) for name in _ORDER] for order in orders])
    for order, number in zip(orders, ids, strict=True):
        order.pk = number
    placed = list(zip(orders, requests, strict=True))
    lines = [
        (order.pk, position, *(getattr(line, name) for name in _LINE))
        for order, request in placed
        for position, line in enumerate(request.lines)
    ]
    insert(OrderLine, ("order_id", "position", *_LINE), lines)
    letters = [
        (
            order.pk,
            launch,
            messages.encode_order(message_of(order, request)),
            launches.sample(order.uuid, shares),
            change,
        )
        for order, request in placed
    ]
    insert(Letter, ("order_id", "launch_id", "body", "sample", "launch_change"), letters)
    notify()
    return orders


def _order(request: OrderRequest, now: datetime, **more: Any) -> Order:
    total = quote(request.lines)
    return Order(
        placed_at=now,
        note=request.note,
        total_price=total.total_price,
        total_prep_time=total.total_prep_time,
        **more,
    )


def message_of(order: Order, request: OrderRequest) -> messages.Order:
    """The order as every kitchen receives it."""
    total = quote(request.lines)
    return messages.Order(
        id=str(order.uuid),
        number=order.pk,
        placed_at=order.placed_at,
        items=tuple(
            messages.OrderItem(
                name=line.name,
                title=line.title,
                quantity=line.quantity,
                preparation_time=line.preparation_time,
                unit_price=_cents(line.unit_price),
            )
            for line in request.lines
        ),
        note=request.note,
        total_price=_cents(total.total_price),
        total_prep_time=total.total_prep_time,
    )


def _cents(money: Decimal) -> Decimal:
    return money.quantize(Decimal("0.01"))
