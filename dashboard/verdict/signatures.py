"""Differences beyond noise, kept so that a review takes effect at once and over the whole launch.

An order counts as different when it shows a discrepancy that nobody has accepted. Which ones are
accepted is decided while the launch runs, so a running yes-or-no rate cannot be kept. What is kept
is one count per *class*: the set of discrepancies that the candidate's result shows, and the set
that the baseline's shows. Given the accepted ones each class weighs +1 (the candidate alone
differs), -1 (the baseline alone) or 0, the difference y of a block is a linear form of its counts
and every y^2 a quadratic form. Both are sums over blocks, so that ``rate`` gives what would have
been counted had the review been there from the first order on: exactly, for the classes told apart.

A launch tells MOST_CLASSES apart, those that came first. Of the rest it is known on which sides
they show something. With nothing accepted that is all that matters; with anything accepted they
may count or not, and ``rate`` gives what they make of it at least and at most.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboard.verdict.bounded import BoundedRate
from dashboard.verdict.forms import FormLevel, Linear
from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.rates import PairedRate, RobustRate

MOST_CLASSES = 48
#: A result that shows more discrepancies than this shows "many".
MOST_IDS = 8
MANY = 0
#: A side that shows something of which no more is known.
SOMETHING = "*"
#: Where classes go that are not told apart: by the sides on which they show something.
OTHERS = (f"{SOMETHING}|", f"|{SOMETHING}", f"{SOMETHING}|{SOMETHING}")
_SHORT = frozenset(f"{MANY}|{SOMETHING}")


def signature(ids: Collection[int]) -> str:
    """A set of discrepancies as text; empty for none."""
    return ",".join(map(str, sorted(ids))) if len(ids) <= MOST_IDS else str(MANY)


def class_of(shown: Collection[int], noise: Collection[int]) -> str:
    """What the candidate's result shows, and what the baseline's does."""
    return f"{signature(shown)}|{signature(noise)}"


def other_of(name: str) -> str:
    """Where a class goes that is not told apart."""
    shown, _, noise = name.partition("|")
    return f"{SOMETHING if shown else ''}|{SOMETHING if noise else ''}"


def simplest(name: str) -> tuple[int, str]:
    """Which classes come first where there is not room for all: those that show least."""
    return (0 if set(name) <= _SHORT else len(name)), name


def counts(text: str, accepted: Collection[int]) -> bool:
    """Whether a signature may have something that was not accepted."""
    if text == SOMETHING:
        return True
    return any(int(one) not in accepted for one in text.split(",") if one)


def surely_counts(text: str, accepted: Collection[int]) -> bool:
    """Whether a signature has something that was not accepted, whatever it stands for."""
    if text == SOMETHING:
        return not accepted
    if text == str(MANY):
        return len(accepted) <= MOST_IDS
    return counts(text, accepted)


def weights(name: str, accepted: Collection[int]) -> tuple[int, int]:
    """What an order of the class weighs at least and at most.

    1 if it counts against the candidate, -1 if for it, 0 if not at all; twice the same for a class
    that is told apart and shows few discrepancies.
    """
    shown, _, noise = name.partition("|")
    least = surely_counts(shown, accepted) - counts(noise, accepted)
    most = counts(shown, accepted) - surely_counts(noise, accepted)
    return least, most


@dataclass(slots=True)
class Differences:
    """The orders that all three handled, in blocks, by class."""

    names: list[str] = field(default_factory=list)
    levels: list[FormLevel] = field(default_factory=list)

    def add(self, orders: int, classes: Mapping[str, int]) -> None:
        """Fold the next block: how many orders all three handled, and how many of each class."""
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
        """What the numbers of the forms stand for."""
        return (*OTHERS, *self.names)

    def rate(self, accepted: Collection[int] = ()) -> BoundedRate:
        """How much more often the candidate differs than the baseline, without what is accepted."""
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
        """Orders that all three handled."""
        return self.levels[0].x if self.levels else 0

    def copy(self) -> Differences:
        """The same, to be folded further without changing this."""
        return Differences(list(self.names), [level.copy() for level in self.levels])

    def to_json(self) -> list[object]:
        """The classes, and the levels."""
        places = len(self._places)
        return [list(self.names), [level.to_json(places) for level in self.levels]]

    @classmethod
    def from_json(cls, stored: Sequence[Any]) -> Differences:
        """Read what ``to_json`` wrote."""
        names, levels = stored
        return cls(list(names), [FormLevel.from_json(level) for level in levels])
