"""Writes checked orders: orders, lines and outbox messages, one statement per table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from kitchen_worker.contract import messages
from restaurant import launches
from restaurant.bulk_sql import insert
from restaurant.models import Order, OrderLine, OutboxMessage
from restaurant.order_signal import notify
from restaurant.pricing import OrderRequest, quote

_ORDER_COLUMNS = (
    "id",
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
    "body",
    "sample",
    "launch_change",
)
_LINE_COLUMNS = ("name", "title", "quantity", "unit_price", "preparation_time")

_TAKE_NUMBERS = """
    SELECT nextval(pg_get_serial_sequence('restaurant_order', 'id')) FROM generate_series(1, %s)
"""
#: Safe on SQLite: it has one writer, and the insert that follows updates this number.
_LAST_NUMBER = "SELECT MAX(seq) FROM sqlite_sequence WHERE name = 'restaurant_order'"


def write_orders(
    requests: Sequence[OrderRequest], *, idempotency_key: str | None = None, digest: str = ""
) -> list[Order]:
    """Write orders with their lines and outbox messages; call it in a transaction."""
    control, launch, shares, change = launches.routing()
    now = messages.utc_now()
    columns = {
        "launch_id": launch,
        "launch_change": change,
        "control": control,
        "idempotency_key": idempotency_key,
        "request_digest": digest,
    }
    orders = [
        _order(request, now, id=number, **columns)
        for request, number in zip(requests, _next_numbers(len(requests)), strict=True)
    ]
    for order, request in zip(orders, requests, strict=True):
        order.body = messages.encode_order(message_of(order, request))
        order.sample = launches.sample(order.uuid, shares)
    insert(
        Order,
        _ORDER_COLUMNS,
        [[getattr(order, name) for name in _ORDER_COLUMNS] for order in orders],
    )
    lines = [
        (order.pk, position, *(getattr(line, name) for name in _LINE_COLUMNS))
        for order, request in zip(orders, requests, strict=True)
        for position, line in enumerate(request.lines)
    ]
    insert(OrderLine, ("order_id", "position", *_LINE_COLUMNS), lines)
    insert(OutboxMessage, ("order_id",), [(order.pk,) for order in orders])
    notify()
    return orders


def _next_numbers(count: int) -> Sequence[int]:
    """The next order numbers, taken before the insert because the messages contain them."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_TAKE_NUMBERS, [count])
            return [number for (number,) in cursor.fetchall()]
        cursor.execute(_LAST_NUMBER)
        last = cursor.fetchone()[0] or 0
        return range(last + 1, last + 1 + count)


def _order(request: OrderRequest, now: datetime, **columns: Any) -> Order:
    total = quote(request.lines)
    return Order(
        placed_at=now,
        note=request.note,
        total_price=total.total_price,
        total_prep_time=total.total_prep_time,
        **columns,
    )


def message_of(order: Order, request: OrderRequest) -> messages.PlacedOrder:
    """The order as kitchens receive it."""
    total = quote(request.lines)
    return messages.PlacedOrder(
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
