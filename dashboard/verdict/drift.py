"""Whether the effect moves while the launch runs: the earlier part held against the later one.

At every power of two of blocks the sums are marked. The effect drifts when the interval up to a
mark and the interval since that mark have nothing in common. Each mark spends its own share of
alpha, so that the warning holds at every look: at most alpha, if blocks are independent. Only the
newest two marks are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dashboard.verdict.rounding import short
from dashboard.verdict.sequences import Interval, RatioBlocks

#: The first mark; with fewer blocks on a side nothing can be excluded.
_FIRST_MARK = 16


@dataclass(frozen=True, slots=True)
class Drifting:
    """The effect before and after a mark, with intervals that do not meet; in log ratios."""

    blocks_before: int
    before: Interval
    after: Interval


@dataclass(slots=True)
class Drift:
    """The sums over all blocks, and as they were at the newest marks."""

    whole: RatioBlocks = field(default_factory=RatioBlocks)
    marks: list[RatioBlocks] = field(default_factory=list)

    def add(self, x: float, y: float) -> None:
        """Fold the next block."""
        before = self.whole.k
        self.whole.add(x, y)
        k = self.whole.k
        if k > before and k >= _FIRST_MARK and k & (k - 1) == 0:
            self.marks = [*self.marks[-1:], replace(self.whole)]

    def drifting(self, alpha: float) -> Drifting | None:
        """What moved, at level alpha over all marks and looks; None if nothing surely did."""
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
        """Six numbers for the whole and for each mark."""
        return [[short(one) for one in own.sums()] for own in (self.whole, *self.marks)]

    @classmethod
    def from_json(cls, stored: Sequence[Sequence[float]]) -> Drift:
        """Read what ``to_json`` wrote."""
        whole, *marks = (_sums(own) for own in stored)
        return cls(whole, marks)


def _sums(numbers: Sequence[float]) -> RatioBlocks:
    k, *rest = numbers
    return RatioBlocks(int(k), *map(float, rest))
