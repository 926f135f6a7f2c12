"""Writes checked orders: the rows of orders, lines and letters, each kind with one statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from kitchen_worker.contract import messages
from restaurant import launches
from restaurant.models import Letter, Order, OrderLine
from restaurant.pricing import OrderRequest, quote
from restaurant.rows import insert

#: What is written of an order, and of a line as the request has it.
_ORDER = (
    "uuid",
    "launch_id",
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
    launch, shares = launches.routing()
    now = messages.utc_now()
    orders = [_order(request, launch, now, idempotency_key, digest) for request in requests]
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
        )
        for order, request in placed
    ]
    insert(Letter, ("order_id", "launch_id", "body", "sample"), letters)
    return orders


def _order(
    request: OrderRequest, launch: UUID | None, now: datetime, key: str | None, digest: str
) -> Order:
    total = quote(request.lines)
    return Order(
        launch_id=launch,
        placed_at=now,
        note=request.note,
        total_price=total.total_price,
        total_prep_time=total.total_prep_time,
        idempotency_key=key,
        request_digest=digest,
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
