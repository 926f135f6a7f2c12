"""The state of one version against the control: from paired orders to closed blocks.

One tally per launch and dark version, for one *epoch*: one pair of builds and one timing. A new
build starts a new tally. The way in, and out:

* ``add_all(orders)`` once both versions have ended each or run out of time; the caller sees to it
  that an order is added once (order and version are the key of every record).
* ``close(now)`` now and then, with the time up to which all news has been heard (not the clock, if
  the observer is behind): blocks whose orders have all ended count from here on.
* ``evidence()`` for ``verdict.verdict``.

The orders of a launch, split into any batches and added in any order, give the same tally. It holds
exactly, because a block's sums are integers, blocks are kept by number until they settle, and
settle in ascending order. A block is *open* until all its orders are resolved, then *closed*: it
counts, and orders may still be added; after ``Timing.kept_blocks`` more it is *settled*: folded
into the sums, and complete. Those are base blocks; where the evidence joins several, they are
folded together, once all of them may be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dashboard.verdict.adding import sums_of
from dashboard.verdict.blocks import BlockSums, joined
from dashboard.verdict.evidence import Evidence
from dashboard.verdict.paired_order import PairedOrder
from dashboard.verdict.timing import Timing

#: Blocks that are kept one by one at most, whatever the clocks say; what is beyond is lost.
MOST_BLOCKS = 512


@dataclass(slots=True)
class Tally:
    """Blocks that are not settled yet, by number, and the evidence of those that are."""

    timing: Timing = field(default_factory=Timing)
    settled: Evidence = field(default_factory=Evidence)
    blocks: dict[int, BlockSums] = field(default_factory=dict)
    #: The first block that is not closed, and the first that is not settled.
    closed_until: int | None = None
    settled_until: int | None = None
    #: Answers that came after they were counted as missing; orders that came after their block had
    #: settled; orders with a time that is none.
    late: int = 0
    lost: int = 0
    bad: int = 0
    #: Blocks of this tally that lie elsewhere, and have their place among the most.
    apart: int = 0

    def add_all(self, orders: Iterable[PairedOrder]) -> int:
        """Count orders; says how many of them."""
        by_block: defaultdict[int, list[PairedOrder]] = defaultdict(list)
        for order in orders:
            if order.usable:
                by_block[self.timing.block_of(order.placed_at)].append(order)
            else:
                self.bad += 1
        counted = 0
        for number, some in by_block.items():
            block = self._block(number)
            if block is None:
                self.lost += len(some)
                continue
            block.merge(sums_of(some, self.timing.deadline_ms, self.settled.threshold))
            counted += len(some)
        return counted

    def _block(self, number: int) -> BlockSums | None:
        if self.settled_until is not None and number < self.settled_until:
            return None
        if number not in self.blocks and len(self.blocks) + self.apart >= MOST_BLOCKS:
            return None
        return self.blocks.setdefault(number, BlockSums())

    def close(self, now: float) -> None:
        """Let the blocks count whose orders have all ended by now, in seconds since 1970."""
        self.closed_until = _latest(self.closed_until, self.timing.closed_at(now))
        until = self.closed_until - self.timing.kept_blocks
        for number in self._fold(self.settled, until):
            del self.blocks[number]
        self.settled_until = _latest(self.settled_until, self.settled.settled_until(until))
        if self.settled.threshold is not None:
            for block in self.blocks.values():
                block.freeze(self.settled.threshold)

    def _fold(self, evidence: Evidence, until: int) -> list[int]:
        """Fold the blocks that are whole by then into an evidence; gives their base blocks."""
        numbers = sorted(one for one in self.blocks if one < until)
        folded: list[int] = []
        while len(folded) < len(numbers):
            first = numbers[len(folded)]
            evidence.begin(first, self.timing)
            end = evidence.end_of(first)
            if end > until:
                break
            whole = [one for one in numbers if first <= one < end]
            sums = joined([self.blocks[one] for one in whole], evidence.threshold)
            evidence.fold(first, sums, self.timing)
            folded += whole
        return folded

    def evidence(self) -> Evidence:
        """What all closed blocks amount to; cheap enough for every frame, and not to be changed."""
        until = self.closed_until or 0
        if all(one >= until for one in self.blocks):
            return replace(self.settled, lost=self.lost)
        evidence = self.settled.copy()
        evidence.lost = self.lost
        self._fold(evidence, until)
        return evidence


def _latest(known: int | None, new: int) -> int:
    return new if known is None else max(known, new)
