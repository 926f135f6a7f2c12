"""How other tools decide, written from what they publish, and run on the same orders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.random import Generator

from bench import kitchens
from bench.kitchens import Array, Mask
from dashboard.verdict.rates import beyond_noise

_FIELDS, _EVERY = 40, 100


def peers(
    rng: Generator, runs: int, *, orders: int, share: Callable[[Mask], str]
) -> Iterator[Sequence[str]]:
    """A/A: how often methods without an allowance for looking again find a difference."""
    shape = (runs, orders)
    own = (kitchens.noise(rng, runs * orders, "heavy").reshape(shape) for _ in range(2))
    t_test = t_alarms(next(own) - next(own))
    counted = np.cumsum(rng.choice([-1, 0, 1], shape, p=(0.01, 0.98, 0.01)), axis=1, dtype=np.int32)
    either = np.maximum(np.cumsum(np.diff(counted, axis=1, prepend=0) != 0, axis=1), 1)
    mcnemar = np.abs(counted) > 1.959964 * np.sqrt(either)
    raw, noise, both = _fields(rng, runs, orders)
    more = np.vectorize(beyond_noise, otypes=[bool])(raw, noise, 0)
    diffy = diffy_alarms(raw + both, noise + both, np.arange(1, raw.shape[1] + 1) * float(_EVERY))
    for what, method, alarms in (
        ("speed", "paired t-test at 5 %, every order", t_test),
        ("failures of 1 %", "McNemar's test at 5 %, every order", mcnemar),
        ("fields", "Diffy's thresholds", diffy),
        ("fields", "the verdict's list of discrepancies", more),
    ):
        yield what, method, share(np.any(alarms.reshape(runs, -1), axis=1))


def _fields(rng: Generator, runs: int, orders: int) -> tuple[Array, Array, Array]:
    """By (run and field, look): the candidate alone differs, the baseline alone, both."""
    rates = np.geomspace(0.0005, 0.049, _FIELDS)[:, None]
    one, two = rates * (1 - rates), rates**2
    chances = np.stack([one, one, two, 1 - 2 * one - two], axis=-1)
    drawn = rng.multinomial(_EVERY, chances, size=(runs, _FIELDS, orders // _EVERY))
    sums = drawn.cumsum(axis=2).reshape(runs * _FIELDS, -1, 4).astype(float)
    return sums[..., 0], sums[..., 1], sums[..., 2]


def t_alarms(d: Array) -> Mask:
    """Paired t-test, two-sided p < 0.05, after each order from the tenth on."""
    n = np.arange(1, d.shape[1] + 1)
    mean = np.cumsum(d, axis=1) / n
    variance = np.maximum(np.cumsum(d * d, axis=1) / n - mean**2, 1e-300) * n / np.maximum(n - 1, 1)
    freedom = np.maximum(n - 1, 1)
    z = 1.959964
    critical = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    found: Mask = (np.abs(mean) > critical * np.sqrt(variance / n)) & (n >= 10)
    return found


def diffy_alarms(raw: Array, noise: Array, n: Array) -> Mask:
    """Diffy: raw > noise, by more than 20 % of both and 0.03 % of all; cumulated counts."""
    gap = raw - noise
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(raw + noise > 0, gap / (raw + noise), 0.0)
    found: Mask = (gap > 0) & (relative > 0.20) & (gap / n > 0.0003)
    return found
