"""Simulated kitchens: handling times with heavy tails, failures and differences with bursts.

ln t = ln 40 ms + z + e: z ~ N(0, 0.8^2) is the order's size, which both versions share; e is each
version's own. "Heavy" is 0.12 t_3, and on 2 % of orders Exp(1) more, a Pareto slow-down.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIZE_SD = 0.8
#: The model's clip of a log ratio, as the product's.
CLIP = float(np.log(4))


def noise(rng: Generator, shape: tuple[int, int], kind: str) -> Array:
    """What one version adds to the log of its time."""
    if kind == "quiet":
        return rng.normal(0, 0.1, shape)
    slow = (rng.random(shape) < 0.02) * rng.exponential(1, shape)
    return 0.12 * rng.standard_t(3, shape) + slow


def spells(rng: Generator, shape: tuple[int, int], orders: float, sd: float) -> Array:
    """Slow and fast spells of about so many orders: AR(1) with this standard deviation."""
    keep = np.exp(-1 / orders)
    steps = rng.normal(0, sd * np.sqrt(1 - keep**2), shape)
    found = np.empty(shape)
    level = rng.normal(0, sd, shape[0])
    for i in range(shape[1]):
        level = keep * level + steps[:, i]
        found[:, i] = level
    return found


def incidents(rng: Generator, shape: tuple[int, int], every: int, length: int) -> Array:
    """Where one version is in trouble: incidents of so many orders, one in so many on average."""
    starts = rng.random(shape) < 1 / every
    running = np.cumsum(starts, axis=1)
    before = np.concatenate([np.zeros((shape[0], length)), running[:, :-length]], axis=1)
    found: Array = (running - before > 0).astype(float)
    return found


def blocks_of(values: Array, length: int) -> Array:
    """Sums over blocks of so many orders."""
    whole = values.shape[1] // length
    cut = values[:, : whole * length].reshape(values.shape[0], whole, length)
    found: Array = cut.sum(axis=2)
    return found
