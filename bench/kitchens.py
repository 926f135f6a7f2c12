"""Simulated launches: what two versions and a baseline make of the same orders, by block of time.

ln t = ln 40 ms + size + own: the order's size, N(0, 0.8^2), is shared by both versions; the rest is
each version's own. "Heavy" is 0.12 t_3, and on 2 % of orders Exp(1) more, a Pareto slow-down;
"quiet" is N(0, 0.1^2). Orders arrive by a Poisson process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: The model's clip of a log ratio, as the product's.
CLIP = math.log(4)
#: How many times the control's p95 of the warm-up an order takes to be slow.
SLOW = 1.25
_INCIDENT_ORDERS, _INCIDENT_NOISE = 50, 20
_WARM_UP_S, _WARM_UP_ORDERS = 60.0, 200
#: Steps of a host's level in one block.
_STEPS = 5


@dataclass(frozen=True, kw_only=True)
class BenchKitchen:
    """How the versions behave; ``more_`` is what the candidate has more of, as a share."""

    rate: float = 10.0
    block_s: float = 10.0
    #: "heavy", "quiet", or the standard deviation of each version's own part.
    noise: str | float = "heavy"
    size_sd: float = 0.8
    #: False for split traffic: each order goes to one version alone, so sizes do not cancel.
    paired: bool = True
    #: The candidate takes this much longer: 0.05 is 5 %.
    slower: float = 0.0
    #: On this share of orders it takes five times as long besides.
    stalls: float = 0.0
    more_slow: float = 0.0
    #: Share of orders on which one version alone fails; on as many both do.
    fails: float = 0.001
    more_fails: float = 0.0
    #: The candidate's more failures come so many at once.
    burst: int = 1
    #: Share of orders on which a version differs by noise.
    differs: float = 0.005
    more_differs: float = 0.0
    #: Slow spells of each version's own host: an AR(1) with this correlation length.
    spell_s: float = 0.0
    spell_sd: float = 0.1
    #: Incidents of each version by itself, one in so many orders, for 50 orders: half of them fail,
    #: and noise is twenty times as likely.
    incident_every: float = 0.0


class Block(NamedTuple):
    """The sums of a block; of a rate the orders, and those on which one version alone had it: the
    candidate, or the other."""

    orders: int
    pairs: int
    log_ratio: float
    failures: tuple[int, int, int]
    slow: tuple[int, int, int]
    differences: tuple[int, int, int]


#: Of a rate: orders by (run, block), and those on which one version alone had it.
Counted = tuple[Counts, Counts, Counts]


@dataclass(frozen=True)
class Launches:
    """Sums by (run, block), from the end of the warm-up on."""

    orders: Counts
    pairs: Counts
    log_ratios: Array
    failures: Counted
    slow: Counted
    differences: Counted

    def blocks(self, run: int) -> Iterator[Block]:
        sums = (self.orders, self.pairs, self.log_ratios)
        plain = [one[run].tolist() for one in sums]
        rates = (self.failures, self.slow, self.differences)
        counted = [zip(*(one[run].tolist() for one in rate), strict=True) for rate in rates]
        return map(Block, *plain, *counted)


def launches(rng: Generator, kitchen: BenchKitchen, runs: int, orders: float) -> Launches:
    """So many launches, each of about so many orders after the warm-up."""
    each = kitchen.rate * kitchen.block_s
    warm_up_s = max(_WARM_UP_S, _WARM_UP_ORDERS / kitchen.rate)
    warm_up = math.ceil(warm_up_s / kitchen.block_s)
    placed = rng.poisson(each, (runs, warm_up + max(1, round(orders / each))))
    failures = _failures(rng, kitchen, placed)
    pairs = placed - failures[0] - failures[1] - rng.binomial(placed, kitchen.fails)
    pairs = np.maximum(pairs, 0)
    log_ratios, slower, faster = _times(rng, kitchen, pairs, warm_up)
    differences = _differences(rng, kitchen, pairs)

    def counted(n: Counts, pos: Counts, neg: Counts) -> Counted:
        return n[:, warm_up:], pos[:, warm_up:], neg[:, warm_up:]

    return Launches(
        placed[:, warm_up:],
        pairs[:, warm_up:],
        log_ratios[:, warm_up:],
        counted(placed, *failures),
        counted(pairs, slower, faster),
        counted(pairs, *differences),
    )


def _failures(rng: Generator, kitchen: BenchKitchen, placed: Counts) -> tuple[Counts, Counts]:
    """Of the candidate alone, and of the control alone."""
    more = rng.poisson(placed * kitchen.more_fails / kitchen.burst) * kitchen.burst
    pos = np.minimum(rng.binomial(placed, kitchen.fails) + more, placed)
    neg = rng.binomial(placed - pos, kitchen.fails / (1 - kitchen.fails))
    if kitchen.incident_every:
        pos = pos + rng.binomial(np.minimum(_hit(rng, kitchen, placed), placed - pos - neg), 0.5)
        neg = neg + rng.binomial(np.minimum(_hit(rng, kitchen, placed), placed - pos - neg), 0.5)
    return pos, neg


def _differences(rng: Generator, kitchen: BenchKitchen, pairs: Counts) -> tuple[Counts, Counts]:
    """Of the candidate alone, and of the baseline alone."""
    noise = kitchen.differs * (1 - kitchen.differs)
    more = noise + kitchen.more_differs
    pos = rng.binomial(pairs, more)
    neg = rng.binomial(pairs - pos, noise / (1 - more))
    if kitchen.incident_every:
        also = (_INCIDENT_NOISE - 1) * noise
        pos = pos + rng.binomial(np.minimum(_hit(rng, kitchen, pairs), pairs - pos - neg), also)
        neg = neg + rng.binomial(np.minimum(_hit(rng, kitchen, pairs), pairs - pos - neg), also)
    return pos, neg


def _hit(rng: Generator, kitchen: BenchKitchen, placed: Counts) -> Counts:
    """Orders that incidents of one version fall upon; some of them lie in the next block."""
    found = rng.poisson(placed / kitchen.incident_every) * _INCIDENT_ORDERS
    each = kitchen.rate * kitchen.block_s
    later = np.maximum(0.0, 1 - (1 - rng.random(placed.shape)) * each / _INCIDENT_ORDERS)
    later = np.rint(found * later).astype(np.int64)
    found -= later
    found[:, 1:] += later[:, :-1]
    return np.minimum(found, placed)


def _times(
    rng: Generator, kitchen: BenchKitchen, pairs: Counts, warm_up: int
) -> tuple[Array, Counts, Counts]:
    """Summed log ratios, and on how many orders one version alone was slow."""
    runs, blocks = pairs.shape
    block = np.repeat(np.arange(runs * blocks), pairs.ravel())
    control, candidate = _logs(rng, kitchen, pairs.shape, block)

    def by_block(values: NDArray[np.bool_ | np.float64]) -> Array:
        return np.bincount(block, values, runs * blocks).reshape(runs, blocks).astype(float)

    starts = np.searchsorted(block, np.arange(runs) * blocks)
    ends = np.searchsorted(block, np.arange(runs) * blocks + warm_up)
    p95 = [_p95(control[a:b]) for a, b in zip(starts, ends, strict=True)]
    line = (np.array(p95) + math.log(SLOW))[block // blocks]
    slow_a, slow_b = control > line, candidate > line
    if kitchen.more_slow:
        share = by_block(slow_b).sum(axis=1) / pairs.sum(axis=1)
        slow_b |= rng.random(len(block)) < (kitchen.more_slow / (1 - share))[block // blocks]
    d = candidate - control
    if kitchen.paired:
        d = np.clip(d, -CLIP, CLIP)
    more, less = by_block(slow_b & ~slow_a), by_block(slow_a & ~slow_b)
    return by_block(d), more.astype(np.int64), less.astype(np.int64)


def _logs(
    rng: Generator, kitchen: BenchKitchen, shape: tuple[int, ...], block: Counts
) -> tuple[Array, Array]:
    """Ln of the times of control and candidate, without what all have in common."""
    size = rng.normal(0, kitchen.size_sd, len(block))
    control = size + _own(rng, kitchen, shape, block)
    if not kitchen.paired:
        size = rng.normal(0, kitchen.size_sd, len(block))
    candidate = size + _own(rng, kitchen, shape, block) + math.log1p(kitchen.slower)
    if kitchen.stalls:
        candidate += (rng.random(len(block)) < kitchen.stalls) * math.log(5)
    return control, candidate


def _own(rng: Generator, kitchen: BenchKitchen, shape: tuple[int, ...], block: Counts) -> Array:
    """What one version and its host add."""
    own = noise(rng, len(block), kitchen.noise)
    if kitchen.spell_s:
        length = kitchen.spell_s / kitchen.block_s * _STEPS
        levels = kitchen.spell_sd * _ar1(rng, shape[0], shape[1] * _STEPS, length)
        own += levels.ravel()[block * _STEPS + rng.integers(0, _STEPS, len(block))]
    return own


def noise(rng: Generator, number: int, kind: str | float) -> Array:
    """What one version adds to the log of its time, for so many orders."""
    if kind == "heavy":
        slow = (rng.random(number) < 0.02) * rng.exponential(1, number)
        return 0.12 * rng.standard_t(3, number) + slow
    return rng.normal(0, 0.1 if kind == "quiet" else float(kind), number)


def _ar1(rng: Generator, runs: int, steps: int, length: float) -> Array:
    """Standard normal levels whose correlation falls by e in so many steps."""
    keep = math.exp(-1 / length)
    found = rng.normal(0, math.sqrt(1 - keep**2), (steps, runs))
    level = rng.normal(0, 1, runs)
    for i in range(steps):
        found[i] += keep * level
        level = found[i]
    return np.ascontiguousarray(found.T)


def _p95(values: Array) -> float:
    """The value of rank 95 %, rounded up, as the product has it."""
    if not len(values):
        return math.inf
    rank = math.ceil(0.95 * len(values)) - 1
    return float(np.partition(values, rank)[rank])
