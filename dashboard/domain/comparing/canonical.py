"""Tells whether JSON values are the same, by tokens: the same values have equal, hashable tokens.

Numbers go by value, so that 1 is 1.0; true is no number; NaN is NaN; the order of keys means
nothing. Values are what a JSON decoder makes. No depth is too deep: nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import Any


class _Special(Enum):
    """Tokens of what Python takes for equal to a number, or not for equal to itself."""

    TRUE = "true"
    FALSE = "false"
    NAN = "NaN"


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

    def _token(self, value: Any) -> Hashable:
        """The token of a scalar, or of a container that has one already."""
        kind = type(value)
        if kind is list or kind is dict:
            return self._of_container[id(value)]
        if kind is bool:
            return _Special.TRUE if value else _Special.FALSE
        # Only NaN is not itself.
        if kind is float and value != value:
            return _Special.NAN
        token: Hashable = value
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
            content = self._content(last)
            self._of_container[id(last)] = self._of_content.setdefault(content, object())

    def _content(self, container: list[Any] | dict[str, Any]) -> Hashable:
        if isinstance(container, dict):
            return frozenset((key, self._token(value)) for key, value in container.items())
        return tuple(map(self._token, container))


def same(first: Any, second: Any) -> bool:
    """Whether two JSON values are the same."""
    tokens = Tokens()
    return tokens.of(first) == tokens.of(second)
