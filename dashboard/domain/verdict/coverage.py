"""Which shapes of order the candidate has seen, how it did on each, and what it never saw.

A launch says nothing about an order unlike any that came. A shape is an item, two items together,
a size, or a note; an order has several. What the menu or the past allows and nobody ordered during
the launch is what the verdict is silent about.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from dashboard.domain.verdict.segments import size_of
from dashboard.domain.verdict.sequences import bernoulli_cs

#: Shapes that are told apart; of more, those whose checksums are least.
MOST_SHAPES = 1000
#: Items of an order that are looked at in twos; of more, the first by name.
_MOST_PAIRED = 8
_SIZES = ("small", "medium", "large", "huge")


def shapes_of(items: Mapping[str, int], *, note: bool) -> tuple[str, ...]:
    """The shapes of an order: item name to how many pieces, and whether it has a note."""
    size = size_of(sum(items.values()))
    return (f"size:{size}", _note(given=note), *_of_items(sorted(items)[:_MOST_PAIRED], items))


def shapes_of_menu(items: Collection[str]) -> frozenset[str]:
    """The shapes that a menu allows."""
    sizes = (f"size:{size}" for size in _SIZES)
    notes = (_note(given=True), _note(given=False))
    return frozenset((*sizes, *notes, *_of_items(sorted(items), items)))


def _of_items(paired: Iterable[str], items: Iterable[str]) -> Iterable[str]:
    yield from (f"item:{name}" for name in items)
    yield from (f"both:{a}+{b}" for a, b in itertools.combinations(paired, 2))


def _note(*, given: bool) -> str:
    return "note:yes" if given else "note:no"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the candidate did as the control on a shape.

    ``at_most`` bounds the share of orders of this shape on which it would not, for all shapes
    together and at every look.
    """

    shape: str
    seen: int
    agreed: int
    at_most: float


@dataclass(slots=True)
class Coverage:
    """Orders seen and agreed by shape. Merging gives the same in any order, bound and all."""

    seen: dict[str, int] = field(default_factory=dict)
    agreed: dict[str, int] = field(default_factory=dict)
    #: Whether shapes had to go: then that one is not listed does not mean that it was never seen.
    full: bool = False

    def add(self, shapes: Iterable[str], *, agreed: bool) -> None:
        """Count an order that both versions ended."""
        for shape in shapes:
            self.seen[shape] = self.seen.get(shape, 0) + 1
            if agreed:
                self.agreed[shape] = self.agreed.get(shape, 0) + 1
        self._trim()

    def review(self, shapes: Iterable[str], *, agrees: bool) -> None:
        """Take an order that was counted before as agreeing after all, or as not agreeing."""
        for shape in shapes:
            if shape in self.seen:
                self.agreed[shape] = self.agreed.get(shape, 0) + (1 if agrees else -1)

    def merge(self, other: Coverage) -> None:
        """Add what another one counted."""
        for shape, number in other.seen.items():
            self.seen[shape] = self.seen.get(shape, 0) + number
        for shape, number in other.agreed.items():
            self.agreed[shape] = self.agreed.get(shape, 0) + number
        self.full = self.full or other.full
        self._trim()

    def _trim(self) -> None:
        if len(self.seen) <= MOST_SHAPES:
            return
        self.full = True
        for shape in sorted(self.seen, key=_checksum)[MOST_SHAPES:]:
            del self.seen[shape]
            self.agreed.pop(shape, None)

    def agreements(self, *, most: int = 50, alpha: float = 0.05) -> list[Agreement]:
        """The shapes seen that agree least, that one first."""
        each = alpha / MOST_SHAPES

        def order(shape: str) -> tuple[float, int, str]:
            seen = self.seen[shape]
            return self.agreed.get(shape, 0) / seen, -seen, shape

        def agreement(shape: str) -> Agreement:
            seen, agreed = self.seen[shape], self.agreed.get(shape, 0)
            return Agreement(shape, seen, agreed, bernoulli_cs(seen - agreed, seen, each).hi)

        return [agreement(shape) for shape in sorted(self.seen, key=order)[:most]]

    def unseen(self, possible: Collection[str]) -> list[str]:
        """Shapes that could come, and did not."""
        return sorted(shape for shape in possible if shape not in self.seen)

    def to_json(self) -> dict[str, object]:
        """Both counts by shape."""
        shapes = {shape: [seen, self.agreed.get(shape, 0)] for shape, seen in self.seen.items()}
        return {"shapes": shapes, "full": self.full}

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> Coverage:
        """Read what ``to_json`` wrote."""
        shapes: Mapping[str, tuple[int, int]] = stored["shapes"]  # type: ignore[assignment]
        return cls(
            {shape: seen for shape, (seen, _) in shapes.items()},
            {shape: agreed for shape, (_, agreed) in shapes.items() if agreed},
            bool(stored["full"]),
        )


def _checksum(shape: str) -> tuple[int, str]:
    return zlib.crc32(shape.encode()), shape
