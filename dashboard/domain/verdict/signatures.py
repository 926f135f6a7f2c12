"""Differences beyond noise, kept so that a review takes effect at once and over the whole launch.

An order counts as different when it shows a discrepancy that nobody has accepted. Which ones are
accepted is decided while the launch runs, so a running yes-or-no rate cannot be kept. What is kept
is one count per *class*: the set of discrepancies that the candidate's result shows, and the set
that the baseline's shows. Given the accepted ones each class weighs +1 (the candidate alone
differs), -1 (the baseline alone) or 0, the difference y of a block is a linear form of its counts
and every y^2 a quadratic form. Both are sums over blocks, so that ``rate`` gives what would have
been counted had the review been there from the first order on: exactly, for the classes told apart.

A launch tells MOST_CLASSES apart, those that came first. The rest are weighed when their block
settles as if nothing were accepted, and stay so: rare mixtures keep counting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboard.domain.verdict.forms import FormLevel, Linear
from dashboard.domain.verdict.levels import MultiLevelBlocks
from dashboard.domain.verdict.rates import PairedRate, RobustRate

MOST_CLASSES = 12
#: A result that shows more discrepancies than this shows "many", which no review accepts.
MOST_IDS = 6
MANY = 0
_MANY_ALONE = frozenset(f"{MANY}|")
#: Where classes go that are not told apart, by what they weigh.
_OTHERS = {1: "+", -1: "-"}


def signature(ids: Collection[int]) -> str:
    """A set of discrepancies as text; empty for none."""
    return ",".join(map(str, sorted(ids))) if len(ids) <= MOST_IDS else str(MANY)


def class_of(shown: Collection[int], noise: Collection[int]) -> str:
    """What the candidate's result shows, and what the baseline's does."""
    return f"{signature(shown)}|{signature(noise)}"


def simplest(name: str) -> tuple[int, str]:
    """Which classes come first where there is not room for all: those that show least."""
    return (0 if set(name) <= _MANY_ALONE else len(name)), name


def counts(text: str, accepted: Collection[int]) -> bool:
    """Whether a signature has something that was not accepted."""
    return any(int(one) not in accepted for one in text.split(",") if one)


def weight(name: str, accepted: Collection[int]) -> int:
    """1 if orders of the class count against the candidate, -1 if for it, 0 if not at all."""
    shown, _, noise = name.partition("|")
    return counts(shown, accepted) - counts(noise, accepted)


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
        found: Linear = {}
        for name in sorted(classes, key=simplest):
            if name not in self.names and len(self.names) < MOST_CLASSES:
                self.names.append(name)
            known = name in self.names
            place = str(self.names.index(name)) if known else _OTHERS.get(weight(name, ()))
            if place:
                found[place] = found.get(place, 0) + classes[name]
        return found

    def rate(self, accepted: Collection[int] = ()) -> RobustRate:
        """How much more often the candidate differs than the baseline, without what is accepted."""
        weights = {str(place): weight(name, accepted) for place, name in enumerate(self.names)}
        weights |= {place: weighs for weighs, place in _OTHERS.items()}
        if not self.levels:
            return RobustRate()
        base = self.levels[0]
        pos = sum(number for place, number in base.y.items() if weights[place] > 0)
        neg = sum(number for place, number in base.y.items() if weights[place] < 0)
        levels = [level.weighed(weights) for level in self.levels]
        return RobustRate(PairedRate(pos, neg, base.x - pos - neg), MultiLevelBlocks(levels))

    @property
    def orders(self) -> int:
        """Orders that all three handled."""
        return self.levels[0].x if self.levels else 0

    def to_json(self) -> list[object]:
        """The classes, and the levels."""
        places = _places(self.names)
        return [list(self.names), [level.to_json(places) for level in self.levels]]

    @classmethod
    def from_json(cls, stored: Sequence[Any]) -> Differences:
        """Read what ``to_json`` wrote."""
        names, levels = stored
        places = _places(names)
        return cls(list(names), [FormLevel.from_json(level, places) for level in levels])


def _places(names: Sequence[str]) -> list[str]:
    return sorted((*map(str, range(len(names))), *_OTHERS.values()))
