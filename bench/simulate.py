"""What the verdict promises, simulated: `make simulate` prints it as Markdown.

Everything is seeded, and the product's own evidence is looked at after every block of every launch.
``--runs`` scales all numbers of launches, in percent.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from operator import attrgetter

import numpy as np
from numpy.random import PCG64, Generator

from bench.figures import table
from bench.kitchens import Array, BenchKitchen, Mask, launches
from bench.looks import TimedLaunch, excludes, looks
from bench.peers import peers
from dashboard.verdict.thresholds import HEADLINES, Requirement, longest
from dashboard.verdict.wording import LEAST_BLOCKS

ORDERS = 20_000
#: Orders that are simulated at once.
_AT_ONCE = 3_000_000
#: Blocks after which the number of more orders is looked at.
LOOKS = (10, 20, 40)
#: Blocks from which on a look is a later one.
_LATER = 40
_NOISES = ("heavy", "quiet")
#: Orders a second, seconds a block, and how many orders are looked at.
_RATES = {
    "5 a minute": (5 / 60, 300.0, 20_000),
    "10 a second": (10.0, 10.0, 40_000),
    "100 a second": (100.0, 10.0, 100_000),
}

Rows = Iterator[Sequence[str]]
Asked = Callable[[TimedLaunch], bool]


def simulated(
    rng: Generator, kitchen: BenchKitchen, runs: int, orders: float = ORDERS
) -> Iterator[Iterator[TimedLaunch]]:
    """So many launches of about so many orders, each look by look."""
    part = max(1, min(runs, int(_AT_ONCE / orders)))
    for start in range(0, runs, part):
        several = min(part, runs - start)
        drawn = launches(rng, kitchen, several, orders)
        yield from (looks(drawn, run) for run in range(several))


def firsts(
    rng: Generator, kitchen: BenchKitchen, runs: int, *asked: Asked, orders: float = ORDERS
) -> Array:
    """For each question and launch, the orders until its answer is yes; infinity for never."""
    found = np.full((len(asked), runs), np.inf)
    for run, launch in enumerate(simulated(rng, kitchen, runs, orders)):
        waiting = dict(enumerate(asked))
        for look in launch:
            for place in [place for place, when in waiting.items() if when(look)]:
                found[place, run] = look.orders
                del waiting[place]
            if not waiting:
                break
    return found


def of(requirement: Requirement, what: str) -> Asked:
    """What is so of one headline: its ``alarm``, ``more``, ``less`` or ``passes``."""
    asked = attrgetter(what)
    return lambda launch: bool(asked(launch.headlines[requirement]))


ready: Asked = attrgetter("ready")
worse: Asked = attrgetter("worse")
alarm: Asked = attrgetter("alarm")


def share(holds: Mask) -> str:
    """How often it holds, with one standard error (of one more that holds and one that does not,
    so that it is not 0 for what never happened)."""
    k, n = int(holds.sum()), len(holds)
    smoothed = (k + 1) / (n + 2)
    return f"{100 * k / n:.1f} ± {100 * math.sqrt(smoothed * (1 - smoothed) / n):.1f} %"


def ever(found: Array) -> str:
    return share(np.isfinite(found))


def percentiles(values: Array) -> str:
    ends = np.percentile(values, (10, 50, 90), method="inverted_cdf")
    return " / ".join("never" if np.isinf(one) else f"{one:,.0f}" for one in ends)


def _time(seconds: float) -> str:
    if np.isinf(seconds):
        return "not seen"
    return f"{seconds / 60:,.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def false_alarms(rng: Generator, runs: int) -> Rows:
    """A/A: how often a version is called other than itself, for each noise that is covered."""
    cases = {
        "heavy tails": BenchKitchen(),
        "quiet": BenchKitchen(noise="quiet"),
        "all times equal but for 0.3 %": BenchKitchen(noise=0.003, size_sd=0.0),
        "5 % failures": BenchKitchen(noise="quiet", fails=0.025),
        "20 % noise in differences": BenchKitchen(noise="quiet", differs=0.2),
        "incidents of one version, 1 in 2,000 orders": BenchKitchen(incident_every=2000),
        "slow spells of one host, 10 s": BenchKitchen(spell_s=10),
        "slow spells of one host, 20 s": BenchKitchen(spell_s=20),
        "5 orders a minute, blocks of 300 s": BenchKitchen(rate=5 / 60, block_s=300),
        "100 orders a second": BenchKitchen(rate=100),
    }
    asked = (worse, *(of(one, "alarm") for one in HEADLINES))
    for name, kitchen in cases.items():
        fast = kitchen.rate > 10
        some, orders = (max(20, runs // 4), 100_000) if fast else (runs, ORDERS)
        bad, *alarms = firsts(rng, kitchen, some, *asked, orders=orders)
        yield name, *map(ever, (np.min(alarms, axis=0), bad, *alarms))


def _in_both(
    cases: dict[str, BenchKitchen], when: Asked, text: Callable[[Array], str]
) -> Callable[[Generator, int], Rows]:
    """Each case beside heavy tails and beside quiet ones."""

    def rows(rng: Generator, runs: int) -> Rows:
        for name, kitchen in cases.items():
            both = (replace(kitchen, noise=noise) for noise in _NOISES)
            yield name, *(text(firsts(rng, one, runs, when)[0]) for one in both)

    return rows


_FALSE_READY = {
    "speed, 2 % slower": BenchKitchen(slower=0.02),
    "failures, +0.5 pp": BenchKitchen(more_fails=0.005),
    "slow orders, +1 pp": BenchKitchen(more_slow=0.01),
    "differences, +0.5 pp": BenchKitchen(more_differs=0.005),
}
_TO_WORSE = {
    "5 % slower": BenchKitchen(slower=0.05),
    "10 % slower": BenchKitchen(slower=0.10),
    "+1 pp failures": BenchKitchen(more_fails=0.01),
    "+2 pp differences": BenchKitchen(more_differs=0.02),
}


def false_worse(rng: Generator, runs: int) -> Rows:
    """How often a candidate within all thresholds is WORSE."""
    cases = {
        "1 % slower": BenchKitchen(slower=0.01),
        "+0.3 pp failures": BenchKitchen(more_fails=0.003),
        "+0.5 pp slow orders": BenchKitchen(more_slow=0.005),
        "+0.3 pp differences": BenchKitchen(more_differs=0.003),
    }
    for name, kitchen in cases.items():
        for noise in _NOISES:
            bad, good = firsts(rng, replace(kitchen, noise=noise), runs, worse, ready)
            yield name, noise, ever(bad), percentiles(good)


def true_effects(rng: Generator, runs: int) -> Rows:
    """How often the interval of speed ever leaves out a true, skewed effect."""
    cases = {
        "10 % faster, but 2 % of orders 5 times slower": BenchKitchen(slower=-0.1, stalls=0.02),
        "0.5 % of orders 5 times slower": BenchKitchen(noise="quiet", stalls=0.005),
    }
    for name, kitchen in cases.items():
        many = launches(rng, kitchen, 1, 2_000_000)
        truth = float(many.log_ratios.sum() / many.pairs.sum())
        own = launches(rng, kitchen, runs, ORDERS)
        missed = [
            any(
                excludes(one.evidence.effect, truth, sign)
                for one in looks(own, run)
                for sign in (1, -1)
            )
            for run in range(runs)
        ]
        yield name, f"{100 * math.expm1(truth):+.2f} %", share(np.array(missed))


def beyond_the_assumption(rng: Generator, runs: int) -> Rows:
    """A/A with slow spells of one host that last many blocks, and how often the board warns."""
    for blocks in (0, 4, 10, 40):
        for noise in _NOISES:
            kitchen = BenchKitchen(noise=noise, spell_s=10 * blocks)
            seen = np.array(
                [
                    [(one.alarm, one.worse, one.warned) for one in launch]
                    for launch in simulated(rng, kitchen, runs)
                ]
            )
            alarms, bad, warned = np.moveaxis(seen, 2, 0)
            later = share(np.any(alarms[:, _LATER - 1 :], axis=1))
            words = f"{100 * warned[:, LEAST_BLOCKS - 1 :].mean():.0f} %", share(warned[:, -1])
            cells = share(np.any(alarms, axis=1)), later, share(np.any(bad, axis=1)), *words
            yield f"{blocks} blocks" if blocks else "none", noise, *cells


def bursts(rng: Generator, runs: int) -> Rows:
    """False READY where failures come in bursts."""
    for size in (1, 3, 10):
        kitchen = BenchKitchen(noise="quiet", more_fails=0.005, burst=size)
        yield str(size), ever(firsts(rng, kitchen, runs, ready)[0])


def orders_to_ready(rng: Generator, runs: int) -> Rows:
    """Orders until an equal candidate is READY."""
    for name, (rate, block_s, orders) in _RATES.items():
        for noise in _NOISES:
            kitchen = BenchKitchen(rate=rate, block_s=block_s, noise=noise)
            some = max(5, runs // 3) if rate > 10 else runs
            (found,) = firsts(rng, kitchen, some, ready, orders=orders)
            time = _time(float(np.median(found)) / rate)
            yield name, f"{block_s:g} s", noise, percentiles(found), time


def slow_orders(rng: Generator, runs: int) -> Rows:
    """The least effect of slow orders."""
    cases = {
        "0.3 % slower, all times equal but for 0.3 %": BenchKitchen(
            noise=0.003, size_sd=0.0, slower=0.003
        ),
        "2 % slower, all times equal": BenchKitchen(noise=0.0, size_sd=0.0, slower=0.02),
        "2 % of orders five times slower": BenchKitchen(stalls=0.02),
        "equal, heavy tails": BenchKitchen(),
    }
    asked = (of(Requirement.SLOW_ORDERS, "more"), of(Requirement.SLOW_ORDERS, "passes"))
    for name, kitchen in cases.items():
        more, passed = firsts(rng, kitchen, runs, *asked)
        yield name, ever(more), percentiles(passed)


def block_lengths(rng: Generator, runs: int) -> Rows:
    """What the length of a block costs, and what it guards against."""
    for name, (rate, _, orders) in _RATES.items():
        for block_s in (60, 300, 1200) if rate < 1 else (2, 5, 10, 20):
            some = max(5, runs // 4) if rate > 10 else runs
            own = BenchKitchen(rate=rate, block_s=block_s)
            (found,) = firsts(rng, own, some, ready, orders=orders)
            ends = np.percentile(found, (50, 90), method="inverted_cdf") / rate
            spelled = replace(own, spell_s=20.0)
            (alarms,) = firsts(rng, spelled, runs, alarm, orders=max(ORDERS, rate * 400))
            yield name, f"{block_s} s", f"{_time(ends[0])}, {_time(ends[1])}", ever(alarms)


def split_traffic(rng: Generator, runs: int) -> Rows:
    """How many orders it saves that both versions get the same ones."""
    faster = of(Requirement.SPEED, "less")
    for noise in _NOISES:
        for slower, effect in ((-0.05, "5 %"), (-0.10, "10 %")):
            paired = BenchKitchen(noise=noise, slower=slower, block_s=0.5)
            alone = replace(paired, paired=False)
            (one,) = firsts(rng, paired, runs, faster, orders=10_000)
            (two,) = firsts(rng, alone, max(5, runs // 5), faster, orders=40_000)
            factor = f"{2 * np.median(two) / np.median(one):.0f}"
            yield noise, effect, percentiles(one), percentiles(2 * two), factor


def forecasts(rng: Generator, runs: int) -> Rows:
    """How good "about n more orders" is."""
    cases = {
        "equal, heavy tails": BenchKitchen(),
        "equal, quiet": BenchKitchen(noise="quiet"),
        "+0.2 pp failures, quiet": BenchKitchen(noise="quiet", more_fails=0.002),
    }
    for name, kitchen in cases.items():
        drawn = launches(rng, kitchen, runs, 40_000)
        several = np.array([forecast(looks(drawn, run)) for run in range(runs)])
        truth = several[:, -1, 0]
        for (now, numbers), blocks in zip(np.moveaxis(several[:, :-1], 0, 2), LOOKS, strict=True):
            waits = truth > now
            given = waits & ~np.isnan(numbers)
            if given.any():
                by = share((truth - now <= numbers)[given])
                ends = np.percentile((numbers / (truth - now))[given], (10, 50, 90))
                ratio = " / ".join(f"{one:.1f}" for one in ends)
                yield name, str(blocks), f"{given.sum()} of {waits.sum()}", by, ratio


def forecast(launch: Iterable[TimedLaunch]) -> list[tuple[float, float]]:
    """The orders at each of the LOOKS with the number of more orders that is named then, NaN where
    there is none; last the orders until it is READY, infinity for never."""
    found, truth = [], math.inf
    for blocks, look in enumerate(launch, start=1):
        if look.ready:
            truth = min(truth, look.orders)
        if blocks in LOOKS:
            waits = [
                one for one in look.verdict().requirements if one.requirement not in look.passed
            ]
            last = longest(waits)
            more = None if last is None else last.more_orders
            found.append((look.orders, math.nan if more is None else more))
        if blocks >= max(LOOKS) and math.isfinite(truth):
            break
    return [*found, (truth, math.nan)]


#: Each table: its launches, its rows, its columns and what it says; ``{runs}`` are the launches.
_TABLES: tuple[tuple[int, Callable[[Generator, int], Rows], Sequence[str], str], ...] = (
    (1000, false_alarms, ("kitchens", "any interval", "WORSE", *HEADLINES),
     ("**False alarms.** Candidate equal to the control, 20,000 orders, {runs:,} launches a row:"
     " how often any interval ever excluded 0, how often the verdict was ever WORSE, and intervals"
     " of each headline.")),
    (1000, _in_both(_FALSE_READY, ready, ever), ("at its threshold", "heavy tails", "quiet"),
     ("**False READY.** One requirement exactly at its threshold, the others equal; 20,000 orders,"
     " {runs:,} launches.")),
    (500, false_worse, ("candidate", "noise", "ever WORSE", "orders to READY"),
     ("**False WORSE.** A candidate worse, but within the thresholds; 20,000 orders, {runs:,}"
     " launches; orders to READY, 10th / 50th / 90th percentile.")),
    (500, true_effects, ("candidate", "true mean", "missed"),
     ("**True effects.** How often the interval of speed ever left out the true mean within 20,000"
     " orders ({runs:,} launches).")),
    (500, beyond_the_assumption,
     ("length of spells", "noise", "any interval", "the same, later", "WORSE", "looks warned",
      "warned at the end"),
     ("**Beyond the assumption.** Equal candidate, 20,000 orders, but each version's host has slow"
     " spells of its own (log-sd 0.1, blocks of 10 s, {runs:,} launches). Warned: the board says"
     " that results are correlated over time. Later: looks from the 40th block on.")),
    (500, bursts, ("failures at once", "ever READY"),
     ("**Bursts.** READY with failures exactly at +0.5 pp that come so many at once ({runs:,}"
     " launches of 20,000 orders, quiet).")),
    (300, orders_to_ready, ("orders", "block", "noise", "orders to READY", "time"),
     ("**Orders to READY**, 10th / 50th / 90th percentile, of a candidate equal to the control"
     " ({runs:,} launches, at 100 a second a third). Time: the median, after the warm-up.")),
    (200, _in_both(_TO_WORSE, worse, percentiles), ("candidate", "heavy tails", "quiet"),
     ("**Orders to WORSE**, the same, at 10 orders a second; 20 blocks are 2,000 orders ({runs:,}"
     " launches).")),
    (200, slow_orders, ("candidate", "more found", "orders to pass"),
     ("**Slow orders** ({runs:,} launches of 20,000 orders): how often more of them were found, and"
     " the orders until they passed.")),
    (120, block_lengths, ("orders", "block", "time to READY", "false alarms, spells of 20 s"),
     ("**Length of a block.** Equal candidate, heavy tails: time to READY (median and 90th"
     " percentile), and how often any interval excludes 0 where each host has slow spells of 20 s"
     " ({runs:,} launches).")),
    (100, split_traffic, ("noise", "true effect", "paired", "split traffic", "factor"),
     ('**Orders until "faster"**, 10th / 50th / 90th percentile, blocks of 5 orders; and the same'
     " with each order at one version alone ({runs:,} launches, a fifth of them split traffic).")),
    (100, forecasts, ("candidate", "blocks", "given", "READY by it", "number / truth"),
     ("**About n more orders.** Of {runs:,} launches, those not READY after so many blocks: how"
     " many were given a number, how many of those were READY by it, and the number divided by"
     " what it took, 10th / 50th / 90th percentile.")),
    (200, partial(peers, orders=ORDERS, share=share), ("what", "method", "ever found"),
     ("**Without an allowance for looking again.** Equal candidate, 20,000 independent orders,"
     " {runs:,} launches: how often a difference is ever found. Fields: any of 40 fields that"
     " differ by noise alone (0.05 to 4.9 %), a look every 100.")),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="percent of the usual launches")
    percent = parser.parse_args().runs
    started = time.monotonic()
    with ProcessPoolExecutor(2) as pool:
        parts = [pool.submit(_table, number, percent) for number in range(len(_TABLES))]
        for part in parts:
            print(*part.result(), "", sep="\n", flush=True)
    used = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    print(f"{time.monotonic() - started:.0f} s, {used:.0f} s of processors", file=sys.stderr)


def _table(number: int, percent: int) -> list[str]:
    launches, rows, columns, title = _TABLES[number]
    runs, seed = max(5, launches * percent // 100), 20_260_101 + number
    found = table(columns, list(rows(Generator(PCG64(seed)), runs)))
    return [f"<!-- seed {seed} -->", title.format(runs=runs), "", *found]


if __name__ == "__main__":
    main()
