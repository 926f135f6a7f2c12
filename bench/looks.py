"""The product's evidence at every look, for many simulated launches at once.

Vectorised with numpy; a test holds each function against the product's own code, look by look.
Arrays are (runs, blocks); a look comes after every block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.kitchens import Counted
from dashboard.verdict import rates, sequences
from dashboard.verdict.levels import COARSE_BLOCKS, FLAT_BLOCKS, GROUP

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_erfc = np.frompyfunc(math.erfc, 1, 1)


@dataclass(frozen=True)
class Sums:
    """Of one level: its sums at every look."""

    k: NDArray[np.int64]
    x: Array
    y: Array
    xx: Array
    xy: Array
    yy: Array

    def distance(self, theta: float) -> Array:
        """S: how far the sum of y is above theta x."""
        return self.y - theta * self.x

    def spread(self, theta: float) -> Array:
        """V: the sum of squares around theta."""
        found: Array = np.maximum(0.0, self.yy - 2 * theta * self.xy + theta * theta * self.xx)
        return found


class Blocks:
    """``MultiLevelBlocks`` after every block; empty blocks are passed over.

    ``known``: whether a level is flat, and ``depth`` which one, or -1.
    """

    def __init__(self, x: Array, y: Array, beside: Blocks | None = None) -> None:
        full = (x != 0) | (y != 0)
        self.k = np.cumsum(full, axis=1)
        if not full.all():
            first = np.argsort(~full, axis=1, kind="stable")
            x, y = np.take_along_axis(x, first, axis=1), np.take_along_axis(y, first, axis=1)
        self.levels: list[Sums] = []
        self.known = np.zeros(x.shape, dtype=bool)
        self.depth = np.full(x.shape, -1)
        self.lag1 = np.zeros(x.shape)
        length = 1
        while self.k.max() // length >= FLAT_BLOCKS:
            self._add_level(_grouped(x, length), _grouped(y, length), length)
            length *= GROUP
        if beside is not None:
            self.known &= beside.known
            self.depth = np.where(self.known, np.maximum(self.depth, beside.depth), -1)

    def _add_level(self, x: Array, y: Array, length: int) -> None:
        k = self.k // length

        def at(values: Array) -> Array:
            started = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], 1)
            found: Array = np.take_along_axis(started, k, axis=1)
            return found

        before_x, before_y = _shifted(x), _shifted(y)
        own = [at(one) for one in (x, y, x * x, x * y, y * y)]
        xx1, xy1, yy1 = (
            at(one) for one in (x * before_x, x * before_y + y * before_x, y * before_y)
        )
        sums = Sums(k, *own)
        with np.errstate(invalid="ignore", divide="ignore"):
            theta = np.where(sums.x != 0, sums.y / sums.x, 0.0)
            spread = np.maximum(0.0, sums.yy - 2 * theta * sums.xy + theta * theta * sums.xx)
            lag1 = np.where(spread > 0, (yy1 - theta * xy1 + theta * theta * xx1) / spread, 0.0)
            flat = (lag1 <= 1 / np.sqrt(k)) & (k >= FLAT_BLOCKS)
        if length == 1:
            self.lag1 = lag1
        self.depth = np.where(flat & ~self.known, len(self.levels), self.depth)
        self.levels.append(sums)
        self.known = self.known | flat

    def _counting(self) -> Iterator[tuple[Sums, Mask]]:
        """Each level, and where it counts."""
        for depth, one in enumerate(self.levels):
            counts = (depth <= self.depth) | (one.k >= COARSE_BLOCKS)
            yield one, self.known & counts & (one.k > 0)

    def log_e(self, theta: float) -> Array:
        """The least ln e(theta) of the counting levels; 0 while none counts."""
        least = np.full(self.known.shape, np.inf)
        for one, counts in self._counting():
            log_e = _mixture(one.distance(theta), one.spread(theta))
            least = np.where(counts, np.minimum(least, log_e), least)
        return np.where(self.known, least, 0.0)

    def above(self, theta: float, limit: float) -> Mask:
        """Whether the two-sided interval lies above theta."""
        return self._beyond(theta, limit, 1)

    def below(self, theta: float, limit: float) -> Mask:
        """Whether the two-sided interval lies below theta."""
        return self._beyond(theta, limit, -1)

    def _beyond(self, theta: float, limit: float, sign: int) -> Mask:
        holds = self.known.copy()
        for one, counts in self._counting():
            distance = one.distance(theta)
            enough = _mixture(distance, one.spread(theta)) >= limit
            holds &= ~counts | (enough & (sign * distance > 0))
        return holds

    def surely_below(self, theta: float, limit: float) -> Mask:
        """Whether the one-sided evidence of all counting levels reaches the limit."""
        holds = self.known.copy()
        for one, counts in self._counting():
            asked = holds & counts
            log_e = below_log_e(one.distance(theta)[asked], one.spread(theta)[asked])
            holds[asked] = log_e >= limit
        return holds


def below_log_e(distance: Array, spread: Array) -> Array:
    """The half-normal mixture: ln of the evidence that the ratio is below theta."""
    whole = np.full(distance.shape, -np.inf)
    for scale, log_weight in zip(sequences.SCALES, sequences.LOG_WEIGHTS, strict=True):
        widened = spread + scale
        tail = np.asarray(_erfc(distance / np.sqrt(2 * widened)), dtype=float)
        with np.errstate(divide="ignore"):
            term = log_weight + 0.5 * np.log(scale / widened) + distance**2 / (2 * widened)
            whole = np.logaddexp(whole, term + np.log(tail))
    return whole


class Rate:
    """``RobustRate`` after every block."""

    def __init__(self, counted: Counted, beside: Blocks | None = None) -> None:
        sums = (counted.n, counted.pos, counted.neg)
        self.n, self.pos, self.neg = (np.cumsum(one, axis=1) for one in sums)
        self.zero = self.n - self.pos - self.neg
        self.blocks = Blocks(counted.n, counted.pos - counted.neg, beside)

    @property
    def estimate(self) -> Array:
        """The difference of the rates; NaN without an order."""
        with np.errstate(invalid="ignore"):
            return (self.pos - self.neg) / self.n

    def above(self, m: float, alpha: float) -> Mask:
        """Whether the drawn interval lies above m."""
        return self.quick_above(m, alpha) & self.blocks.above(m, math.log(1 / alpha))

    def below(self, m: float, alpha: float) -> Mask:
        """Whether the drawn interval lies below m."""
        return self.quick_below(m, alpha) & self.blocks.below(m, math.log(1 / alpha))

    def quick_above(self, m: float, alpha: float) -> Mask:
        """Whether the interval of the counts alone lies above m."""
        found = greater_log_e(self.pos, self.neg, self.zero, m) >= math.log(2 / alpha)
        return found & (self.estimate > m)

    def quick_below(self, m: float, alpha: float) -> Mask:
        """Whether the interval of the counts alone lies below m."""
        found = greater_log_e(self.neg, self.pos, self.zero, -m) >= math.log(2 / alpha)
        return found & (self.estimate < m)

    def surely_below(self, m: float, alpha: float) -> Mask:
        """Whether the one-sided evidence of counts and blocks reaches the level."""
        limit = math.log(1 / alpha)
        quick = greater_log_e(self.neg, self.pos, self.zero, -m) >= limit
        return quick & self.blocks.surely_below(m, limit)


def greater_log_e(pos: Array, neg: Array, zero: Array, m: float) -> Array:
    """``PairedRate.log_e_greater``."""
    whole = np.full(pos.shape, -np.inf)
    for log_weight, bet in zip(rates.LOG_WEIGHTS, rates.BETS, strict=True):
        whole = np.logaddexp(
            whole,
            log_weight
            + pos * math.log1p(bet * (1 - m) / (1 + m))
            + neg * math.log1p(-bet)
            + zero * math.log1p(-bet * m / (1 + m)),
        )
    return whole


def _grouped(values: Array, length: int) -> Array:
    whole = values.shape[1] // length
    cut = values[:, : whole * length].reshape(values.shape[0], whole, length)
    found: Array = cut.sum(axis=2)
    return found


def _shifted(values: Array) -> Array:
    return np.concatenate([np.zeros((values.shape[0], 1)), values[:, :-1]], axis=1)


def _mixture(distance: Array, spread: Array) -> Array:
    whole = np.full(distance.shape, -np.inf)
    for scale, log_weight in zip(sequences.SCALES, sequences.LOG_WEIGHTS, strict=True):
        widened = spread + scale
        term = log_weight + 0.5 * np.log(scale / widened) + distance**2 / (2 * widened)
        whole = np.logaddexp(whole, term)
    return whole
