"""How many orders a verdict takes, and what its words rest on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from bench.judging import Judged
from bench.kitchens import Array, Kitchen
from bench.looks import Mask
from bench.simulated import ORDERS, alarm, firsts, ready, worse
from bench.tables import head, percentiles, row, share

#: Orders a second, seconds a block, and how many orders are looked at.
_RATES = {
    "5 a minute": (5 / 60, 300.0, 20_000),
    "10 a second": (10.0, 10.0, 40_000),
    "100 a second": (100.0, 10.0, 100_000),
}


def orders_to_ready(rng: Generator, runs: int) -> Iterator[str]:
    """Orders until an equal candidate is READY."""
    yield "**Orders to READY**, 10th / 50th / 90th percentile, of a candidate equal to the control"
    yield f"({runs:,} launches, 100 a second {runs // 3:,}). Time: of the median, after the warm-up."
    yield ""
    yield from head(["orders", "block", "noise", "orders to READY", "time"])
    for name, (rate, block_s, orders) in _RATES.items():
        for noise in ("heavy", "quiet"):
            kitchen = Kitchen(rate=rate, block_s=block_s, noise=noise)
            some = runs // 3 if rate > 10 else runs
            (found,) = firsts(rng, kitchen, some, ready, orders=orders)
            time = _time(float(np.median(found)) / rate)
            yield row([name, f"{block_s:g} s", noise, percentiles(found), time])


def orders_to_worse(rng: Generator, runs: int) -> Iterator[str]:
    """Orders until a candidate beyond a threshold is WORSE."""
    cases = {
        "5 % slower": {"slower": 0.05},
        "10 % slower": {"slower": 0.10},
        "+1 pp failures": {"more_fails": 0.01},
        "+2 pp differences": {"more_differs": 0.02},
    }
    yield "**Orders to WORSE**, the same, at 10 orders a second; 20 blocks are 2,000 orders"
    yield f"({runs:,} launches)."
    yield ""
    yield from head(["candidate", "heavy tails", "quiet"])
    for name, effect in cases.items():
        kitchens = (Kitchen(noise=noise, **effect) for noise in ("heavy", "quiet"))
        yield row([name, *(percentiles(firsts(rng, one, runs, worse)[0]) for one in kitchens)])


def slow_orders(rng: Generator, runs: int) -> Iterator[str]:
    """The least effect of slow orders."""
    cases = {
        "0.3 % slower, all times equal but for 0.3 %": (0.003, Kitchen(slower=0.003, size_sd=0.0)),
        "2 % slower, all times equal": (0.0, Kitchen(slower=0.02, size_sd=0.0)),
        "2 % of orders five times slower": ("heavy", Kitchen(stalls=0.02)),
    }
    yield f"**Slow orders** ({runs:,} launches of {ORDERS:,} orders)."
    yield ""
    yield from head(["candidate", "more slow orders shown", "passes, orders"])
    for name, (noise, kitchen) in cases.items():
        own = Kitchen(
            noise=noise, size_sd=kitchen.size_sd, slower=kitchen.slower, stalls=kitchen.stalls
        )
        more, passed = firsts(rng, own, runs, _slow_more, _slow_passes)
        yield row([name, share(np.isfinite(more)), percentiles(passed)])


def _slow_more(judged: Judged) -> Mask:
    return judged.headlines["slow orders"].more


def _slow_passes(judged: Judged) -> Mask:
    return judged.headlines["slow orders"].passes


def block_lengths(rng: Generator, runs: int) -> Iterator[str]:
    """What the length of a block costs, and what it guards against."""
    lengths = {
        "5 a minute": (60, 300, 1200),
        "10 a second": (2, 5, 10, 20),
        "100 a second": (2, 5, 10, 20),
    }
    yield "**Length of a block.** Equal candidate, heavy tails: time to READY (median and 90th"
    yield "percentile), and how often any interval excludes 0 where each host has slow spells of 20"
    yield f"s ({runs:,} launches)."
    yield ""
    yield from head(["orders", "block", "time to READY", "false alarms, spells of 20 s"])
    for name, all_s in lengths.items():
        rate, _, orders = _RATES[name]
        for block_s in all_s:
            some = runs // 4 if rate > 10 else runs
            own = Kitchen(rate=rate, block_s=block_s)
            (found,) = firsts(rng, own, some, ready, orders=orders)
            ends = np.percentile(found, (50, 90), method="inverted_cdf") / rate
            spelled = Kitchen(rate=rate, block_s=block_s, spell_s=20.0)
            (alarms,) = firsts(rng, spelled, runs, alarm, orders=min(orders, rate * 600 + ORDERS))
            times = f"{_time(ends[0])}, {_time(ends[1])}"
            yield row([name, f"{block_s} s", times, share(np.isfinite(alarms))])


def _time(seconds: float) -> str:
    if np.isinf(seconds):
        return "not seen"
    return f"{seconds / 60:,.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def split_traffic(rng: Generator, runs: int) -> Iterator[str]:
    """How many orders it saves that both versions get the same ones."""
    yield '**Orders until "faster"**, 10th / 50th / 90th percentile, blocks of 5 orders, and the same'
    yield f"if each order goes to one version alone ({runs:,} launches, split traffic {runs // 5})."
    yield ""
    yield from head(["noise", "true effect", "paired", "split traffic", "factor"])
    for noise in ("heavy", "quiet"):
        for effect in (0.05, 0.10):
            own = {"noise": noise, "slower": -effect, "block_s": 0.5}
            paired = _until_faster(rng, Kitchen(**own), runs, 10_000)
            alone = Kitchen(**own, paired=False)
            split = 2 * _until_faster(rng, alone, runs // 5, 40_000)
            factor = f"{np.median(split) / np.median(paired):.0f}"
            yield row(
                [
                    noise,
                    f"{effect:.0%}".replace("%", " %"),
                    percentiles(paired),
                    percentiles(split),
                    factor,
                ]
            )


def _until_faster(rng: Generator, kitchen: Kitchen, runs: int, orders: int) -> Array:
    def faster(judged: Judged) -> Mask:
        return judged.headlines["speed"].less

    return firsts(rng, kitchen, runs, faster, orders=orders)[0]
