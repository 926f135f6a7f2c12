"""False alarms about failures and about differences beyond noise."""

from __future__ import annotations

from collections.abc import Iterator

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
    first_alarm,
    head,
    row,
    runs_of,
)


def failure_alarms(rng: Generator, share: float) -> Iterator[str]:
    """A/A: how often a version is said to fail more or less often than itself."""
    runs = runs_of(600, share)
    yield f"**Failures, A/A.** The same for failures, half of them shared ({runs} runs each)."
    yield "Incidents hit each version by itself, one in 2,000 orders, for 50 orders: half fail."
    yield ""
    yield from head(["failures", "method", *(f"{one:,}" for one in LOOKS)])
    for rate, bursts in ((0.002, False), (0.01, False), (0.05, False), (0.002, True)):
        found: dict[str, list[Array]] = {}
        for start in range(0, runs, CHUNK):
            a, b = _failures(rng, (min(CHUNK, runs - start), ORDERS), rate, bursts=bursts)
            for method, first in _failure_methods(a, b).items():
                found.setdefault(method, []).append(first)
        name = f"{rate * 100:g} %" + (" and incidents" if bursts else "")
        for method, firsts in found.items():
            yield row([name, method, *by_looks(np.concatenate(firsts))])


def _failures(
    rng: Generator, shape: tuple[int, int], rate: float, *, bursts: bool
) -> tuple[Array, Array]:
    shared = rng.random(shape) < rate / 2
    found = []
    for _ in range(2):
        own = rng.random(shape) < rate / 2
        if bursts:
            own |= (kitchens.incidents(rng, shape, 2000, 50) > 0) & (rng.random(shape) < 0.5)
        found.append((shared | own).astype(float))
    return found[0], found[1]


def _failure_methods(a: Array, b: Array) -> dict[str, Array]:
    pos, neg = b * (1 - a), a * (1 - b)
    by_block = kitchens.blocks_of(pos, BLOCK), kitchens.blocks_of(neg, BLOCK)
    n = np.full(by_block[0].shape, float(BLOCK))
    more, fewer = looks.rate_log_e(*by_block)
    alone = np.maximum(more, fewer) >= np.log(2 / EACH)
    return {
        "**the verdict** (1.25 %)": first_alarm(looks.rate_alarms(n, *by_block, EACH), BLOCK),
        "the same at 5 %": first_alarm(looks.rate_alarms(n, *by_block, 0.05), BLOCK),
        "its counts without blocks, 1.25 %": first_alarm(alone, BLOCK),
        "two-proportion z-test, every order, 5 %": first_alarm(peers.z_alarms(a, b), 1),
        "McNemar's test, every order, 5 %": first_alarm(peers.mcnemar_alarms(pos, neg), 1),
        "paired t-test, every order, 5 %": first_alarm(peers.t_alarms(b - a), 1),
    }


def difference_alarms(rng: Generator, share: float) -> Iterator[str]:
    """A/A/A: how often a version is said to differ more than the baseline's noise."""
    runs = runs_of(600, share)
    yield f"**Differences beyond noise, A/A.** Whole results; a baseline on every order ({runs}"
    yield "runs each). Bursts: noise is twenty times as likely for 50 orders, one in 2,000 orders,"
    yield "of each version by itself."
    yield ""
    yield from head(["noise", "method", *(f"{one:,}" for one in LOOKS)])
    for rate, bursts in ((0.005, False), (0.03, False), (0.005, True)):
        found: dict[str, list[Array]] = {}
        for start in range(0, runs, CHUNK):
            noise, raw = _noises(rng, (min(CHUNK, runs - start), ORDERS), rate, bursts=bursts)
            for method, first in _difference_methods(noise, raw).items():
                found.setdefault(method, []).append(first)
        name = f"{rate * 100:g} %" + (" and bursts" if bursts else "")
        for method, firsts in found.items():
            yield row([name, method, *by_looks(np.concatenate(firsts))])


def _noises(
    rng: Generator, shape: tuple[int, int], rate: float, *, bursts: bool
) -> tuple[Array, Array]:
    found = []
    for _ in range(2):
        chance = np.full(shape, rate)
        if bursts:
            chance *= 1 + 19 * kitchens.incidents(rng, shape, 2000, 50)
        found.append((rng.random(shape) < chance).astype(float))
    return found[0], found[1]


def _difference_methods(noise: Array, raw: Array) -> dict[str, Array]:
    pos = kitchens.blocks_of(raw * (1 - noise), BLOCK)
    neg = kitchens.blocks_of(noise * (1 - raw), BLOCK)
    n = np.full(pos.shape, float(BLOCK))
    hundreds = [np.cumsum(kitchens.blocks_of(one, 100), axis=1) for one in (raw, noise)]
    counted = np.cumsum(np.full(hundreds[0].shape, 100.0), axis=1)
    return {
        "**the verdict** (1.25 %)": first_alarm(looks.rate_alarms(n, pos, neg, EACH), BLOCK),
        "the same at 5 %": first_alarm(looks.rate_alarms(n, pos, neg, 0.05), BLOCK),
        "paired t-test, every order, 5 %": first_alarm(peers.t_alarms(raw - noise), 1),
        "Diffy's thresholds, every 100": first_alarm(
            peers.diffy_alarms(raw=hundreds[0], noise=hundreds[1], n=counted), 100
        ),
    }


def field_alarms(rng: Generator, share: float) -> Iterator[str]:
    """A/A/A: how often any of 40 noisy fields is flagged."""
    runs, fields = runs_of(200, share), 40
    rates = np.geomspace(0.0005, 0.049, fields)[:, None]
    shape = (runs, fields, ORDERS // 100)
    chances = rates * (1 - rates), rates * (1 - rates), rates**2, (1 - rates) ** 2
    drawn = rng.multinomial(100, np.stack(chances, axis=-1), size=shape)
    pos, neg, both = (drawn[..., kind] for kind in range(3))
    flat = [one.reshape(-1, shape[2]).astype(float) for one in (pos, neg, both)]
    more, _ = looks.rate_log_e(flat[0], flat[1])
    raw, noise = (np.cumsum(one + flat[2], axis=1) for one in flat[:2])
    n = np.cumsum(np.full(raw.shape, 100.0), axis=1)
    flags = {
        "**the verdict's list** (evidence over 200/5 %)": more >= np.log(200 / 0.05),
        "Diffy's thresholds": peers.diffy_alarms(raw, noise, n),
    }
    yield f"**Fields, A/A.** Any of {fields} fields flagged that differ by noise alone (0.05 to"
    yield f"4.9 %), a look every 100 orders ({runs} runs)."
    yield ""
    yield from head(["method", *(f"{one:,}" for one in LOOKS)])
    for method, flagged in flags.items():
        first = first_alarm(flagged, 100).reshape(runs, fields).min(axis=1)
        yield row([method, *by_looks(first)])
