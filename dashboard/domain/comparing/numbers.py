"""Numbers and times of documents as exact decimals, and how far apart two of them are."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import NamedTuple

#: A text that is longer is no number.
_MAX_DIGITS = 100
_DECIMAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")
_TIME = re.compile(
    r"(?P<whole>[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)"
    r"(?:[.,](?P<part>[0-9]{1,12}))? ?(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_START = datetime(1970, 1, 1, tzinfo=UTC)
#: Exact enough, and raises nothing.
_CONTEXT = Context(prec=60, traps=[])


def number(value: object) -> Decimal | None:
    """The decimal that is written as a JSON number; None for all else, and for infinity and NaN."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if not isinstance(value, float):
        return None
    # As it is written, so that 1.1 and 1.0 are exactly 0.1 apart.
    read = Decimal(repr(value))
    return read if read.is_finite() else None


def decimal_in(value: object) -> Decimal | None:
    """The decimal that is written in a text or as a number, or None."""
    if not isinstance(value, str):
        return number(value)
    text = value.strip() if len(value) <= _MAX_DIGITS else ""
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


class Moment(NamedTuple):
    """A time in seconds, since 1970 in UTC if its zone is known, else by a clock that is not."""

    seconds: Decimal
    has_zone: bool


def time_in(value: object) -> Moment | None:
    """The time that is written in a text as in ISO 8601, with its day, or None."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    zone = found["zone"] or ""
    offset = "+00:00" if zone in ("", "Z", "z") else zone
    try:
        whole = datetime.fromisoformat(found["whole"].upper() + offset)
    except ValueError:
        return None
    seconds = Decimal((whole - _START) // timedelta(seconds=1))
    return Moment(_CONTEXT.add(seconds, Decimal(f"0.{found['part'] or 0}")), bool(zone))


def within(one: Decimal, other: Decimal, *, absolute: float | None, relative: float | None) -> bool:
    """Whether two numbers are at most so far apart: in itself, or as a share of the larger."""
    distance = _CONTEXT.subtract(one, other).copy_abs()
    if absolute is not None and distance <= Decimal(repr(float(absolute))):
        return True
    if relative is None:
        return False
    larger = max(one.copy_abs(), other.copy_abs())
    return distance <= _CONTEXT.multiply(larger, Decimal(repr(float(relative))))
