"""Blocks whose y is not known yet: a linear form of counts, to be weighed later.

The y of a block is the sum of its counts by place, each times a weight. Sums of y are then linear
forms, sums of y^2 and of neighbours' products quadratic ones, and adding blocks adds coefficients.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboard.domain.verdict.levels import GROUP, Level
from dashboard.domain.verdict.sequences import RatioBlocks

#: Counts by place.
Linear = dict[str, int]
#: Coefficients of products of two counts, by their places in order, with a space between.
Quadratic = dict[str, int]


def _products(first: Linear, second: Linear) -> Quadratic:
    found: Counter[str] = Counter()
    for a, m in first.items():
        for b, n in second.items():
            found[" ".join(sorted((a, b)))] += m * n
    return dict(found)


def _add(to: dict[str, int], more: Mapping[str, int], times: int = 1) -> None:
    for key, number in more.items():
        if number and times:
            to[key] = to.get(key, 0) + times * number


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
        _add(self.yy, _products(y, y))
        _add(self.xy1, self.last_y, x)
        _add(self.xy1, y, self.last_x)
        _add(self.yy1, _products(y, self.last_y))
        self.last_x, self.last_y = x, y
        self.pending_x += x
        _add(self.pending_y, y)
        if self.k % GROUP:
            return None
        whole = self.pending_x, self.pending_y
        self.pending_x, self.pending_y = 0, {}
        return whole

    def weighed(self, weights: Mapping[str, int]) -> Level:
        """The level of numbers that these weights make of it."""

        def linear(form: Linear) -> float:
            return float(sum(weights[place] * number for place, number in form.items()))

        def quadratic(form: Quadratic) -> float:
            total = 0
            for key, number in form.items():
                a, b = key.split(" ")
                total += weights[a] * weights[b] * number
            return float(total)

        y, xy, yy = linear(self.y), linear(self.xy), quadratic(self.yy)
        return Level(
            RatioBlocks(self.k, self.x, y, self.xx, xy, yy),
            *(self.xx1, linear(self.xy1), quadratic(self.yy1)),
            *(self.last_x, linear(self.last_y), self.pending_x, linear(self.pending_y)),
        )

    def to_json(self, places: Sequence[str]) -> list[object]:
        """Six numbers, five linear forms, two quadratic ones; a form by its coefficients alone."""
        return [
            *(getattr(self, name) for name in _NUMBERS),
            *([getattr(self, name).get(place, 0) for place in places] for name in _LINEAR),
            *([getattr(self, name).get(key, 0) for key in _keys(places)] for name in _QUADRATIC),
        ]

    @classmethod
    def from_json(cls, stored: Sequence[Any], places: Sequence[str]) -> FormLevel:
        """Read what ``to_json`` wrote of the same places."""
        split = len(_NUMBERS), len(_NUMBERS) + len(_LINEAR)
        numbers, linear, quadratic = (
            stored[: split[0]],
            stored[split[0] : split[1]],
            stored[split[1] :],
        )
        return cls(
            *numbers,
            *(_nonzero(places, form) for form in linear),
            *(_nonzero(_keys(places), form) for form in quadratic),
        )


def _keys(places: Sequence[str]) -> Iterator[str]:
    pairs = itertools.combinations_with_replacement(places, 2)
    return (f"{a} {b}" for a, b in pairs)


def _nonzero(keys: Iterable[str], numbers: Iterable[int]) -> dict[str, int]:
    return {key: number for key, number in zip(keys, numbers, strict=True) if number}
