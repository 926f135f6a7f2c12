"""What the verdict promises, simulated: `make simulate` prints it as Markdown, in a few minutes.

Everything is seeded. The product's columns are its own evidence at every closed block (25 orders),
by ``bench.looks``, which a test holds against ``dashboard.domain``. The peers look as often as
each row says. ``--runs`` scales all numbers of runs, in percent.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from bench import kitchens, looks, peers

Array = NDArray[np.float64]

ORDERS = 20_000
BLOCK = 25
LOOKS = (1000, 5000, 20_000)
EACH = 0.05 / 4
_CHUNK = 50
Row = Sequence[str]


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="percent of the usual runs")
    share = parser.parse_args().runs / 100
    started = time.monotonic()
    tables = (speed_alarms, failure_alarms, difference_alarms, field_alarms, orders_needed)
    for seed, table in enumerate(tables, 20_260_101):
        print(f"<!-- seed {seed} -->")
        for line in table(Generator(PCG64(seed)), share):
            print(line)
        print(flush=True)
        print(f"{table.__name__}: {time.monotonic() - started:.0f} s so far", file=sys.stderr)


def speed_alarms(rng: Generator, share: float) -> Iterator[str]:
    """A/A: how often a version is said to be faster or slower than itself."""
    runs, slow_runs = _runs(1000, share), _runs(100, share)
    yield f"**Speed, A/A.** Share of launches with a false alarm within so many orders ({runs} runs"
    yield f"each; Mann-Whitney and Kayenta {slow_runs}). ± {_error(runs)} at 5 %."
    yield ""
    yield from _head(["kitchens", "method", *(f"{one:,}" for one in LOOKS)])
    for name, make in _KITCHENS.items():
        found: dict[str, list[Array]] = {}
        for _ in range(0, runs, _CHUNK):
            d = make(rng, (min(_CHUNK, runs), ORDERS))
            for method, first in _speed_methods(d).items():
                found.setdefault(method, []).append(first)
        for _ in range(slow_runs):
            a, b = _split(rng, name)
            plain, whole = peers.first_alarms(a, b, 500)
            found.setdefault(_MANN_WHITNEY, []).append(np.array([plain]))
            found.setdefault(_KAYENTA, []).append(np.array([whole]))
        for method, firsts in found.items():
            yield _row([name, method, *_by_looks(np.concatenate(firsts))])


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
        "**the verdict** (1.25 %)": _first(looks.speed_alarms(x, y, EACH), BLOCK),
        "the same at 5 %": _first(looks.speed_alarms(x, y, 0.05), BLOCK),
        "its sequence without blocks, every order, 5 %": _first(by_order, 1),
        "paired t-test, every order, 5 %": _first(peers.t_alarms(d), 1),
    }


def failure_alarms(rng: Generator, share: float) -> Iterator[str]:
    """A/A: how often a version is said to fail more or less often than itself."""
    runs = _runs(1000, share)
    yield f"**Failures, A/A.** The same for failures, half of them shared ({runs} runs each)."
    yield "Incidents hit each version by itself, one in 2,000 orders, for 50 orders: half fail."
    yield ""
    yield from _head(["failures", "method", *(f"{one:,}" for one in LOOKS)])
    for rate, bursts in ((0.002, False), (0.01, False), (0.05, False), (0.002, True)):
        found: dict[str, list[Array]] = {}
        for _ in range(0, runs, _CHUNK):
            a, b = _failures(rng, (min(_CHUNK, runs), ORDERS), rate, bursts=bursts)
            for method, first in _failure_methods(a, b).items():
                found.setdefault(method, []).append(first)
        name = f"{rate * 100:g} %" + (" and incidents" if bursts else "")
        for method, firsts in found.items():
            yield _row([name, method, *_by_looks(np.concatenate(firsts))])


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
        "**the verdict** (1.25 %)": _first(looks.rate_alarms(n, *by_block, EACH), BLOCK),
        "the same at 5 %": _first(looks.rate_alarms(n, *by_block, 0.05), BLOCK),
        "its counts without blocks, 1.25 %": _first(alone, BLOCK),
        "two-proportion z-test, every order, 5 %": _first(peers.z_alarms(a, b), 1),
        "McNemar's test, every order, 5 %": _first(peers.mcnemar_alarms(pos, neg), 1),
    }


def difference_alarms(rng: Generator, share: float) -> Iterator[str]:
    """A/A/A: how often a version is said to differ more than the baseline's noise."""
    runs = _runs(1000, share)
    yield f"**Differences beyond noise, A/A.** Whole results; a baseline on every order ({runs}"
    yield "runs each). Bursts: noise is twenty times as likely for 50 orders, one in 2,000 orders,"
    yield "of each version by itself."
    yield ""
    yield from _head(["noise", "method", *(f"{one:,}" for one in LOOKS)])
    for rate, bursts in ((0.005, False), (0.03, False), (0.005, True)):
        found: dict[str, list[Array]] = {}
        for _ in range(0, runs, _CHUNK):
            noise, raw = _noises(rng, (min(_CHUNK, runs), ORDERS), rate, bursts=bursts)
            for method, first in _difference_methods(noise, raw).items():
                found.setdefault(method, []).append(first)
        name = f"{rate * 100:g} %" + (" and bursts" if bursts else "")
        for method, firsts in found.items():
            yield _row([name, method, *_by_looks(np.concatenate(firsts))])


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
        "**the verdict** (1.25 %)": _first(looks.rate_alarms(n, pos, neg, EACH), BLOCK),
        "the same at 5 %": _first(looks.rate_alarms(n, pos, neg, 0.05), BLOCK),
        "Diffy's thresholds, every 100": _first(
            peers.diffy_alarms(raw=hundreds[0], noise=hundreds[1], n=counted), 100
        ),
    }


