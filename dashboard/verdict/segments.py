"""Where the effect differs so much that the overall number misleads.

Each segment (a size, an item, an hour) keeps the same state as the whole launch, with fewer levels.
Half of alpha goes to the sizes, half to all other segments; each segment gets an equal part of its
half (Bonferroni over all possible segments, so it does not matter which appear, or when).
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.sequences import Interval, RatioBlocks
from dashboard.verdict.wording import short

MOST_SEGMENTS = 64
#: Blocks of 1, 4, 16 and 64; longer phases show only in the whole launch.
_LEVELS = 4
#: The most pieces (not kinds) in an order of each size, about twice the previous one.
SIZES = ("small", "medium", "large", "very large", "huge")
_MOST_PIECES = (2, 5, 10, 25)


def size_of(pieces: int) -> str:
    """The name of the size of an order with this many pieces."""
    return SIZES[bisect_left(_MOST_PIECES, pieces)]


@lru_cache(maxsize=4096)
def segments_of(categories: tuple[str, ...], size: int, hour: int) -> tuple[str, ...]:
    """The segments of an order: its size, the hour when it was sent, and its categories except the
    note."""
    named = [one for one in categories if not one.startswith("note:")]
    return f"size:{size_of(size)}", f"hour:{hour:02}", *sorted(named)


def rank(segment: str) -> tuple[bool, str]:
    """Sort key for the segments to keep: sizes and hours before items."""
    return segment.startswith("item:"), segment


@dataclass(frozen=True, slots=True)
class SegmentEffect:
    """The effect in one segment: mean log ratio, interval, and number of orders."""

    segment: str
    orders: int
    estimate: float
    interval: Interval

    @property
    def kind(self) -> str:
        """The kind of segment: size, item or hour."""
        return self.segment.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two segments of one kind whose effects differ by more than ``gap`` in the log ratio."""

    faster: SegmentEffect
    slower: SegmentEffect

    @property
    def gap(self) -> float:
        """The smallest difference that the intervals allow."""
        return self.slower.interval.lo - self.faster.interval.hi

    @property
    def opposite(self) -> bool:
        """Whether one is significantly faster and the other significantly slower."""
        return self.faster.interval.hi < 0 < self.slower.interval.lo


@dataclass(slots=True)
class Segments:
    """Paired log ratios by segment, in blocks; only the first MOST_SEGMENTS segments are kept."""

    blocks: dict[str, MultiLevelBlocks] = field(default_factory=dict)

    def add(self, pairs: Mapping[str, int], sums: Mapping[str, float]) -> None:
        """Add the next block: pairs and the sum of their log ratios, by segment."""
        for segment in sorted(pairs, key=rank):
            if segment not in self.blocks:
                if len(self.blocks) == MOST_SEGMENTS:
                    continue
                self.blocks[segment] = MultiLevelBlocks(most_levels=_LEVELS)
            self.blocks[segment].add(pairs[segment], sums.get(segment, 0.0))

    def effects(self, alpha: float, names: Iterable[str] | None = None) -> list[SegmentEffect]:
        """The effects of all segments, or of those named.

        All intervals hold together at level alpha, at every look.
        """
        return [
            SegmentEffect(
                name,
                int(own.levels[0].blocks.x),
                own.estimate,
                own.interval(alpha / 2 / _sharing(name)),
            )
            for name in (self.blocks if names is None else names)
            for own in (self.blocks[name],)
            if own.estimate is not None
        ]

    def misleading(self, margin: float, alpha: float = 0.05) -> list[Contrast]:
        """Per kind, the two segments that differ most, if significantly by more than the margin;
        widest gap first."""
        found = []
        for kind in sorted({name.partition(":")[0] for name in self.blocks}):
            own = [name for name in self.blocks if name.startswith(f"{kind}:")]
            estimates = [self.blocks[name].estimate or 0.0 for name in own]
            if max(estimates) - min(estimates) > margin:  # else no gap can be as wide
                found += [one for one in _widest(self.effects(alpha, own)) if one.gap > margin]
        return sorted(found, key=lambda one: (not one.opposite, -one.gap))

    def to_json(self) -> dict[str, list[list[float]]]:
        return {name: own.to_json() for name, own in self.blocks.items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Iterable[list[float]]]) -> Segments:
        return cls({name: MultiLevelBlocks.from_json(own, _LEVELS) for name, own in stored.items()})


def _sharing(segment: str) -> int:
    """The number of segments that share half of alpha."""
    return len(SIZES) if segment.startswith("size:") else MOST_SEGMENTS


def _widest(effects: list[SegmentEffect]) -> Iterator[Contrast]:
    pairs = (Contrast(a, b) for a, b in itertools.permutations(effects, 2))
    widest = max(pairs, key=lambda one: (one.opposite, one.gap), default=None)
    if widest is not None:
        yield widest


#: The first mark; with fewer blocks on a side nothing can be significant.
_FIRST_MARK = 16


@dataclass(frozen=True, slots=True)
class Drifting:
    """The effect before and after a mark, with intervals that do not overlap; log ratios."""

    blocks_before: int
    before: Interval
    after: Interval


@dataclass(slots=True)
class Drift:
    """The sums over all blocks, and those at the newest marks."""

    whole: RatioBlocks = field(default_factory=RatioBlocks)
    marks: list[RatioBlocks] = field(default_factory=list)

    def add(self, x: float, y: float) -> None:
        """Add the next block."""
        before = self.whole.k
        self.whole.add(x, y)
        k = self.whole.k
        if k > before and k >= _FIRST_MARK and k & (k - 1) == 0:
            self.marks = [*self.marks[-1:], replace(self.whole)]

    def drifting(self, alpha: float) -> Drifting | None:
        """The change, at level alpha over all marks and looks; None if none is significant."""
        for mark in self.marks:
            number = int(math.log2(mark.k / _FIRST_MARK)) + 1
            own = alpha / (number * (number + 1)) / 2
            since = replace(self.whole)
            since.merge(mark, sign=-1)
            before, after = mark.interval(own), since.interval(own)
            if before.hi < after.lo or after.hi < before.lo:
                return Drifting(mark.k, before, after)
        return None

    def to_json(self) -> list[list[float]]:
        return [[short(one) for one in own.sums()] for own in (self.whole, *self.marks)]

    @classmethod
    def from_json(cls, stored: Sequence[Sequence[float]]) -> Drift:
        whole, *marks = (_sums(own) for own in stored)
        return cls(whole, marks)


def _sums(numbers: Sequence[float]) -> RatioBlocks:
    k, *rest = numbers
    return RatioBlocks(int(k), *map(float, rest))
