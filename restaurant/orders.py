"""Places orders: the order, its lines and its message, all in one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from kitchen_worker.contract import messages
from restaurant.models import Order
from restaurant.order_writer import message_of, write_orders
from restaurant.pricing import (
    MAX_SHOWN,
    OrderProblem,
    OrderRefused,
    OrderRequest,
    PricedLine,
    Refusal,
    quote,
)

#: Characters of a note.
MAX_NOTE = 500
#: Characters of an idempotency key.
MAX_KEY = 200

_MAX_PRICE = Decimal(10) ** 8
_MAX_TOTAL = Decimal(10) ** 10
_MAX_MINUTES = 2**31 - 1
#: The contract's bounds of one line.
_MAX_PORTIONS, _MAX_PREPARATION = 10_000, 100_000
#: Stands in for an order that has no number and time yet; no real ones are longer.
_PLACEHOLDER = Order(id=2**63 - 1, placed_at=datetime(2000, 1, 1, 1, 1, 1, 111_111, tzinfo=UTC))


def place_order(
    lines: Sequence[PricedLine], *, note: str = "", idempotency_key: str | None = None
) -> Order:
    """Place one order. The same idempotency key with the same request returns the existing
    order."""
    request = OrderRequest(tuple(lines), note)
    if idempotency_key is None:
        return place_orders([request])[0]
    check(request)
    _check_key(idempotency_key)
    digest = _digest(request)
    stored = _order_with_key(idempotency_key, digest)
    if stored is not None:
        return stored
    try:
        with transaction.atomic():
            return write_orders([request], idempotency_key=idempotency_key, digest=digest)[0]
    except IntegrityError:
        # Another process has just placed an order with this key.
        stored = _order_with_key(idempotency_key, digest)
        if stored is None:
            raise
        return stored


def place_orders(requests: Sequence[OrderRequest]) -> list[Order]:
    """Place several orders in one transaction."""
    for request in requests:
        check(request)
    with transaction.atomic():
        return write_orders(requests)


def check(request: OrderRequest) -> None:
    """Raise OrderRefused if an order can't be stored, or if no kitchen could read it."""
    _check_note(request.note)
    for line in request.lines:
        _check_line(line)
    try:
        messages.decode_order(messages.encode_order(message_of(_PLACEHOLDER, request)))
    except messages.OversizedMessage as cause:
        raise OrderRefused(OrderProblem(Refusal.TOO_LARGE, "items", cause.reason)) from cause
    except messages.UnreadableMessage as cause:
        raise OrderRefused(OrderProblem(Refusal.WRONG_LINE, "items", cause.reason)) from cause
    total = quote(request.lines)
    if total.total_price >= _MAX_TOTAL or total.total_prep_time > _MAX_MINUTES:
        raise OrderRefused(OrderProblem(Refusal.TOO_LARGE, "items", "The total is out of range."))


def _check_key(key: str) -> None:
    if not (1 <= len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        message = f"An idempotency key is 1 to {MAX_KEY} printable ASCII characters."
        raise OrderRefused(OrderProblem(Refusal.WRONG_KEY, "Idempotency-Key", message))


def _check_note(note: str) -> None:
    if len(note) > MAX_NOTE:
        message = f"A note has at most {MAX_NOTE} characters."
    elif not _is_storable(note):
        message = "A note cannot contain NUL or an unpaired surrogate."
    else:
        return
    raise OrderRefused(OrderProblem(Refusal.WRONG_NOTE, "note", message))


def _check_line(line: PricedLine) -> None:
    price = line.unit_price
    if not (_is_storable(line.name) and _is_storable(line.title)):
        message = "A name cannot contain NUL or an unpaired surrogate."
    elif not (price.is_finite() and 0 <= price < _MAX_PRICE):
        message = f"{line.name[:MAX_SHOWN]}: {price} is not a price."
    elif not 1 <= line.quantity <= _MAX_PORTIONS:
        message = f"{line.name[:MAX_SHOWN]}: the quantity is out of range."
    elif not 0 <= line.preparation_time <= _MAX_PREPARATION:
        message = f"{line.name[:MAX_SHOWN]}: the minutes are out of range."
    elif price != price.quantize(Decimal("0.01")):
        message = f"{line.name[:MAX_SHOWN]}: {price} has a fraction of a cent."
    else:
        return
    raise OrderRefused(OrderProblem(Refusal.WRONG_LINE, "items", message))


def _is_storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _digest(request: OrderRequest) -> str:
    """A hash of the request that ignores the sequence of its lines and their prices."""
    asked = sorted((line.name, line.quantity) for line in request.lines)
    return hashlib.sha256(json.dumps([asked, request.note]).encode()).hexdigest()


def _order_with_key(key: str, digest: str) -> Order | None:
    """The order with this key; raises OrderRefused if it was another request."""
    order = Order.objects.filter(idempotency_key=key).first()
    if order is not None and order.request_digest != digest:
        message = "This idempotency key was used for another order."
        raise OrderRefused(OrderProblem(Refusal.CONFLICT, "Idempotency-Key", message))
    return order
