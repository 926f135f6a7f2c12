"""Places orders: the order, its lines and its letter in one transaction, or nothing of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from django.db import IntegrityError

from kitchen_worker.contract import messages
from restaurant.models import Order
from restaurant.order_rows import message_of, write
from restaurant.pricing import SHOWN, Line, OrderRefused, OrderRequest, Problem, Refusal, quote
from restaurant.write_lock import write_transaction

#: Characters of a note.
MAX_NOTE = 500
#: Characters of an idempotency key.
MAX_KEY = 200

_MAX_PRICE = Decimal(10) ** 8
_MAX_TOTAL = Decimal(10) ** 10
_MAX_MINUTES = 2**31 - 1
#: The contract's bounds of one line.
_MAX_PORTIONS, _MAX_PREPARATION = 10_000, 100_000


def place_order(
    lines: Sequence[Line], *, note: str = "", idempotency_key: str | None = None
) -> Order:
    """Place one order. The same key with the same request gives the order that already stands."""
    request = OrderRequest(tuple(lines), note)
    if idempotency_key is None:
        return place_orders([request])[0]
    check(request)
    _check_key(idempotency_key)
    digest = _digest(request)
    stored = _stored(idempotency_key, digest)
    if stored is not None:
        return stored
    try:
        with write_transaction():
            return write([request], idempotency_key=idempotency_key, digest=digest)[0]
    except IntegrityError:
        # Another process placed the order under this key since we looked.
        stored = _stored(idempotency_key, digest)
        if stored is None:
            raise
        return stored


def place_orders(requests: Sequence[OrderRequest]) -> list[Order]:
    """Place several orders in one transaction: all of them or none."""
    for request in requests:
        check(request)
    with write_transaction():
        return write(requests)


def check(request: OrderRequest) -> None:
    """Raise OrderRefused when an order cannot be stored, or when no kitchen could read it."""
    _check_note(request.note)
    for line in request.lines:
        _check_line(line)
    try:
        messages.decode_order(messages.encode_order(message_of(_LONGEST, request)))
    except messages.OversizedMessage as cause:
        raise OrderRefused(Problem(Refusal.TOO_LARGE, "items", cause.reason)) from cause
    except messages.UnreadableMessage as cause:
        raise OrderRefused(Problem(Refusal.WRONG_LINE, "items", cause.reason)) from cause
    total = quote(request.lines)
    if total.total_price >= _MAX_TOTAL or total.total_prep_time > _MAX_MINUTES:
        raise OrderRefused(Problem(Refusal.TOO_LARGE, "items", "The total is out of range."))


def _check_key(key: str) -> None:
    if not (1 <= len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        message = f"An idempotency key is 1 to {MAX_KEY} printable ASCII characters."
        raise OrderRefused(Problem(Refusal.WRONG_KEY, "Idempotency-Key", message))


def _check_note(note: str) -> None:
    if len(note) > MAX_NOTE:
        message = f"A note has at most {MAX_NOTE} characters."
    elif not _is_storable(note):
        message = "A note cannot hold NUL or half a character."
    else:
        return
    raise OrderRefused(Problem(Refusal.WRONG_NOTE, "note", message))


def _check_line(line: Line) -> None:
    price = line.unit_price
    if not (_is_storable(line.name) and _is_storable(line.title)):
        message = "A name cannot hold NUL or half a character."
    elif not (price.is_finite() and 0 <= price < _MAX_PRICE):
        message = f"{line.name[:SHOWN]}: {price} is no price."
    elif not 1 <= line.quantity <= _MAX_PORTIONS:
        message = f"{line.name[:SHOWN]}: the quantity is out of range."
    elif not 0 <= line.preparation_time <= _MAX_PREPARATION:
        message = f"{line.name[:SHOWN]}: the minutes are out of range."
    elif price != price.quantize(Decimal("0.01")):
        message = f"{line.name[:SHOWN]}: {price} has a fraction of a cent."
    else:
        return
    raise OrderRefused(Problem(Refusal.WRONG_LINE, "items", message))


def _is_storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _digest(request: OrderRequest) -> str:
    """What was asked, whatever its order and whatever it costs by now."""
    asked = sorted((line.name, line.quantity) for line in request.lines)
    return hashlib.sha256(json.dumps([asked, request.note]).encode()).hexdigest()


def _stored(key: str, digest: str) -> Order | None:
    """The order that stands under a key; raises OrderRefused when it is another one."""
    order = Order.objects.filter(idempotency_key=key).first()
    if order is not None and order.request_digest != digest:
        message = "This idempotency key was used for another order."
        raise OrderRefused(Problem(Refusal.CONFLICT, "Idempotency-Key", message))
    return order


#: Stands for an order that is to be placed: none has a longer number or time of day.
_LONGEST = Order(id=2**63 - 1, placed_at=datetime(2000, 1, 1, 1, 1, 1, 111_111, tzinfo=UTC))
