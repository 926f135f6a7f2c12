"""What the verdict says of simulated launches at every look, by the product's rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.kitchens import Counted, Launches
from bench.looks import Array, Blocks, Mask, Rate
from dashboard.domain.verdict.requirements import Requirements
from dashboard.domain.verdict.words import LEAST_BLOCKS, LEAST_ORDERS

REQUIRED = Requirements()
SPEED_LINE = math.log1p(REQUIRED.speed_margin)
DRAWN = math.log(1 / REQUIRED.each)
_PASS = math.log(1 / REQUIRED.alpha)


@dataclass(frozen=True)
class Headline:
    """One headline after every block.

    ``more`` and ``less``: the drawn interval lies above 0, or below; ``beyond``: the estimate is
    at the threshold or beyond; ``passes``: the bound lies below it.
    """

    known: Mask
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
        against = self.beyond & (self.known | self.more)
        found = np.empty_like(self.passes)
        now = np.zeros(len(found), dtype=bool)
        for look in range(found.shape[1]):
            now = found[:, look] = self.passes[:, look] | (now & ~against[:, look])
        return found


class Judged:
    """The four headlines of many launches, and the word, after every block."""

    def __init__(self, launches: Launches) -> None:
        self.orders = np.cumsum(launches.orders, axis=1)
        self.effect = Blocks(launches.pairs, launches.log_ratios)
        self.headlines = {
            "speed": self._speed(launches),
            "failures": _rate(launches.failures, REQUIRED.failures_margin),
            "slow orders": _rate(launches.slow, REQUIRED.slow_margin),
            "differences": _rate(launches.differences, REQUIRED.differences_margin),
        }

    def _speed(self, launches: Launches) -> Headline:
        pairs = np.cumsum(launches.pairs, axis=1)
        enough = (pairs >= LEAST_ORDERS) & (self.effect.k >= LEAST_BLOCKS)
        return Headline(
            known=self.effect.known,
            more=enough & self.effect.above(0.0, DRAWN),
            less=enough & self.effect.below(0.0, DRAWN),
            beyond=np.cumsum(launches.log_ratios, axis=1) >= SPEED_LINE * pairs,
            passes=enough & self.effect.surely_below(SPEED_LINE, _PASS),
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
        """Whether the board warns that blocks depend on each other."""
        found: Mask = (self.effect.k >= LEAST_BLOCKS) & (self.effect.depth != 0)
        return found

    def first(self, when: Mask) -> Array:
        """Orders until it first holds, a run each; infinity for never."""
        at = np.take_along_axis(self.orders, when.argmax(axis=1)[:, None], axis=1)[:, 0]
        return np.where(when.any(axis=1), at, np.inf)


def _rate(counted: Counted, margin: float) -> Headline:
    rate = Rate(counted.n, counted.pos, counted.neg)
    enough = rate.n >= LEAST_ORDERS
    return Headline(
        known=rate.blocks.known,
        more=enough & rate.above(0.0, REQUIRED.each),
        less=enough & rate.below(0.0, REQUIRED.each),
        beyond=rate.pos - rate.neg >= margin * rate.n,
        passes=enough & rate.surely_below(margin, REQUIRED.alpha),
    )
