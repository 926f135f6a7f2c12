"""False alarms about speed, and orders until a true effect is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.random import Generator

from bench import kitchens, looks, peers
from bench.tables import (
    BLOCK,
    CHUNK,
    EACH,
    LOOKS,
    ORDERS,
    Array,
    by_looks,
    error,
    first_alarm,
    head,
    percentiles,
    row,
    runs_of,
)


def speed_alarms(rng: Generator, share: float) -> Iterator[str]:
    """A/A: how often a version is said to be faster or slower than itself."""
    runs, slow_runs = runs_of(1000, share), runs_of(100, share)
    yield f"**Speed, A/A.** Share of launches with a false alarm within so many orders ({runs} runs"
    yield f"each; Mann-Whitney and Kayenta {slow_runs}). ± {error(runs)} at 5 %."
    yield ""
    yield from head(["kitchens", "method", *(f"{one:,}" for one in LOOKS)])
    for name, make in _KITCHENS.items():
        found: dict[str, list[Array]] = {}
        for _ in range(0, runs, CHUNK):
            d = make(rng, (min(CHUNK, runs), ORDERS))
            for method, first in _speed_methods(d).items():
                found.setdefault(method, []).append(first)
        for _ in range(slow_runs):
            a, b = _split(rng, name)
            plain, whole = peers.first_alarms(a, b, 500)
            found.setdefault(_MANN_WHITNEY, []).append(np.array([plain]))
            found.setdefault(_KAYENTA, []).append(np.array([whole]))
        for method, firsts in found.items():
            yield row([name, method, *by_looks(np.concatenate(firsts))])


_MANN_WHITNEY = "Mann-Whitney 98 %, split traffic, every 500"
_KAYENTA = "Kayenta's whole rule, split traffic, every 500"


def _heavy(rng: Generator, shape: tuple[int, int]) -> Array:
    return kitchens.noise(rng, shape, "heavy") - kitchens.noise(rng, shape, "heavy")


def _spelled(rng: Generator, shape: tuple[int, int]) -> Array:
    own = kitchens.spells(rng, shape, BLOCK, 0.1) - kitchens.spells(rng, shape, BLOCK, 0.1)
    return _heavy(rng, shape) + own


_KITCHENS: dict[str, Callable[[Generator, tuple[int, int]], Array]] = {
    "heavy tails": _heavy,
    "heavy tails, each version's own slow spells": _spelled,
}


def _split(rng: Generator, name: str) -> tuple[Array, Array]:
    """Two groups of different orders, as a canary has them."""
    shape = (1, ORDERS // 2)
    groups = [
        rng.normal(0, kitchens.SIZE_SD, shape) + kitchens.noise(rng, shape, "heavy")
        for _ in range(2)
    ]
    if "spells" in name:
        groups = [one + kitchens.spells(rng, shape, BLOCK / 2, 0.1) for one in groups]
    a, b = (40 * np.exp(one[0]) for one in groups)
    return a, b


def _speed_methods(d: Array) -> dict[str, Array]:
    """The first alarm of each run, in orders."""
    clipped = np.clip(d, -kitchens.CLIP, kitchens.CLIP)
    y = kitchens.blocks_of(clipped, BLOCK)
    x = np.full(y.shape, float(BLOCK))
    by_order = looks.finest_log_e(clipped) >= np.log(1 / 0.05)
    return {
        "**the verdict** (1.25 %)": first_alarm(looks.speed_alarms(x, y, EACH), BLOCK),
        "the same at 5 %": first_alarm(looks.speed_alarms(x, y, 0.05), BLOCK),
        "its sequence without blocks, every order, 5 %": first_alarm(by_order, 1),
        "paired t-test, every order, 5 %": first_alarm(peers.t_alarms(d), 1),
    }


def orders_needed(rng: Generator, share: float) -> Iterator[str]:
    """How many orders it takes until a true effect is said."""
    runs, fewer = runs_of(200, share), runs_of(60, share)
    yield '**Orders until "faster"**, 10th / 50th / 90th percentile (blocks of 5 orders;'
    yield f"{runs} runs, split traffic {fewer}). Split traffic: the same verdict, each order to one"
    yield "version alone, all orders counted. Time sets a floor besides: 20 blocks of 10 s, after"
    yield "the warm-up."
    yield ""
    yield from head(["noise", "true effect", "paired", "split traffic", "factor"])
    for kind in ("heavy", "quiet"):
        for effect in (0.02, 0.05, 0.10, 0.20):
            shift = np.log1p(-effect)
            paired = _until_faster(rng, runs, kind, shift, longest=20_000, paired=True)
            longest = 400_000 if effect < 0.04 else 40_000
            split = 2 * _until_faster(rng, fewer, kind, shift, longest=longest, paired=False)
            factor = np.median(split) / np.median(paired)
            yield row(
                [
                    kind,
                    f"{effect * 100:.0f} %",
                    percentiles(paired),
                    percentiles(split),
                    f"{factor:.0f}",
                ]
            )


def _until_faster(
    rng: Generator, runs: int, kind: str, shift: float, *, longest: int, paired: bool
) -> Array:
    """Pairs until 0 is excluded, a run each; infinity for not within ``longest``."""
    found = []
    chunk = max(1, 2_000_000 // longest)
    for start in range(0, runs, chunk):
        shape = (min(chunk, runs - start), longest)
        d = shift + kitchens.noise(rng, shape, kind) - kitchens.noise(rng, shape, kind)
        if paired:
            d = np.clip(d, -kitchens.CLIP, kitchens.CLIP)
        else:
            d += rng.normal(0, kitchens.SIZE_SD * np.sqrt(2), shape)
        y = kitchens.blocks_of(d, 5)
        alarms = looks.speed_alarms(np.full(y.shape, 5.0), y, EACH)
        found.append(first_alarm(alarms, 5))
    return np.concatenate(found)
