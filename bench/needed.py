"""How many orders a verdict takes, and what its words rest on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from bench.judging import Judged
from bench.kitchens import Kitchen
from bench.looks import Mask
from bench.simulated import ORDERS, alarm, firsts, ready, worse
from bench.tables import head, percentiles, row, share
from dashboard.verdict.requirements import Requirement

#: Orders a second, seconds a block, and how many orders are looked at.
_RATES = {
    "5 a minute": (5 / 60, 300.0, 20_000),
    "10 a second": (10.0, 10.0, 40_000),
    "100 a second": (100.0, 10.0, 100_000),
}


def orders_to_ready(rng: Generator, runs: int) -> Iterator[str]:
    """Orders until an equal candidate is READY."""
    yield "**Orders to READY**, 10th / 50th / 90th percentile, of a candidate equal to the control"
    yield f"({runs:,} launches, 100 a second {runs // 3:,}). Time: the median, after the warm-up."
    yield ""
    yield from head(["orders", "block", "noise", "orders to READY", "time"])
    for name, (rate, block_s, orders) in _RATES.items():
        for noise in ("heavy", "quiet"):
            kitchen = Kitchen(rate=rate, block_s=block_s, noise=noise)
            some = max(5, runs // 3) if rate > 10 else runs
            (found,) = firsts(rng, kitchen, some, ready, orders=orders)
            time = _time(float(np.median(found)) / rate)
            yield row([name, f"{block_s:g} s", noise, percentiles(found), time])


def orders_to_worse(rng: Generator, runs: int) -> Iterator[str]:
    """Orders until a candidate beyond a threshold is WORSE."""
    cases = {
        "5 % slower": Kitchen(slower=0.05),
        "10 % slower": Kitchen(slower=0.10),
        "+1 pp failures": Kitchen(more_fails=0.01),
        "+2 pp differences": Kitchen(more_differs=0.02),
    }
    yield "**Orders to WORSE**, the same, at 10 orders a second; 20 blocks are 2,000 orders"
    yield f"({runs:,} launches)."
    yield ""
    yield from head(["candidate", "heavy tails", "quiet"])
    for name, kitchen in cases.items():
        both = (replace(kitchen, noise=noise) for noise in ("heavy", "quiet"))
        yield row([name, *(percentiles(firsts(rng, one, runs, worse)[0]) for one in both)])


def slow_orders(rng: Generator, runs: int) -> Iterator[str]:
    """The least effect of slow orders."""
    cases = {
        "0.3 % slower, all times equal but for 0.3 %": Kitchen(
            noise=0.003, size_sd=0.0, slower=0.003
        ),
        "2 % slower, all times equal": Kitchen(noise=0.0, size_sd=0.0, slower=0.02),
        "2 % of orders five times slower": Kitchen(stalls=0.02),
        "equal, heavy tails": Kitchen(),
    }
    yield f"**Slow orders** ({runs:,} launches of {ORDERS:,} orders): how often more of them were"
    yield "found, and the orders until they passed."
    yield ""
    yield from head(["candidate", "more found", "orders to pass"])
    for name, kitchen in cases.items():
        more, passed = firsts(rng, kitchen, runs, _slow_more, _slow_passes)
        yield row([name, share(np.isfinite(more)), percentiles(passed)])


def _slow_more(judged: Judged) -> Mask:
    return judged.headlines[Requirement.SLOW_ORDERS].more


def _slow_passes(judged: Judged) -> Mask:
    return judged.headlines[Requirement.SLOW_ORDERS].passes


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
            some = max(5, runs // 4) if rate > 10 else runs
            own = Kitchen(rate=rate, block_s=block_s)
            (found,) = firsts(rng, own, some, ready, orders=orders)
            ends = np.percentile(found, (50, 90), method="inverted_cdf") / rate
            spelled = Kitchen(rate=rate, block_s=block_s, spell_s=20.0)
            (alarms,) = firsts(rng, spelled, runs, alarm, orders=max(ORDERS, rate * 400))
            times = f"{_time(ends[0])}, {_time(ends[1])}"
            yield row([name, f"{block_s} s", times, share(np.isfinite(alarms))])


def _time(seconds: float) -> str:
    if np.isinf(seconds):
        return "not seen"
    return f"{seconds / 60:,.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def split_traffic(rng: Generator, runs: int) -> Iterator[str]:
    """How many orders it saves that both versions get the same ones."""
    few = max(5, runs // 5)
    yield '**Orders until "faster"**, 10th / 50th / 90th percentile, blocks of 5 orders; and the'
    yield f"same with each order at one version alone ({runs:,} launches, split traffic {few})."
    yield ""
    yield from head(["noise", "true effect", "paired", "split traffic", "factor"])
    for noise in ("heavy", "quiet"):
        for slower, effect in ((-0.05, "5 %"), (-0.10, "10 %")):
            paired = Kitchen(noise=noise, slower=slower, block_s=0.5)
            alone = replace(paired, paired=False)
            (one,) = firsts(rng, paired, runs, _faster, orders=10_000)
            (two,) = firsts(rng, alone, few, _faster, orders=40_000)
            factor = f"{2 * np.median(two) / np.median(one):.0f}"
            yield row([noise, effect, percentiles(one), percentiles(2 * two), factor])


def _faster(judged: Judged) -> Mask:
    return judged.headlines[Requirement.SPEED].less
