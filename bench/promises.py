"""How often the verdict is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from bench.judging import DRAWN, Judged
from bench.kitchens import Kitchen, launches
from bench.looks import Blocks, Mask
from bench.simulated import ORDERS, alarm, firsts, ready, simulated, worse
from bench.tables import head, percentiles, row, share
from dashboard.verdict.requirements import HEADLINES, Requirement
from dashboard.verdict.words import LEAST_BLOCKS

#: Blocks from which on a look is a later one.
_LATER = 40


def false_alarms(rng: Generator, runs: int) -> Iterator[str]:
    """A/A: how often a version is called other than itself, for each noise that is covered."""
    kitchens = {
        "heavy tails": Kitchen(),
        "quiet": Kitchen(noise="quiet"),
        "all times equal but for 0.3 %": Kitchen(noise=0.003, size_sd=0.0),
        "5 % failures": Kitchen(noise="quiet", fails=0.025),
        "20 % noise in differences": Kitchen(noise="quiet", differs=0.2),
        "incidents of one version, 1 in 2,000 orders": Kitchen(incident_every=2000),
        "slow spells of one host, 10 s": Kitchen(spell_s=10),
        "slow spells of one host, 20 s": Kitchen(spell_s=20),
        "5 orders a minute, blocks of 300 s": Kitchen(rate=5 / 60, block_s=300),
        "100 orders a second": Kitchen(rate=100),
    }
    yield f"**False alarms.** Candidate equal to the control, {ORDERS:,} orders, {runs:,} launches"
    yield "a row: how often any interval ever excluded 0, how often the verdict was ever WORSE, and"
    yield "the intervals of each headline."
    yield ""
    yield from head(["kitchens", "any interval", "WORSE", *HEADLINES])
    for name, kitchen in kitchens.items():
        some = max(20, runs // 4) if kitchen.rate > 10 else runs
        orders = 100_000 if kitchen.rate > 10 else ORDERS
        found = firsts(rng, kitchen, some, alarm, worse, *map(_alarm_of, HEADLINES), orders=orders)
        yield row([name, *(share(np.isfinite(one)) for one in found)])


def _alarm_of(headline: Requirement) -> Callable[[Judged], Mask]:
    def when(judged: Judged) -> Mask:
        return judged.headlines[headline].alarm

    return when


def false_ready(rng: Generator, runs: int) -> Iterator[str]:
    """How often a launch is READY with one requirement exactly at its threshold."""
    cases = {
        "speed, 2 % slower": Kitchen(slower=0.02),
        "failures, +0.5 pp": Kitchen(more_fails=0.005),
        "slow orders, +1 pp": Kitchen(more_slow=0.01),
        "differences, +0.5 pp": Kitchen(more_differs=0.005),
    }
    yield f"**False READY.** One requirement exactly at its threshold, the others equal; {ORDERS:,}"
    yield f"orders, {runs:,} launches."
    yield ""
    yield from head(["at its threshold", "heavy tails", "quiet"])
    for name, kitchen in cases.items():
        both = (replace(kitchen, noise=noise) for noise in ("heavy", "quiet"))
        found = [firsts(rng, one, runs, ready)[0] for one in both]
        yield row([name, *(share(np.isfinite(one)) for one in found)])


def false_worse(rng: Generator, runs: int) -> Iterator[str]:
    """How often a candidate within all thresholds is WORSE."""
    cases = {
        "1 % slower": Kitchen(slower=0.01),
        "+0.3 pp failures": Kitchen(more_fails=0.003),
        "+0.5 pp slow orders": Kitchen(more_slow=0.005),
        "+0.3 pp differences": Kitchen(more_differs=0.003),
    }
    yield f"**False WORSE.** A candidate worse, but within the thresholds; {ORDERS:,} orders,"
    yield f"{runs:,} launches; orders to READY, 10th / 50th / 90th percentile."
    yield ""
    yield from head(["candidate", "noise", "ever WORSE", "orders to READY"])
    for name, kitchen in cases.items():
        for noise in ("heavy", "quiet"):
            bad, good = firsts(rng, replace(kitchen, noise=noise), runs, worse, ready)
            yield row([name, noise, share(np.isfinite(bad)), percentiles(good)])


def beyond_the_assumption(rng: Generator, runs: int) -> Iterator[str]:
    """A/A with slow spells of one host that last many blocks, and how often the board warns."""
    yield f"**Beyond the assumption.** Equal candidate, {ORDERS:,} orders, but each version's host"
    yield f"has slow spells of its own (log-sd 0.1, blocks of 10 s, {runs:,} launches). Warned: the"
    yield "board says that results are correlated over time. Later: looks from the 40th block on."
    yield ""
    columns = ["any interval", "the same, later", "WORSE", "looks warned", "warned at the end"]
    yield from head(["length of spells", "noise", *columns])
    for blocks in (0, 4, 10, 40):
        for noise in ("heavy", "quiet"):
            parts = [
                (one.alarm, one.worse.any(axis=1), one.warned)
                for one in simulated(rng, Kitchen(noise=noise, spell_s=10 * blocks), runs)
            ]
            alarms, bad, warned = (np.concatenate(one) for one in zip(*parts, strict=True))
            looks = f"{100 * warned[:, LEAST_BLOCKS - 1 :].mean():.0f} %"
            ever = share(np.any(alarms, axis=1)), share(np.any(alarms[:, _LATER - 1 :], axis=1))
            cells = [*ever, share(bad), looks, share(warned[:, -1])]
            yield row([f"{blocks} blocks" if blocks else "none", noise, *cells])


def bursts(rng: Generator, runs: int) -> Iterator[str]:
    """False READY where failures come in bursts."""
    yield f"**Bursts.** READY with failures exactly at +0.5 pp that come so many at once ({runs:,}"
    yield f"launches of {ORDERS:,} orders, quiet)."
    yield ""
    yield from head(["failures at once", "ever READY"])
    for size in (1, 3, 10):
        kitchen = Kitchen(noise="quiet", more_fails=0.005, burst=size)
        yield row([str(size), share(np.isfinite(firsts(rng, kitchen, runs, ready)[0]))])


def true_effects(rng: Generator, runs: int) -> Iterator[str]:
    """How often the interval of speed ever leaves out a true, skewed effect."""
    cases = {
        "10 % faster, but 2 % of orders 5 times slower": Kitchen(slower=-0.1, stalls=0.02),
        "0.5 % of orders 5 times slower": Kitchen(noise="quiet", stalls=0.005),
    }
    yield "**True effects.** How often the interval of speed ever left out the true mean within"
    yield f"{ORDERS:,} orders ({runs:,} launches)."
    yield ""
    yield from head(["candidate", "true mean", "missed"])
    for name, kitchen in cases.items():
        many = launches(rng, kitchen, 1, 2_000_000)
        truth = float(many.log_ratios.sum() / many.pairs.sum())
        own = launches(rng, kitchen, runs, ORDERS)
        effect = Blocks(own.pairs, own.log_ratios)
        missed = effect.above(truth, DRAWN) | effect.below(truth, DRAWN)
        yield row([name, f"{100 * math.expm1(truth):+.2f} %", share(np.any(missed, axis=1))])
