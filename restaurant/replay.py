"""Recorded orders from a file of JSON Lines, checked line by line before any of them is placed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from restaurant.menu import BY_NAME
from restaurant.orders import check
from restaurant.pricing import Line, OrderRequest, item_name

#: Longest line that is read, in bytes.
MAX_LINE = 256 * 1024


class BadLine(ValueError):
    """Raised when a line is no recorded order; names the line and what is wrong with it."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number = number
        self.reason = reason


class _Wrong(ValueError):
    """Raised when a part of a line is not what it must be."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An order, and when it was placed the first time."""

    placed_at: datetime
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file holds, found by reading it once."""

    orders: int
    bad: int


def survey(path: Path, *, skip_bad: bool = False) -> Survey:
    """Read the whole file; raises BadLine at the first bad line unless they are to be skipped."""
    bad: list[BadLine] = []
    count = sum(1 for _ in recorded(path, on_bad=bad.append if skip_bad else _raise))
    return Survey(orders=count, bad=len(bad))


def recorded(path: Path, *, on_bad: Callable[[BadLine], object]) -> Iterator[Recorded]:
    """The orders of a file, one after another; blank lines are passed over."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if not raw.strip():
                continue
            try:
                yield read_line(raw, number)
            except BadLine as cause:
                while len(raw) > MAX_LINE and not raw.endswith(b"\n"):
                    raw = file.readline(MAX_LINE + 1)
                on_bad(cause)


def read_line(raw: bytes, number: int) -> Recorded:
    """Read one line; raises BadLine."""
    if len(raw) > MAX_LINE:
        raise BadLine(number, f"longer than {MAX_LINE} bytes")
    try:
        given = json.loads(raw.decode("utf-8-sig"), parse_float=Decimal)
        order = Recorded(
            placed_at=_instant(_member(given, "placed_at", str)),
            request=OrderRequest(_lines(_member(given, "items", list)), _note(given)),
        )
        check(order.request)
    except (ValueError, RecursionError) as cause:
        raise BadLine(number, str(cause) or type(cause).__name__) from cause
    return order


def _lines(items: list[Any]) -> tuple[Line, ...]:
    if not items:
        raise _Wrong("items is empty")
    return tuple(_line(item) for item in items)


def _line(item: Any) -> Line:
    """One line: on the menu, or with its own price and minutes."""
    name = _member(item, "name", str)
    known = BY_NAME.get(item_name(name))
    price, minutes = item.get("unit_price"), item.get("preparation_time")
    if known is not None:
        price = known.price if price is None else price
        minutes = known.preparation_time if minutes is None else minutes
    if price is None or minutes is None:
        raise _Wrong(f"{name[:100]!r} is not on the menu: give unit_price, preparation_time")
    if type(minutes) is not int:
        raise _Wrong("preparation_time must be a whole number of minutes")
    return Line(
        name=known.name if known else name,
        title=known.title if known else name,
        quantity=_member(item, "quantity", int),
        unit_price=_price(price),
        preparation_time=minutes,
    )


def _price(given: Any) -> Decimal:
    if type(given) not in (str, int, Decimal):
        raise _Wrong("unit_price must be a number, or text that is one")
    try:
        return Decimal(given)
    except InvalidOperation:
        raise _Wrong(f"unit_price: {given[:100]!r} is no number") from None


def _note(given: Any) -> str:
    note = given.get("note")
    if not isinstance(note, str | None):
        raise _Wrong("note must be text")
    return note or ""


def _member(given: Any, name: str, kind: type[Any]) -> Any:
    """A member of a JSON object that must be there and of one type."""
    if not isinstance(given, dict):
        raise _Wrong(f"a JSON object with {name} is needed")
    if type(value := given.get(name)) is not kind:
        raise _Wrong(f"{name} must be there and be a JSON {_KINDS[kind]}")
    return value


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _Wrong(f"placed_at: {text[:100]!r} is no RFC 3339 time") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _raise(cause: BadLine) -> None:
    raise cause


_KINDS: dict[type[Any], str] = {str: "string", list: "list", int: "whole number"}
