"""Tells whether JSON values are the same, by tokens: the same values have equal, hashable tokens.

Numbers go by value, so that 1 is 1.0; true is no number; NaN is NaN; the order of keys means
nothing. Values are what a JSON decoder makes. No depth is too deep: nothing here recurses.

Python hashes a number by a rule that everybody knows, so a hostile document could hold thousands
that hash alike, and each look-up would go past all of them. The token of a number therefore holds
a text, whose hash is different in every process.
"""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from enum import Enum
from typing import Any


class _Special(Enum):
    """Tokens of what Python takes for equal to a number, or not for equal to itself."""

    TRUE = "true"
    FALSE = "false"
    NAN = "NaN"


#: Tokens of the numbers that most documents hold.
_SMALL = [(f"{number:x}",) for number in range(256)]


class Tokens:
    """Makes tokens that can be compared with each other; the values must outlive it."""

    def __init__(self) -> None:
        self._of_container: dict[int, object] = {}
        self._of_content: dict[Hashable, object] = {}

    def of(self, value: Any) -> Hashable:
        """The token of a value; each list and object in it is looked into once."""
        if type(value) is list or type(value) is dict:
            self._make(value)
        return self._token(value)

    def of_content(self, content: Hashable) -> object:
        """The token of a container, from the tokens of what it holds."""
        return self._of_content.setdefault(content, object())

    def _token(self, value: Any) -> Hashable:
        """The token of a scalar, or of a container that has one already."""
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
    # In hexadecimal: linear, and without Python's limit on decimal digits.
    return (f"{number:x}",)


def _decimal(number: float) -> Hashable:
    if number.is_integer():
        return _whole(int(number))
    # Only NaN is not itself.
    return (number.hex(),) if number == number else _Special.NAN


def token_of_decimal(number: Decimal) -> Hashable:
    """The token of a finite decimal, however it is spelled; no other value has it."""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    if not kept:
        return ("decimal", "0")
    return ("decimal", f"{'-' * sign}{kept}e{int(exponent) + len(text) - len(kept)}")


def same(first: Any, second: Any) -> bool:
    """Whether two JSON values are the same."""
    tokens = Tokens()
    return tokens.of(first) == tokens.of(second)