def field_alarms(rng: Generator, share: float) -> Iterator[str]:
    """A/A/A: how often any of 40 noisy fields is flagged."""
    runs, fields = _runs(200, share), 40
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
    yield from _head(["method", *(f"{one:,}" for one in LOOKS)])
    for method, flagged in flags.items():
        first = _first(flagged, 100).reshape(runs, fields).min(axis=1)
        yield _row([method, *_by_looks(first)])


def orders_needed(rng: Generator, share: float) -> Iterator[str]:
    """How many orders it takes until a true effect is said."""
    runs, fewer = _runs(200, share), _runs(60, share)
    yield '**Orders until "faster"**, 10th / 50th / 90th percentile (blocks of 5 orders;'
    yield f"{runs} runs, split traffic {fewer}). Split traffic: the same verdict, each order to one"
    yield "version alone, all orders counted. Time sets a floor besides: 20 blocks of 10 s, after the"
    yield "warm-up."
    yield ""
    yield from _head(["noise", "true effect", "paired", "split traffic", "factor"])
    for kind in ("heavy", "quiet"):
        for effect in (0.02, 0.05, 0.10, 0.20):
            shift = np.log1p(-effect)
            paired = _until_faster(rng, runs, kind, shift, longest=20_000, paired=True)
            longest = 400_000 if effect < 0.04 else 40_000
            split = 2 * _until_faster(rng, fewer, kind, shift, longest=longest, paired=False)
            factor = np.median(split) / np.median(paired)
            yield _row(
                [
                    kind,
                    f"{effect * 100:.0f} %",
                    _percentiles(paired),
                    _percentiles(split),
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
        found.append(_first(alarms, 5))
    return np.concatenate(found)


def _runs(usual: int, share: float) -> int:
    return max(2, round(usual * share))


def _first(alarms: NDArray[np.bool_], every: int) -> Array:
    """Orders until the first alarm of each run."""
    first = (np.argmax(alarms, axis=1) + 1.0) * every
    return np.where(alarms.any(axis=1), first, np.inf)


def _by_looks(first: Array) -> list[str]:
    return [f"{np.mean(first <= look):.1%}".replace("%", " %") for look in LOOKS]


def _percentiles(first: Array) -> str:
    ends = np.percentile(first, (10, 50, 90), method="inverted_cdf")
    return " / ".join("not seen" if np.isinf(one) else f"{one:,.0f}" for one in ends)


def _error(runs: int) -> str:
    return f"{200 * np.sqrt(0.05 * 0.95 / runs):.1f} points"


def _head(names: Row) -> Iterator[str]:
    yield _row(names)
    yield "|" + "---|" * len(names)


def _row(cells: Row) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
