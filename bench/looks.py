"""The product's evidence at every look, for many simulated launches at once.

Vectorised with numpy; a test holds each function against the product's own code, look by look.
Arrays are (runs, blocks); a look comes after every block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.kitchens import blocks_of
from dashboard.domain.verdict import rates, sequences
from dashboard.domain.verdict.levels import COARSE_BLOCKS, FLAT_BLOCKS, GROUP

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def finest_log_e(y: Array) -> Array:
    """Ln e(0) of ``RatioBlocks`` after each block."""
    return _mixture(np.cumsum(y, axis=1), np.cumsum(y * y, axis=1))


def shown_log_e(x: Array, y: Array) -> Array:
    """Ln e(0) of ``MultiLevelBlocks`` after each block; no block may be empty."""
    runs, blocks = y.shape
    least = np.full((runs, blocks), np.inf)
    settled = np.zeros((runs, blocks), dtype=bool)
    for depth in range(_depths(blocks)):
        length = GROUP**depth
        log_e, flat = _level(blocks_of(x, length), blocks_of(y, length))
        k = np.arange(1, blocks + 1) // length
        log_e, flat = log_e[:, k], flat[:, k] & (k >= FLAT_BLOCKS)
        counts = ~settled | (k >= COARSE_BLOCKS)
        least = np.where(counts & (k > 0), np.minimum(least, log_e), least)
        settled |= flat
    return np.where(settled, least, 0.0)


def rate_log_e(pos: Array, neg: Array) -> tuple[Array, Array]:
    """Ln E+(0) and ln E-(0) of ``PairedRate`` after each block."""
    alone = np.cumsum(pos, axis=1), np.cumsum(neg, axis=1)
    bets = np.array(rates.BETS)
    up, down = np.log1p(bets), np.log1p(-bets)
    return _bets(*alone, up, down), _bets(*alone[::-1], up, down)


def speed_alarms(x: Array, y: Array, alpha: float) -> Mask:
    """Whether the shown interval of the mean log ratio excludes 0, after each block."""
    found: Mask = shown_log_e(x, y) >= np.log(1 / alpha)
    return found


def rate_alarms(n: Array, pos: Array, neg: Array, alpha: float) -> Mask:
    """Whether the shown interval of ``RobustRate`` excludes 0, after each block."""
    more, fewer = rate_log_e(pos, neg)
    blocks = shown_log_e(n, pos - neg) >= np.log(1 / alpha)
    total = np.cumsum(pos - neg, axis=1)
    limit = np.log(2 / alpha)
    sides = ((more >= limit) & (total > 0)) | ((fewer >= limit) & (total < 0))
    found: Mask = blocks & sides
    return found


def _depths(blocks: int) -> int:
    depth = 1
    while blocks >= GROUP**depth:
        depth += 1
    return depth


def _level(x: Array, y: Array) -> tuple[Array, Mask]:
    """Ln e(0) and flatness after k = 0, 1, 2, ... blocks of one level."""
    sums_x, sums_y = np.cumsum(x, axis=1), np.cumsum(y, axis=1)
    xx, xy, yy = (np.cumsum(one, axis=1) for one in (x * x, x * y, y * y))
    before_x, before_y = _shifted(x), _shifted(y)
    xx1, yy1 = (np.cumsum(one, axis=1) for one in (x * before_x, y * before_y))
    xy1 = np.cumsum(x * before_y + y * before_x, axis=1)
    theta = sums_y / sums_x
    spread = np.maximum(0.0, yy - 2 * theta * xy + theta * theta * xx)
    with np.errstate(invalid="ignore", divide="ignore"):
        lag1 = np.where(spread > 0, (yy1 - theta * xy1 + theta * theta * xx1) / spread, 0.0)
    flat = lag1 <= 1 / np.sqrt(np.arange(1, x.shape[1] + 1))
    start = np.zeros((x.shape[0], 1))
    log_e = np.concatenate([start, _mixture(sums_y, yy)], axis=1)
    return log_e, np.concatenate([start > 0, flat], axis=1)


def _shifted(values: Array) -> Array:
    return np.concatenate([np.zeros((values.shape[0], 1)), values[:, :-1]], axis=1)


def _mixture(distance: Array, spread: Array) -> Array:
    whole = np.full(distance.shape, -np.inf)
    for scale, log_weight in zip(sequences.SCALES, sequences.LOG_WEIGHTS, strict=True):
        widened = spread + scale
        term = log_weight + 0.5 * np.log(scale / widened) + distance**2 / (2 * widened)
        whole = np.logaddexp(whole, term)
    return whole


def _bets(wins: Array, losses: Array, up: Array, down: Array) -> Array:
    whole = np.full(wins.shape, -np.inf)
    for log_weight, win, loss in zip(rates.LOG_WEIGHTS, up, down, strict=True):
        whole = np.logaddexp(whole, log_weight + wins * win + losses * loss)
    return whole
