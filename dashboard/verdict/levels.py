"""Blocks of several lengths: intervals that stay valid although neighbouring orders depend on each
other.

Consecutive orders share a garbage collection, a noisy neighbour, a cold cache. Blocks longer than
such a phase are independent. How long that is shows in the blocks: level i joins 4^i base blocks,
and a level is flat when its neighbouring blocks are not correlated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dashboard.verdict.sequences import NOTHING_KNOWN, UNKNOWN, Interval, RatioBlocks
from dashboard.verdict.wording import short

#: This many blocks of one level make one of the next.
GROUP = 4
#: How many blocks a flat level, and a coarser one, needs to count.
FLAT_BLOCKS = 20
COARSE_BLOCKS = 64


@dataclass(slots=True)
class Level:
    """The sums of one level, with the products of neighbours, and the incomplete block of the next
    level."""

    blocks: RatioBlocks = field(default_factory=RatioBlocks)
    xx1: float = 0.0
    xy1: float = 0.0
    yy1: float = 0.0
    last_x: float = 0.0
    last_y: float = 0.0
    pending_x: float = 0.0
    pending_y: float = 0.0

    def add(self, x: float, y: float) -> tuple[float, float] | None:
        """Add a block; returns the block of the next level if this one completes it."""
        self.blocks.add(x, y)
        self.xx1 += x * self.last_x
        self.xy1 += x * self.last_y + y * self.last_x
        self.yy1 += y * self.last_y
        self.last_x, self.last_y = x, y
        self.pending_x += x
        self.pending_y += y
        if self.blocks.k % GROUP:
            return None
        whole = self.pending_x, self.pending_y
        self.pending_x = self.pending_y = 0.0
        return whole

    @property
    def lag1(self) -> float:
        """The correlation of neighbouring blocks around the estimate; 0 if nothing varies."""
        theta = self.blocks.estimate or 0.0
        spread = self.blocks.spread(theta)
        if spread == 0:
            return 0.0
        return (self.yy1 - theta * self.xy1 + theta * theta * self.xx1) / spread

    @property
    def flat(self) -> bool:
        """Whether neighbouring blocks look independent."""
        return self.blocks.k > 0 and self.lag1 <= 1 / math.sqrt(self.blocks.k)

    def numbers(self) -> list[float]:
        """All thirteen numbers, for JSON."""
        rest = (self.xx1, self.xy1, self.yy1, self.last_x, self.last_y)
        return [*self.blocks.sums(), *rest, self.pending_x, self.pending_y]

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Level:
        k, *sums = numbers[:6]
        return cls(RatioBlocks(int(k), *map(float, sums)), *map(float, numbers[6:]))


@dataclass(slots=True)
class MultiLevelBlocks:
    """Blocks in the order of time, at every level; memory grows with log k.

    ``most_levels`` limits it, at the price of not seeing longer phases.
    """

    levels: list[Level] = field(default_factory=list)
    most_levels: int = 16
    #: Other blocks of the same orders, whose flat level counts as well; not stored.
    beside: MultiLevelBlocks | None = None

    def add(self, x: float, y: float) -> None:
        """Add the next block; an empty one is ignored."""
        if x == 0 and y == 0:
            return
        block: tuple[float, float] | None = (x, y)
        depth = 0
        while block is not None and depth < self.most_levels:
            if depth == len(self.levels):
                self.levels.append(Level())
            block = self.levels[depth].add(*block)
            depth += 1

    @property
    def k(self) -> int:
        """The number of base blocks."""
        return self.levels[0].blocks.k if self.levels else 0

    @property
    def estimate(self) -> float | None:
        return self.levels[0].blocks.estimate if self.levels else None

    @property
    def lag1(self) -> float:
        """The correlation of neighbouring base blocks."""
        return self.levels[0].lag1 if self.levels else 0.0

    @property
    def flat_level(self) -> int | None:
        """The finest level with enough blocks whose neighbours look independent.

        Not finer than that of ``beside``: counts of rare events look independent even if the times
        of the same orders are not.
        """
        fit = (i for i, one in enumerate(self.levels) if one.blocks.k >= FLAT_BLOCKS and one.flat)
        flat = next(fit, None)
        if self.beside is None or flat is None:
            return flat
        other = self.beside.flat_level
        return None if other is None else max(flat, other)

    def counting(self) -> list[RatioBlocks]:
        """The levels that must all agree: up to the finest flat one, and the coarser ones with
        enough blocks."""
        flat = self.flat_level
        if flat is None:
            return []
        return [
            level.blocks
            for depth, level in enumerate(self.levels)
            if depth <= flat or level.blocks.k >= COARSE_BLOCKS
        ]

    def interval(self, alpha: float) -> Interval:
        """The hull of the intervals of the levels that count; unbounded while none does."""
        found = [one.interval(alpha) for one in self.counting()]
        if not found:
            return NOTHING_KNOWN
        return Interval(min(one.lo for one in found), max(one.hi for one in found))

    def log_e_below(self, theta: float, times: float = 1.0) -> float:
        """The lowest evidence, over the levels that count, that the ratio is below theta.

        While none counts: 0 now, and for more blocks (``times``) what the finest level will have.
        """
        found = self.counting()
        if not found and times > 1:
            found = [level.blocks for level in self.levels[:1]]
        return min((one.log_e_below(theta, times) for one in found), default=0.0)

    def bound(self, alpha: float) -> float:
        """The one-sided upper bound for the ratio at level alpha, over the levels that count."""
        return max((one.bound(alpha) for one in self.counting()), default=UNKNOWN)

    def copy(self) -> MultiLevelBlocks:
        return MultiLevelBlocks.from_json(self.to_json(), self.most_levels)

    def to_json(self) -> list[list[float]]:
        return [[short(one) for one in level.numbers()] for level in self.levels]

    @classmethod
    def from_json(
        cls, stored: Iterable[Sequence[float]], most_levels: int = 16
    ) -> MultiLevelBlocks:
        return cls([Level.of(numbers) for numbers in stored], most_levels)
