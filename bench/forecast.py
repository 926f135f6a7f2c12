"""The product's own verdict on simulated launches, at some looks: "about n more orders"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.judging import REQUIRED, Judged
from bench.kitchens import Array, Launches
from dashboard.verdict.evidence import Evidence
from dashboard.verdict.outlook import longest
from dashboard.verdict.requirements import Health
from dashboard.verdict.signatures import class_of
from dashboard.verdict.timing import Timing
from dashboard.verdict.verdict import Verdict, verdict

#: Blocks after which a number is looked at.
LOOKS = (10, 20, 40)
_ALONE = class_of(frozenset({1}), frozenset()), class_of(frozenset(), frozenset({1}))


def named(drawn: Launches, judged: Judged, run: int) -> list[float]:
    """The number of more orders at each of the LOOKS; NaN where there is none."""
    found = []
    for verdict_then, blocks in zip(shown(drawn, run, LOOKS), LOOKS, strict=True):
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
    """What the product says of a simulated launch after so many blocks, as if nothing had passed
    before."""
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
