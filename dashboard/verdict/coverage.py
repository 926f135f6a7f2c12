"""Which shapes of orders the candidate has seen, how it did on each, and which never came.

A shape is an item, a pair of items, a size, or a note; an order has several. A launch says nothing
about shapes that the menu or the past allows and nobody ordered during it.
"""

from __future__ import annotations

import itertools
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from dashboard.verdict.classes import MANY, counts, signature, simplest
from dashboard.verdict.segments import SIZES, size_of
from dashboard.verdict.sequences import bernoulli_cs

#: The most shapes kept; beyond it, those with the lowest checksums.
MOST_SHAPES = 1000
#: The most signatures kept per shape; the others become "many", which no review accepts.
MOST_SIGNATURES = 12
_MANY = str(MANY)
#: The most categories of an order that are paired; beyond it, the first by name.
_MOST_PAIRED = 8
#: Pairs name categories of this kind without a prefix.
_ITEM = "item:"


@lru_cache(maxsize=4096)
def shapes_of(categories: tuple[str, ...], size: int) -> tuple[str, ...]:
    """The shapes of an order: its size (number of pieces), its categories, and pairs of them."""
    named = sorted(one.removeprefix(_ITEM) for one in categories if not one.startswith("note:"))
    return f"size:{size_of(size)}", *categories, *_twos(named[:_MOST_PAIRED])


def shapes_of_menu(items: Collection[str]) -> frozenset[str]:
    """All shapes that a menu allows."""
    sizes = (f"size:{size}" for size in SIZES)
    named = (f"{_ITEM}{name}" for name in items)
    return frozenset((*sizes, "note:yes", "note:no", *named, *_twos(sorted(items))))


def _twos(names: Iterable[str]) -> Iterator[str]:
    return (f"both:{a}+{b}" for a, b in itertools.combinations(names, 2))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the candidate agreed with the control on a shape, noise aside.

    ``noise``: orders among those that ``agreed`` with differences that are all noise. ``unclear``:
    orders that did not agree and show more than is kept apart, which may be noise. ``at_most`` is
    an upper bound for the share of orders of this shape that do not agree, valid for all shapes
    together and at every look.
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

    Counts are kept by signature, so that a review applies at once to earlier orders. Merging gives
    the same result in any order, limits included.
    """

    seen: dict[str, int] = field(default_factory=dict)
    #: By shape, how many orders showed each signature; orders that agree are in none.
    shown: dict[str, dict[str, int]] = field(default_factory=dict)
    #: Whether shapes were dropped: then a shape that is not listed may still have been seen.
    full: bool = False

    def add(self, shapes: Iterable[str], shown: Collection[int] = ()) -> None:
        """Count an order that both versions answered, and the discrepancies that it shows."""
        self.add_all([(tuple(shapes), frozenset(shown))])

    def add_all(self, orders: Iterable[tuple[tuple[str, ...], frozenset[int]]]) -> None:
        more = Coverage()
        for (shapes, shown), number in Counter(orders).items():
            text = signature(shown)
            for shape in shapes:
                more.seen[shape] = more.seen.get(shape, 0) + number
                if text:
                    own = more.shown.setdefault(shape, {})
                    own[text] = own.get(text, 0) + number
        self.merge(more)

    def copy(self) -> Coverage:
        """An independent copy."""
        shown = {shape: dict(own) for shape, own in self.shown.items()}
        return Coverage(dict(self.seen), shown, self.full)

    def merge(self, other: Coverage) -> None:
        """Add the counts of another one."""
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
        """The shapes, the lowest agreement first, then the least seen. Accepted differences and
        noise count as agreement.

        ``shapes``: only these; all if not given. ``differing``: only those on which the versions do
        not always agree (True), or those on which they do (False).
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
        """Possible shapes that did not come."""
        return sorted(shape for shape in possible if shape not in self.seen)

    def to_json(self) -> dict[str, object]:
        """By shape, how often it was seen, and how often with which signature."""
        shapes = {shape: [seen, self.shown.get(shape, {})] for shape, seen in self.seen.items()}
        return {"shapes": shapes, "full": self.full}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Coverage:
        shapes: Mapping[str, tuple[int, Mapping[str, int]]] = stored["shapes"]
        return cls(
            {shape: seen for shape, (seen, _) in shapes.items()},
            {shape: dict(shown) for shape, (_, shown) in shapes.items() if shown},
            bool(stored["full"]),
        )


def _checksum(shape: str) -> tuple[int, str]:
    return zlib.crc32(shape.encode()), shape
