"""Which shapes of order the candidate has seen, how it did on each, and what it never saw.

A launch says nothing about an order unlike any that came. A shape is an item, two items together,
a size, or a note; an order has several. What the menu or the past allows and nobody ordered during
the launch is what the verdict is silent about.
"""

from __future__ import annotations

import itertools
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dashboard.verdict.segments import SIZES, size_of
from dashboard.verdict.sequences import bernoulli_cs
from dashboard.verdict.signatures import MANY, counts, signature, simplest

#: Shapes that are told apart; of more, those whose checksums are least.
MOST_SHAPES = 1000
#: Signatures that are told apart in a shape; the rest show "many", which no review accepts.
MOST_SIGNATURES = 12
_MANY = str(MANY)
#: Items of an order that are looked at in twos; of more, the first by name.
_MOST_PAIRED = 8


def shapes_of(items: Mapping[str, int], *, note: bool) -> tuple[str, ...]:
    """The shapes of an order: item name to how many pieces, and whether it has a note."""
    size = size_of(sum(items.values()))
    return (f"size:{size}", _note(given=note), *_of_items(sorted(items)[:_MOST_PAIRED], items))


def shapes_of_menu(items: Collection[str]) -> frozenset[str]:
    """The shapes that a menu allows."""
    sizes = (f"size:{size}" for size in SIZES)
    notes = (_note(given=True), _note(given=False))
    return frozenset((*sizes, *notes, *_of_items(sorted(items), items)))


def _of_items(paired: Iterable[str], items: Iterable[str]) -> list[str]:
    both = [f"both:{a}+{b}" for a, b in itertools.combinations(paired, 2)]
    return [*[f"item:{name}" for name in items], *both]


def _note(*, given: bool) -> str:
    return "note:yes" if given else "note:no"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the candidate did as the control on a shape, noise apart.

    ``noise`` of the orders that ``agreed`` differ in nothing but noise; of those that did not
    agree, ``unclear`` show more than is told apart, which may be noise. ``at_most`` bounds the
    share of orders of this shape that do not agree, for all shapes together and at every look.
    """

    shape: str
    seen: int
    agreed: int
    at_most: float
    noise: int = 0
    unclear: int = 0


@dataclass(slots=True)
class Coverage:
    """Orders seen by shape, and the discrepancies that they showed.

    What was shown is kept by signature, so that a review counts at once for what came before it.
    Merging gives the same in any order, bounds and all.
    """

    seen: dict[str, int] = field(default_factory=dict)
    #: By shape, how many orders showed each signature; those that agree are in none.
    shown: dict[str, dict[str, int]] = field(default_factory=dict)
    #: Whether shapes had to go: then that one is not listed does not mean that it was never seen.
    full: bool = False

    def add(self, shapes: Iterable[str], shown: Collection[int] = ()) -> None:
        """Count an order that both versions ended, and the discrepancies that it shows."""
        self.add_all([(tuple(shapes), frozenset(shown))])

    def add_all(self, orders: Iterable[tuple[tuple[str, ...], frozenset[int]]]) -> None:
        """Count orders, each by its shapes and the discrepancies that it shows."""
        more = Coverage()
        for (shapes, shown), number in Counter(orders).items():
            text = signature(shown)
            for shape in shapes:
                more.seen[shape] = more.seen.get(shape, 0) + number
                if text:
                    own = more.shown.setdefault(shape, {})
                    own[text] = own.get(text, 0) + number
        self.merge(more)

    def merge(self, other: Coverage) -> None:
        """Add what another one counted."""
        for shape, number in other.seen.items():
            self.seen[shape] = self.seen.get(shape, 0) + number
        for shape, signatures in other.shown.items():
            self._show(shape, signatures)
        self.full = self.full or other.full
        self._trim()

    def _show(self, shape: str, signatures: Mapping[str, int]) -> None:
        own = self.shown.setdefault(shape, {})
        for text, number in signatures.items():
            own[text] = own.get(text, 0) + number
        if len(own) <= MOST_SIGNATURES:
            return
        for text in sorted(own.keys() - {_MANY}, key=simplest)[MOST_SIGNATURES:]:
            own[_MANY] = own.get(_MANY, 0) + own.pop(text)

    def _trim(self) -> None:
        if len(self.seen) <= MOST_SHAPES:
            return
        self.full = True
        for shape in sorted(self.seen, key=_checksum)[MOST_SHAPES:]:
            del self.seen[shape]
            self.shown.pop(shape, None)

    def agreements(
        self,
        accepted: Collection[int] = (),
        noise: Collection[int] = (),
        *,
        shapes: Collection[str] | None = None,
        differing: bool | None = None,
        most: int = 50,
        alpha: float = 0.05,
    ) -> list[Agreement]:
        """The shapes seen that agree least, that one first; of those that agree alike, the least
        seen. What is accepted counts as agreeing, and what is noise does, too.

        ``shapes`` are those asked about, all if not given; ``differing``: those alone on which the
        versions do not always agree, or those on which they do.
        """
        each = alpha / MOST_SHAPES
        known = {*accepted, *noise}
        asked = self.seen if shapes is None else self.seen.keys() & set(shapes)
        differ = {shape: self._differing(shape, known) for shape in asked}

        def order(shape: str) -> tuple[float, int, str]:
            return -differ[shape] / self.seen[shape], self.seen[shape], shape

        def agreement(shape: str) -> Agreement:
            seen, number = self.seen[shape], differ[shape]
            return Agreement(
                shape,
                seen,
                seen - number,
                bernoulli_cs(number, seen, each).hi,
                self._differing(shape, accepted) - number,
                self.shown.get(shape, {}).get(_MANY, 0),
            )

        wanted = [one for one in asked if differing is None or bool(differ[one]) is differing]
        return [agreement(shape) for shape in sorted(wanted, key=order)[:most]]

    def _differing(self, shape: str, accepted: Collection[int]) -> int:
        signatures = self.shown.get(shape, {})
        return sum(number for text, number in signatures.items() if counts(text, accepted))

    def unseen(self, possible: Collection[str]) -> list[str]:
        """Shapes that could come, and did not."""
        return sorted(shape for shape in possible if shape not in self.seen)

    def to_json(self) -> dict[str, object]:
        """By shape how often it was seen, and how often with which signature."""
        shapes = {shape: [seen, self.shown.get(shape, {})] for shape, seen in self.seen.items()}
        return {"shapes": shapes, "full": self.full}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Coverage:
        """Read what ``to_json`` wrote."""
        shapes: Mapping[str, tuple[int, Mapping[str, int]]] = stored["shapes"]
        return cls(
            {shape: seen for shape, (seen, _) in shapes.items()},
            {shape: dict(shown) for shape, (_, shown) in shapes.items() if shown},
            bool(stored["full"]),
        )


def _checksum(shape: str) -> tuple[int, str]:
    return zlib.crc32(shape.encode()), shape
