"""True effects: how many orders until they are said, and whether the interval holds them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from bench import kitchens, looks
from bench.tables import (
    BLOCK,
    CHUNK,
    EACH,
    LOOKS,
    ORDERS,
    Array,
    by_looks,
    first_alarm,
    head,
    percentiles,
    row,
    runs_of,
)


def orders_needed(rng: Generator, share: float) -> Iterator[str]:
    """How many orders it takes until a true effect is said."""
    runs, fewer = runs_of(200, share), runs_of(40, share)
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
            longest = 300_000 if effect < 0.04 else 40_000
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


def interval_misses(rng: Generator, share: float) -> Iterator[str]:
    """How often the interval ever leaves out a true, skewed effect."""
    runs = runs_of(400, share)
    yield "**True effects.** Share of launches in which the interval ever missed the true mean"
    yield f"within so many orders, a look at every block of 25 ({runs} runs, heavy tails)."
    yield ""
    yield from head(["true effect", "level", *(f"{one:,}" for one in LOOKS)])
    for name in ("10 % faster, but 4 % instead of 2 % slow down", "stalls, 20 times, on 0.5 %"):
        truth = float(np.mean(_skewed(rng, (200, 20_000), name)))
        found: dict[float, list[Array]] = {EACH: [], 0.05: []}
        for start in range(0, runs, CHUNK):
            y = kitchens.blocks_of(
                _skewed(rng, (min(CHUNK, runs - start), ORDERS), name) - truth, BLOCK
            )
            for alpha, firsts in found.items():
                missed = looks.speed_alarms(np.full(y.shape, float(BLOCK)), y, alpha)
                firsts.append(first_alarm(missed, BLOCK))
        effect = f"{name} (mean {100 * np.expm1(truth):+.2f} %)"
        for alpha, firsts in found.items():
            yield row([effect, f"{alpha * 100:g} %", *by_looks(np.concatenate(firsts))])


def _skewed(rng: Generator, shape: tuple[int, int], name: str) -> Array:
    """Clipped log ratios of a candidate that is not just shifted."""
    d = kitchens.noise(rng, shape, "heavy") - kitchens.noise(rng, shape, "heavy")
    if name.startswith("10 %"):
        d += np.log(0.9) + (rng.random(shape) < 0.02) * rng.exponential(1, shape)
    else:
        d += (rng.random(shape) < 0.005) * np.log(20)
    found: Array = np.clip(d, -kitchens.CLIP, kitchens.CLIP)
    return found
