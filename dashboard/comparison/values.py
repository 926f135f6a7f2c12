"""JSON values: equality by tokens, and numbers and times as exact decimals.

Equal values have equal, hashable tokens. Numbers compare by value, so 1 is 1.0; true is not a
number; NaN equals NaN; the order of keys is ignored. Nothing here recurses, so depth is unlimited.

Python's hash of a number is predictable: a hostile document could hold thousands that collide. The
token of a number therefore holds a text, whose hash differs in every process.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from enum import Enum
from typing import Any, NamedTuple


class _Special(Enum):
    """Tokens of values that Python considers equal to a number, or unequal to themselves."""

    TRUE = "true"
    FALSE = "false"
    NAN = "NaN"


#: Tokens of common numbers.
_SMALL = [(f"{number:x}",) for number in range(256)]


class Tokens:
    """Makes tokens that can be compared with each other. The values must outlive it."""

    def __init__(self) -> None:
        self._of_container: dict[int, object] = {}
        self._of_content: dict[Hashable, object] = {}

    def of(self, value: Any) -> Hashable:
        """The token of a value; each list and object in it is visited once."""
        if type(value) is list or type(value) is dict:
            self._make(value)
        return self._token(value)

    def of_content(self, content: Hashable) -> object:
        """The token of a container, given the tokens of its contents."""
        return self._of_content.setdefault(content, object())

    def _token(self, value: Any) -> Hashable:
        kind = type(value)
        token: Hashable = value
        if kind is str:
            return token
        if kind is list or kind is dict:
            return self._of_container[id(value)]
        if kind is bool:
            return _Special.TRUE if value else _Special.FALSE
        if kind is int:
            return _whole(value)
        if kind is float:
            return _decimal(value)
        return token

    def _make(self, container: list[Any] | dict[str, Any]) -> None:
        waiting = [container]
        while waiting:
            last = waiting[-1]
            if id(last) in self._of_container:
                waiting.pop()
                continue
            inner = [
                value
                for value in (last.values() if isinstance(last, dict) else last)
                if (type(value) is list or type(value) is dict)
                and id(value) not in self._of_container
            ]
            if inner:
                waiting.extend(inner)
                continue
            waiting.pop()
            self._of_container[id(last)] = self.of_content(self._content(last))

    def _content(self, container: list[Any] | dict[str, Any]) -> Hashable:
        if isinstance(container, dict):
            return frozenset((key, self._token(value)) for key, value in container.items())
        return tuple(map(self._token, container))


def _whole(number: int) -> Hashable:
    if 0 <= number < len(_SMALL):
        return _SMALL[number]
    # Hexadecimal takes linear time, and Python limits decimal digits.
    return (f"{number:x}",)


def _decimal(number: float) -> Hashable:
    if number.is_integer():
        return _whole(int(number))
    return _Special.NAN if math.isnan(number) else (number.hex(),)


def token_of_decimal(number: Decimal) -> Hashable:
    """The token of a finite decimal, whatever its spelling; no other value has it."""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    if not kept:
        return ("decimal", "0")
    return ("decimal", f"{'-' * sign}{kept}e{int(exponent) + len(text) - len(kept)}")


def same(first: Any, second: Any) -> bool:
    tokens = Tokens()
    return tokens.of(first) == tokens.of(second)


#: Longer texts are not read as numbers.
_MAX_DIGITS = 100
_DECIMAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")
_TIME = re.compile(
    r"(?P<whole>[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)"
    r"(?:[.,](?P<part>[0-9]{1,12}))? ?(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_START = datetime(1970, 1, 1, tzinfo=UTC)
#: Exact enough, and never raises.
_CONTEXT = Context(prec=60, traps=[])


def number(value: object) -> Decimal | None:
    """A finite JSON number as a decimal; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if not isinstance(value, float):
        return None
    # As written, so that 1.1 and 1.0 are exactly 0.1 apart.
    read = Decimal(repr(value))
    return read if read.is_finite() else None


def decimal_in(value: object) -> Decimal | None:
    """A decimal from a number or a text, or None."""
    if not isinstance(value, str):
        return number(value)
    text = value.strip() if len(value) <= _MAX_DIGITS else ""
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


class ParsedTime(NamedTuple):
    """Seconds since 1970; in UTC if the text names a zone, else in an unknown one."""

    seconds: Decimal
    has_zone: bool


def time_in(value: object) -> ParsedTime | None:
    """The date and time in an ISO 8601 text, or None."""
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
    return ParsedTime(_CONTEXT.add(seconds, Decimal(f"0.{found['part'] or 0}")), bool(zone))


def within(one: Decimal, other: Decimal, *, absolute: float | None, relative: float | None) -> bool:
    """Whether the distance of two numbers is within a tolerance; relative: of the larger one."""
    distance = _CONTEXT.subtract(one, other).copy_abs()
    if absolute is not None and distance <= Decimal(repr(float(absolute))):
        return True
    if relative is None:
        return False
    larger = max(one.copy_abs(), other.copy_abs())
    return distance <= _CONTEXT.multiply(larger, Decimal(repr(float(relative))))
