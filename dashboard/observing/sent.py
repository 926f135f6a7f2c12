"""Orders as they were sent: what was ordered, and which dark versions were to handle it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from dashboard.verdict.coverage import shapes_of
from dashboard.verdict.segments import segments_of

logger = logging.getLogger(__name__)

#: Different orders whose segments and shapes are kept at hand: most launches see the same few.
_AT_HAND = 4096


class _Line(msgspec.Struct, frozen=True, gc=False):
    name: str
    quantity: int


class _Letter(msgspec.Struct, gc=False):
    """What of a letter's body matters here; the contract has more."""

    id: str
    placed_at: datetime
    items: tuple[_Line, ...]
    note: str = ""


class Sent(NamedTuple):
    """One order, and the versions that it was sent to in the dark."""

    uuid: UUID
    #: In seconds since 1970.
    placed_at: float
    sample: frozenset[str]
    segments: tuple[str, ...]
    shapes: tuple[str, ...]


_LETTERS = """
SELECT restaurant_letter.body, restaurant_letter.sample FROM restaurant_letter
JOIN restaurant_order ON restaurant_order.id = restaurant_letter.order_id
WHERE restaurant_order.uuid IN ({})
"""
_read = msgspec.json.Decoder(_Letter).decode
_read_sample = msgspec.json.Decoder(frozenset[str]).decode


def sent(orders: Collection[UUID]) -> Iterator[Sent]:
    """These orders, as far as they were placed, one after the other as they come."""
    by_hex = {order.hex: order for order in orders}
    for body, sample in _letters(list(by_hex)):
        try:
            letter = _read(body)
        except msgspec.MsgspecError as cause:
            logger.warning("a letter that is no order is not weighed: %s", cause)
            continue
        yield Sent(
            by_hex[letter.id.replace("-", "")],
            letter.placed_at.timestamp(),
            _read_sample(sample),
            *_parts(letter.items, letter.placed_at.hour, note=bool(letter.note)),
        )


def _letters(orders: list[str]) -> list[tuple[Any, ...]]:
    """Body and sample of the letters of orders: by hand, as Django looks at each id by itself."""
    if not orders:
        return []
    marks = ", ".join(["%s"] * len(orders))
    with connection.cursor() as cursor:
        cursor.execute(_LETTERS.format(marks), orders)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


@lru_cache(maxsize=_AT_HAND)
def _parts(
    lines: tuple[_Line, ...], hour: int, *, note: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The segments and the shapes of an order."""
    items = _items(lines)
    return segments_of(items, hour), shapes_of(items, note=note)


def _items(lines: tuple[_Line, ...]) -> dict[str, int]:
    """How many of each thing: a thing may be on several lines."""
    items: dict[str, int] = {}
    for line in lines:
        items[line.name] = items.get(line.name, 0) + line.quantity
    return items
