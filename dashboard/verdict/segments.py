"""Where the effect differs so much that the one number misleads.

Each segment (a size, an item, an hour) keeps the same state as the whole launch, with fewer levels.
Half of alpha is for the sizes, which are few, and half for all others; each segment gets an equal
part of its half (Bonferroni over all that could ever be looked at, so that it does not matter which
segments turn up, or when).
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.sequences import Interval

MOST_SEGMENTS = 64
#: Blocks of 1, 4, 16 and 64: longer spells are seen in the whole launch alone.
_LEVELS = 4
#: The most pieces (not kinds) of an order of each size, each about twice the one before: what is
#: in one size should be alike, and a party is not an office.
SIZES = ("small", "medium", "large", "very large", "huge")
_MOST_PIECES = (2, 5, 10, 25)


def size_of(pieces: int) -> str:
    """The size of an order of so many pieces: small, medium, large, very large, huge."""
    return SIZES[bisect_left(_MOST_PIECES, pieces)]


def segments_of(items: Mapping[str, int], hour: int) -> tuple[str, ...]:
    """The segments of an order: its size, the hour when it was placed, each of its items."""
    size = size_of(sum(items.values()))
    return f"size:{size}", f"hour:{hour:02}", *[f"item:{name}" for name in sorted(items)]


def rank(segment: str) -> tuple[bool, str]:
    """Which segments come first where there is not room for all: sizes and hours before items."""
    return segment.startswith("item:"), segment


@dataclass(frozen=True, slots=True)
class SegmentEffect:
    """The effect in one segment: mean log ratio, its interval, and from how many orders."""

    segment: str
    orders: int
    estimate: float
    interval: Interval

    @property
    def kind(self) -> str:
        """Size, item or hour."""
        return self.segment.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two segments of one kind whose effects differ by more than ``gap`` in the log ratio."""

    faster: SegmentEffect
    slower: SegmentEffect

    @property
    def gap(self) -> float:
        """The least difference that the intervals leave possible."""
        return self.slower.interval.lo - self.faster.interval.hi

    @property
    def opposite(self) -> bool:
        """Whether one is surely faster and the other surely slower."""
        return self.faster.interval.hi < 0 < self.slower.interval.lo


@dataclass(slots=True)
class Segments:
    """Paired log ratios by segment, in blocks; what comes after MOST_SEGMENTS is not kept."""

    blocks: dict[str, MultiLevelBlocks] = field(default_factory=dict)

    def add(self, pairs: Mapping[str, int], sums: Mapping[str, float]) -> None:
        """Fold the next block: pairs and the sum of their log ratios, by segment."""
        for segment in sorted(pairs, key=rank):
            if segment not in self.blocks:
                if len(self.blocks) == MOST_SEGMENTS:
                    continue
                self.blocks[segment] = MultiLevelBlocks(most_levels=_LEVELS)
            self.blocks[segment].add(pairs[segment], sums.get(segment, 0.0))

    def effects(self, alpha: float, names: Iterable[str] | None = None) -> list[SegmentEffect]:
        """Segments' effects, all of them unless named.

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
        """Per kind, the pair that differs most, if surely by more than the margin; widest first."""
        found = []
        for kind in sorted({name.partition(":")[0] for name in self.blocks}):
            own = [name for name in self.blocks if name.startswith(f"{kind}:")]
            estimates = [self.blocks[name].estimate or 0.0 for name in own]
            if max(estimates) - min(estimates) > margin:  # else no gap can be as wide
                found += [one for one in _widest(self.effects(alpha, own)) if one.gap > margin]
        return sorted(found, key=lambda one: (not one.opposite, -one.gap))

    def to_json(self) -> dict[str, list[list[float]]]:
        """The blocks by segment."""
        return {name: own.to_json() for name, own in self.blocks.items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Iterable[list[float]]]) -> Segments:
        """Read what ``to_json`` wrote."""
        return cls({name: MultiLevelBlocks.from_json(own, _LEVELS) for name, own in stored.items()})


def _sharing(segment: str) -> int:
    """Among how many segments its half of alpha is shared."""
    return len(SIZES) if segment.startswith("size:") else MOST_SEGMENTS


def _widest(effects: list[SegmentEffect]) -> Iterator[Contrast]:
    pairs = (Contrast(a, b) for a, b in itertools.permutations(effects, 2))
    widest = max(pairs, key=lambda one: (one.opposite, one.gap), default=None)
    if widest is not None:
        yield widest
