"""Many launches of one kitchen, a part of them at once, and when something first held in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.random import Generator

from bench.judging import Judged
from bench.kitchens import Array, Kitchen, launches
from bench.looks import Mask

#: Orders that are simulated at once.
_AT_ONCE = 3_000_000
ORDERS = 20_000


def simulated(
    rng: Generator, kitchen: Kitchen, runs: int, orders: float = ORDERS
) -> Iterator[Judged]:
    """So many launches of about so many orders."""
    part = max(1, min(runs, int(_AT_ONCE / orders)))
    for start in range(0, runs, part):
        yield Judged(launches(rng, kitchen, min(part, runs - start), orders))


def firsts(
    rng: Generator,
    kitchen: Kitchen,
    runs: int,
    *asked: Callable[[Judged], Mask],
    orders: float = ORDERS,
) -> list[Array]:
    """For each question, the orders until its answer is first yes; infinity for never."""
    found = [
        [judged.first(when(judged)) for when in asked]
        for judged in simulated(rng, kitchen, runs, orders)
    ]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def ready(judged: Judged) -> Mask:
    """Whether the launch is READY."""
    return judged.ready


def worse(judged: Judged) -> Mask:
    """Whether it is WORSE."""
    return judged.worse


def alarm(judged: Judged) -> Mask:
    """Whether any interval excludes 0."""
    return judged.alarm
