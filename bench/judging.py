"""What the verdict says of simulated launches at every look, by the product's rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.kitchens import Launches
from bench.looks import Array, Blocks, Mask, Rate
from dashboard.verdict.cautions import CORRELATED
from dashboard.verdict.levels import FLAT_BLOCKS
from dashboard.verdict.requirements import Requirement, Requirements
from dashboard.verdict.words import LEAST_BLOCKS, LEAST_ORDERS

REQUIRED = Requirements()
SPEED_LINE = math.log1p(REQUIRED.speed_margin)
DRAWN = math.log(1 / REQUIRED.each)


@dataclass(frozen=True)
class Headline:
    """One headline after every block.

    ``more`` and ``less``: the drawn interval lies above 0, or below; ``beyond``: the estimate is
    at the threshold or beyond; ``passes``: the bound lies below it.
    """

    more: Mask
    less: Mask
    beyond: Mask
    passes: Mask

    @property
    def alarm(self) -> Mask:
        """Whether the drawn interval excludes 0."""
        return self.more | self.less

    @property
    def failed(self) -> Mask:
        """Whether it makes the verdict WORSE."""
        return self.more & self.beyond

    @cached_property
    def passed(self) -> Mask:
        """Whether it has passed: that stays until there is evidence against it."""
        found = np.empty_like(self.passes)
        now = np.zeros(len(found), dtype=bool)
        for look in range(found.shape[1]):
            now = found[:, look] = self.passes[:, look] | (now & ~self.beyond[:, look])
        return found


class Judged:
    """The four headlines of many launches, and the word, after every block."""

    def __init__(self, launches: Launches) -> None:
        self.orders = np.cumsum(launches.orders, axis=1)
        self.effect = Blocks(launches.pairs, launches.log_ratios)
        self.failures = Rate(launches.failures)
        self.slow = Rate(launches.slow, self.effect)
        self.headlines = {
            Requirement.SPEED: self._speed(launches),
            Requirement.FAILURES: _headline(self.failures, REQUIRED.failures_margin),
            Requirement.SLOW_ORDERS: _headline(self.slow, REQUIRED.slow_margin),
            Requirement.DIFFERENCES: _headline(
                Rate(launches.differences), REQUIRED.differences_margin
            ),
        }

    def _speed(self, launches: Launches) -> Headline:
        pairs = np.cumsum(launches.pairs, axis=1)
        enough = (pairs >= LEAST_ORDERS) & (self.effect.k >= LEAST_BLOCKS)
        return Headline(
            more=enough & self.effect.above(0.0, DRAWN),
            less=enough & self.effect.below(0.0, DRAWN),
            beyond=np.cumsum(launches.log_ratios, axis=1) >= SPEED_LINE * pairs,
            passes=enough & self.effect.surely_below(SPEED_LINE, REQUIRED.limit),
        )

    @property
    def ready(self) -> Mask:
        """Whether all four have passed."""
        found: Mask = np.logical_and.reduce([one.passed for one in self.headlines.values()])
        return found

    @property
    def worse(self) -> Mask:
        """Whether one has failed."""
        found: Mask = np.logical_or.reduce([one.failed for one in self.headlines.values()])
        return found

    @property
    def alarm(self) -> Mask:
        """Whether any interval excludes 0."""
        found: Mask = np.logical_or.reduce([one.alarm for one in self.headlines.values()])
        return found

    @property
    def warned(self) -> Mask:
        """Whether the board warns that results are correlated over time."""
        found = np.zeros(self.orders.shape, dtype=bool)
        for blocks in (self.effect, self.failures.blocks, self.slow.blocks):
            enough = blocks.k >= FLAT_BLOCKS
            found |= enough & (blocks.lag1 > CORRELATED / np.sqrt(np.maximum(blocks.k, 1)))
        return found

    def first(self, when: Mask) -> Array:
        """Orders until it first holds, a run each; infinity for never."""
        at = np.take_along_axis(self.orders, when.argmax(axis=1)[:, None], axis=1)[:, 0]
        return np.where(when.any(axis=1), at, np.inf)


def _headline(rate: Rate, margin: float) -> Headline:
    enough = rate.n >= LEAST_ORDERS
    return Headline(
        more=enough & rate.above(0.0, REQUIRED.each),
        less=enough & rate.below(0.0, REQUIRED.each),
        beyond=rate.pos - rate.neg >= margin * rate.n,
        passes=enough & rate.surely_below(margin, REQUIRED.alpha),
    )
