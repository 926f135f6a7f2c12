"""How good "about n more orders" is: the product's own number, at some looks of a launch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.random import Generator

from bench.judging import REQUIRED, Judged
from bench.kitchens import Array, Kitchen, Launches, launches
from bench.tables import head, row, share
from dashboard.verdict.evidence import Evidence
from dashboard.verdict.outlook import longest
from dashboard.verdict.requirements import Health
from dashboard.verdict.signatures import class_of
from dashboard.verdict.timing import Timing
from dashboard.verdict.verdict import Verdict, verdict

_LOOKS = (10, 20, 40)
_ALONE = class_of(frozenset({1}), frozenset()), class_of(frozenset(), frozenset({1}))


def forecasts(rng: Generator, runs: int) -> Iterator[str]:
    """How many launches are READY by the number that was named."""
    cases = {
        "equal, heavy tails": Kitchen(),
        "equal, quiet": Kitchen(noise="quiet"),
        "+0.2 pp failures, quiet": Kitchen(noise="quiet", more_fails=0.002),
    }
    yield f"**About n more orders.** Of {runs:,} launches, those not READY after so many blocks:"
    yield "how many were given a number, how many of those were READY by it, and the number divided"
    yield "by what it took, 10th / 50th / 90th percentile."
    yield ""
    yield from head(["candidate", "blocks", "given", "READY by it", "number / truth"])
    for name, kitchen in cases.items():
        drawn = launches(rng, kitchen, runs, 40_000)
        judged = Judged(drawn)
        truth = judged.first(judged.ready)
        found = [_numbers(drawn, judged, run) for run in range(runs)]
        for at, blocks in enumerate(_LOOKS):
            now = judged.orders[:, blocks - 1]
            waits = truth > now
            named = np.array([one[at] for one in found])
            given = waits & ~np.isnan(named)
            if not given.any():
                continue
            by = (truth - now <= named)[given]
            ratio = _ratio(named[given], (truth - now)[given])
            yield row([name, str(blocks), f"{given.sum()} of {waits.sum()}", share(by), ratio])


def _ratio(named: Array, truth: Array) -> str:
    ends = np.percentile(named / truth, (10, 50, 90))
    return " / ".join(f"{one:.1f}" for one in ends)


def _numbers(drawn: Launches, judged: Judged, run: int) -> list[float]:
    found = []
    for verdict_then, blocks in zip(shown(drawn, run, _LOOKS), _LOOKS, strict=True):
        waits = [
            one
            for one in verdict_then.requirements
            if one.requirement not in judged.headlines
            or not judged.headlines[one.requirement].passed[run, blocks - 1]
        ]
        last = longest(waits)
        found.append(np.nan if last is None or last.more_orders is None else last.more_orders)
    return found


def shown(drawn: Launches, run: int, looks: Sequence[int]) -> Iterator[Verdict]:
    """What the product's own code says of a simulated launch after so many blocks.

    As if nothing had passed before.
    """
    evidence = Evidence(threshold=1, scale_ns=1.0)
    for block in range(max(looks)):
        _fold(evidence, drawn, run, block)
        if block + 1 in looks:
            yield verdict(
                evidence, REQUIRED, Health(behind_s=0.0), timing=Timing(), bench=Evidence()
            )


def _fold(evidence: Evidence, drawn: Launches, run: int, block: int) -> None:
    """Add a block's sums where the product keeps them."""

    def of(values: Array) -> int:
        return int(values[run, block])

    orders, pairs = of(drawn.orders), of(drawn.pairs)
    evidence.orders += orders
    evidence.pairs += pairs
    evidence.handled += pairs
    evidence.compared += pairs
    evidence.missing.add(0, 0, orders)
    evidence.effect.add(pairs, drawn.log_ratios[run, block])
    for rate, counted in ((evidence.errors, drawn.failures), (evidence.slow, drawn.slow)):
        pos, neg = of(counted.pos), of(counted.neg)
        rate.add(pos, neg, of(counted.n) - pos - neg)
    differing = of(drawn.differences.pos), of(drawn.differences.neg)
    classes = {name: number for name, number in zip(_ALONE, differing, strict=True) if number}
    evidence.differences.add(pairs, classes)
