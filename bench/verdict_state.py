"""Size of the verdict's state and time per order, for launches of very different lengths.

Prints Markdown. A launch has 100 orders a second with a baseline, six discrepancies, a menu of
twelve items and sizes, in blocks of 10 s. Of ten million orders all but the last 20,000 are added
in bulk, as closed blocks, of which 30 different ones repeat; the time is always that of the last
orders, added a second's at a time as an observer does, closing included.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

from dashboard.verdict.blocks import BlockSums
from dashboard.verdict.paired_order import PairedOrder, Result, Status
from dashboard.verdict.requirements import Health, Requirements
from dashboard.verdict.segments import segments_of
from dashboard.verdict.tally import Tally
from dashboard.verdict.timing import Timing
from dashboard.verdict.verdict import verdict

_RATE = 100
_START = 1_800_000_000
_SIZES = (1000, 100_000, 10_000_000)
_BY_THE_SECOND = 20_000
_MENU = [f"item {number}" for number in range(12)]


def main() -> None:
    """Print the table."""
    print("| orders | state, bytes of JSON | of that settled | µs per order | ms per verdict |")
    print("|---|---|---|---|---|")
    for size in _SIZES:
        last = min(size, _BY_THE_SECOND)
        tally = in_bulk(size - last)
        orders = list(some_orders(last, after=size - last))
        started = time.process_time()
        for number in range(0, last, _RATE):
            some = orders[number : number + _RATE]
            tally.add_all(some)
            tally.close(some[-1].placed_at)
        each_us = (time.process_time() - started) / last * 1e6
        started = time.process_time()
        found = verdict(tally.evidence(), Requirements(), Health(), timing=tally.timing)
        verdict_ms = (time.process_time() - started) * 1e3
        stored = tally.to_json()
        whole, settled = (len(json.dumps(one)) for one in (stored, stored["settled"]))
        print(f"| {size:,} | {whole:,} | {settled:,} | {each_us:.0f} | {verdict_ms:.0f} |")
        assert found.pairs <= size  # noqa: S101


def in_bulk(orders: int) -> Tally:
    """A tally of so many orders, block by block."""
    tally = Tally()
    each = round(_RATE * tally.timing.block_s)
    different = [_block(tally.timing, number) for number in range(min(30, orders // each))]
    for number in range(orders // each):
        start = _START + number * tally.timing.block_s
        block = tally.blocks.setdefault(tally.timing.block_of(start), BlockSums())
        block.merge(different[number % len(different)])
        tally.close(start + tally.timing.block_s)
    return tally


def _block(timing: Timing, number: int) -> BlockSums:
    tally = Tally(timing)
    each = round(_RATE * timing.block_s)
    tally.add_all(some_orders(each, after=number * each))
    (sums,) = tally.blocks.values()
    return sums


def some_orders(count: int, *, after: int) -> Iterator[PairedOrder]:
    """So many orders of one launch, after so many others."""
    rng = random.Random(after)
    for number in range(after, after + count):
        placed_at = _START + number / _RATE
        base = rng.lognormvariate(3.7, 0.8)
        control, candidate, baseline = (
            Result(Status.OK, base * factor * rng.lognormvariate(0, 0.1))
            for factor in (1.0, 0.8, 1.0)
        )
        if rng.random() < 0.005:
            candidate = Result(Status.FAILED, 1.0)
        items = dict.fromkeys(rng.sample(_MENU, rng.randint(1, 3)), rng.randint(1, 3))
        yield PairedOrder(
            placed_at=placed_at,
            control=control,
            candidate=candidate,
            baseline=baseline,
            shown=frozenset(one for one in range(1, 7) if rng.random() < 0.01),
            noise=frozenset(one for one in range(1, 3) if rng.random() < 0.005),
            segments=segments_of(items, int(placed_at // 3600 % 24)),
        )


if __name__ == "__main__":
    main()
