"""False alarms about speed."""

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
    row,
    runs_of,
)


def speed_alarms(rng: Generator, share: float) -> Iterator[str]:
    """A/A: how often a version is said to be faster or slower than itself."""
    runs, slow_runs = runs_of(600, share), runs_of(100, share)
    yield f"**Speed, A/A.** Share of launches with a false alarm within so many orders ({runs} runs"
    yield f"each; Mann-Whitney and Kayenta {slow_runs}). ± {error(runs)} at 5 %."
    yield ""
    yield from head(["kitchens", "method", *(f"{one:,}" for one in LOOKS)])
    for name, make in _KITCHENS.items():
        found: dict[str, list[Array]] = {}
        for start in range(0, runs, CHUNK):
            d = make(rng, (min(CHUNK, runs - start), ORDERS))
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


def long_spells(rng: Generator, share: float) -> Iterator[str]:
    """A/A beyond what is assumed: spells of one version that last many blocks."""
    runs = runs_of(600, share)
    yield "**Beyond the assumption.** Speed, A/A, when each version has slow spells of its own that"
    yield f"last many blocks (heavy tails, log-sd 0.1; {runs} runs, the verdict at 1.25 %)."
    yield ""
    yield from head(["length of spells", *(f"{one:,}" for one in LOOKS)])
    for blocks in (2, 8, 40):
        firsts = []
        for start in range(0, runs, CHUNK):
            shape = (min(CHUNK, runs - start), ORDERS)
            spells = (kitchens.spells(rng, shape, blocks * BLOCK, 0.1) for _ in range(2))
            d = _heavy(rng, shape) + next(spells) - next(spells)
            y = kitchens.blocks_of(np.clip(d, -kitchens.CLIP, kitchens.CLIP), BLOCK)
            alarms = looks.speed_alarms(np.full(y.shape, float(BLOCK)), y, EACH)
            firsts.append(first_alarm(alarms, BLOCK))
        yield row([f"{blocks} blocks", *by_looks(np.concatenate(firsts))])
