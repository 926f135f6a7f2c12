"""Blocks whose y is not known yet: a linear form of counts, to be weighed later.

The y of a block is the sum of its counts by place, each times a weight. Sums of y are then linear
forms, sums of y^2 and of neighbours' products quadratic ones, and adding blocks adds coefficients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from dashboard.verdict.levels import GROUP, Level
from dashboard.verdict.sequences import RatioBlocks

#: Counts by place.
Linear = dict[int, int]
#: Coefficients of products of two counts, by their places, the greater one first.
Quadratic = dict[tuple[int, int], int]
_Key = TypeVar("_Key")


def _add(to: dict[_Key, int], more: Mapping[_Key, int], times: int = 1) -> None:
    if not times:
        return
    for key, number in more.items():
        if number:
            to[key] = to.get(key, 0) + times * number


def _add_products(to: Quadratic, first: Linear, second: Linear) -> None:
    for a, m in first.items():
        for b, n in second.items():
            key = (a, b) if a > b else (b, a)
            to[key] = to.get(key, 0) + m * n


_NUMBERS = ("k", "x", "xx", "xx1", "last_x", "pending_x")
_LINEAR = ("y", "xy", "xy1", "last_y", "pending_y")
_QUADRATIC = ("yy", "yy1")


@dataclass(slots=True)
class FormLevel:
    """A ``Level`` whose y is not a number but a linear form of the counts of classes."""

    k: int = 0
    x: int = 0
    xx: int = 0
    xx1: int = 0
    last_x: int = 0
    pending_x: int = 0
    y: Linear = field(default_factory=dict)
    xy: Linear = field(default_factory=dict)
    xy1: Linear = field(default_factory=dict)
    last_y: Linear = field(default_factory=dict)
    pending_y: Linear = field(default_factory=dict)
    yy: Quadratic = field(default_factory=dict)
    yy1: Quadratic = field(default_factory=dict)

    def add(self, x: int, y: Linear) -> tuple[int, Linear] | None:
        """Add a block; gives the block of the next level when this one completes it."""
        self.k += 1
        self.x += x
        self.xx += x * x
        self.xx1 += x * self.last_x
        _add(self.y, y)
        _add(self.xy, y, x)
        _add_products(self.yy, y, y)
        _add(self.xy1, self.last_y, x)
        _add(self.xy1, y, self.last_x)
        _add_products(self.yy1, y, self.last_y)
        self.last_x, self.last_y = x, y
        self.pending_x += x
        _add(self.pending_y, y)
        if self.k % GROUP:
            return None
        whole = self.pending_x, self.pending_y
        self.pending_x, self.pending_y = 0, {}
        return whole

    def weighed(self, weights: Sequence[int]) -> Level:
        """The level of numbers that these weights, by place, make of it."""

        def linear(form: Linear) -> float:
            return float(sum(weights[place] * number for place, number in form.items()))

        def quadratic(form: Quadratic) -> float:
            return float(sum(weights[a] * weights[b] * number for (a, b), number in form.items()))

        y, xy, yy = linear(self.y), linear(self.xy), quadratic(self.yy)
        return Level(
            RatioBlocks(self.k, self.x, y, self.xx, xy, yy),
            *(self.xx1, linear(self.xy1), quadratic(self.yy1)),
            *(self.last_x, linear(self.last_y), self.pending_x, linear(self.pending_y)),
        )

    def copy(self) -> FormLevel:
        """The same, to be added to without changing this."""
        numbers = (getattr(self, name) for name in _NUMBERS)
        return FormLevel(*numbers, *(dict(getattr(self, name)) for name in _LINEAR + _QUADRATIC))

    def to_json(self, places: int) -> list[object]:
        """Six numbers, five linear forms, two quadratic ones; a form by its coefficients alone."""
        return [
            *(getattr(self, name) for name in _NUMBERS),
            *([getattr(self, name).get(place, 0) for place in range(places)] for name in _LINEAR),
            *([getattr(self, name).get(key, 0) for key in _keys(places)] for name in _QUADRATIC),
        ]

    @classmethod
    def from_json(cls, stored: Sequence[Any]) -> FormLevel:
        """Read what ``to_json`` wrote."""
        split = len(_NUMBERS), len(_NUMBERS) + len(_LINEAR)
        linear = stored[split[0] : split[1]]
        places = len(linear[0])
        return cls(
            *stored[: split[0]],
            *(_nonzero(range(places), form) for form in linear),
            *(_nonzero(_keys(places), form) for form in stored[split[1] :]),
        )


@lru_cache(maxsize=64)
def _keys(places: int) -> tuple[tuple[int, int], ...]:
    return tuple((a, b) for a in range(places) for b in range(a + 1))


def _nonzero(keys: Iterable[_Key], numbers: Iterable[int]) -> dict[_Key, int]:
    return {key: number for key, number in zip(keys, numbers, strict=True) if number}
