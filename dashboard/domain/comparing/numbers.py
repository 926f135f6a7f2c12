"""Numbers of documents as exact decimals, and how far apart two of them are."""

from __future__ import annotations

import re
from decimal import Context, Decimal

#: A text that is longer is no number.
_MAX_DIGITS = 100
_DECIMAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")
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


def within(one: Decimal, other: Decimal, *, absolute: float | None, relative: float | None) -> bool:
    """Whether two numbers are at most so far apart: in itself, or as a share of the larger."""
    distance = _CONTEXT.subtract(one, other).copy_abs()
    if absolute is not None and distance <= Decimal(repr(float(absolute))):
        return True
    if relative is None:
        return False
    larger = max(one.copy_abs(), other.copy_abs())
    return distance <= _CONTEXT.multiply(larger, Decimal(repr(float(relative))))
