"""Differences beyond noise, stored so that a review takes effect at once and over the whole launch.

An order counts as different if it shows a discrepancy that nobody has accepted. Which ones are
accepted is decided during the launch, so a running yes-or-no rate cannot be kept. Instead there is
one count per *class*: the set of discrepancies that the candidate's result shows, together with the
set that the baseline's shows. Given the accepted ones, each class has weight +1 (only the candidate
differs), -1 (only the baseline differs) or 0. The difference y of a block is then a linear form of
its counts, and y^2 a quadratic form. Both are sums over blocks, so ``rate`` returns exactly what
would have been counted had the review existed from the first order on.

A launch keeps the first MOST_CLASSES classes apart. For the others it keeps only which sides
differ. If nothing is accepted that is enough; otherwise they may or may not count, and ``rate``
returns the lower and the upper bound.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from dashboard.verdict.levels import GROUP, Level, MultiLevelBlocks
from dashboard.verdict.rates import BoundedRate, PairedRate, RobustRate
from dashboard.verdict.sequences import RatioBlocks

MOST_CLASSES = 48
#: A result with more discrepancies than this gets the signature "many".
MOST_IDS = 8
MANY = 0
#: A side that differs, without more being known about it.
SOMETHING = "*"
#: The catch-all classes, by the sides that differ.
OTHERS = (f"{SOMETHING}|", f"|{SOMETHING}", f"{SOMETHING}|{SOMETHING}")
_SHORT = frozenset(f"{MANY}|{SOMETHING}")


def signature(ids: Collection[int]) -> str:
    """A set of discrepancies as text; empty for the empty set."""
    return ",".join(map(str, sorted(ids))) if len(ids) <= MOST_IDS else str(MANY)


def class_of(shown: Collection[int], noise: Collection[int]) -> str:
    """The class of an order: the candidate's signature and the baseline's."""
    return f"{signature(shown)}|{signature(noise)}"


def other_of(name: str) -> str:
    """The catch-all class for one that is not kept apart."""
    shown, _, noise = name.partition("|")
    return f"{SOMETHING if shown else ''}|{SOMETHING if noise else ''}"


def simplest(name: str) -> tuple[int, str]:
    """Sort key for the classes to keep: those with the fewest discrepancies first."""
    return (0 if set(name) <= _SHORT else len(name)), name


def counts(text: str, accepted: Collection[int]) -> bool:
    """Whether a signature may contain something that was not accepted."""
    if text == SOMETHING:
        return True
    return any(int(one) not in accepted for one in text.split(",") if one)


def surely_counts(text: str, accepted: Collection[int]) -> bool:
    """Whether a signature certainly contains something that was not accepted."""
    if text == SOMETHING:
        return not accepted
    if text == str(MANY):
        return len(accepted) <= MOST_IDS
    return counts(text, accepted)


def weights(name: str, accepted: Collection[int]) -> tuple[int, int]:
    """The lowest and highest weight that an order of the class may have.

    1 if it counts against the candidate, -1 if in its favour, 0 if not at all. Both are equal for a
    class that is kept apart and shows few discrepancies.
    """
    shown, _, noise = name.partition("|")
    least = surely_counts(shown, accepted) - counts(noise, accepted)
    most = counts(shown, accepted) - surely_counts(noise, accepted)
    return least, most


@dataclass(slots=True)
class Differences:
    """The orders that control, candidate and baseline handled, in blocks, by class."""

    names: list[str] = field(default_factory=list)
    levels: list[FormLevel] = field(default_factory=list)

    def add(self, orders: int, classes: Mapping[str, int]) -> None:
        """Add the next block: the number of orders that all three handled, and the count of each
        class."""
        if orders == 0:
            return
        block: tuple[int, Linear] | None = (orders, self._told_apart(classes))
        depth = 0
        while block is not None:
            if depth == len(self.levels):
                self.levels.append(FormLevel())
            block = self.levels[depth].add(*block)
            depth += 1

    def _told_apart(self, classes: Mapping[str, int]) -> Linear:
        places = {name: place for place, name in enumerate(self._places)}
        found: Linear = {}
        for name in sorted(classes, key=lambda one: (-classes[one], simplest(one))):
            if name not in places and len(self.names) < MOST_CLASSES:
                places[name] = len(places)
                self.names.append(name)
            place = places[name if name in places else other_of(name)]
            found[place] = found.get(place, 0) + classes[name]
        return found

    @property
    def _places(self) -> tuple[str, ...]:
        """The classes, in the order of the coefficients in the forms."""
        return (*OTHERS, *self.names)

    def rate(self, accepted: Collection[int] = ()) -> BoundedRate:
        """The difference between the rates at which candidate and baseline differ, without what is
        accepted."""
        if not self.levels:
            return BoundedRate.exactly(RobustRate())
        weighed = [weights(name, accepted) for name in self._places]
        least, most = ([one[side] for one in weighed] for side in (0, 1))
        base = self.levels[0].y
        unknown = sum(base.get(place, 0) for place, one in enumerate(weighed) if one[0] != one[1])
        worst = self._weighed(most)
        return BoundedRate(self._weighed(least) if unknown else worst, worst, unknown)

    def _weighed(self, weighed: Sequence[int]) -> RobustRate:
        base = self.levels[0]
        pos = sum(number for place, number in base.y.items() if weighed[place] > 0)
        neg = sum(number for place, number in base.y.items() if weighed[place] < 0)
        levels = [level.weighed(weighed) for level in self.levels]
        return RobustRate(PairedRate(pos, neg, base.x - pos - neg), MultiLevelBlocks(levels))

    @property
    def orders(self) -> int:
        return self.levels[0].x if self.levels else 0

    def copy(self) -> Differences:
        return Differences(list(self.names), [level.copy() for level in self.levels])

    def to_json(self) -> list[object]:
        places = len(self._places)
        return [list(self.names), [level.to_json(places) for level in self.levels]]

    @classmethod
    def from_json(cls, stored: Sequence[Any]) -> Differences:
        names, levels = stored
        return cls(list(names), [FormLevel.from_json(level) for level in levels])


#: Coefficient by class.
Linear = dict[int, int]
#: Coefficients of products of two counts; the greater class comes first.
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
    """A ``Level`` whose y is a linear form of class counts instead of a number."""

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
        """Add a block; returns the block of the next level if this one completes it."""
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
        """The numeric level that results from these weights per class."""

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
        numbers = (getattr(self, name) for name in _NUMBERS)
        return FormLevel(*numbers, *(dict(getattr(self, name)) for name in _LINEAR + _QUADRATIC))

    def to_json(self, places: int) -> list[object]:
        """Six numbers, five linear forms, two quadratic ones; a form as its coefficients."""
        return [
            *(getattr(self, name) for name in _NUMBERS),
            *([getattr(self, name).get(place, 0) for place in range(places)] for name in _LINEAR),
            *([getattr(self, name).get(key, 0) for key in _keys(places)] for name in _QUADRATIC),
        ]

    @classmethod
    def from_json(cls, stored: Sequence[Any]) -> FormLevel:
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
