"""Whether the control handles sampled orders slower than the others: live unharmed.

Within each block of time both groups meet the same load, so a block gives the difference of their
mean logarithms, weighted by n1 n0 / (n1 + n0). The ratio of the sums over blocks is estimated with
the verdict's confidence sequence (`dashboard.verdict.levels`), so it holds at every look. A block
closes when its orders have ended; orders that end later are lost, and counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from dashboard.verdict.blocks import SCALE
from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.paired_order import SHORTEST_MS
from dashboard.verdict.sequences import Interval

#: Length of a block in seconds, and how long after it, beside the deadline, it still takes orders.
BLOCK_S = 10
_KEPT_S = 60.0
#: Open blocks, whatever the clocks say; orders beyond are lost.
MOST_OPEN = 512


class TimedOrder(NamedTuple):
    """An order that the control handled; ``is_sampled``: a dark version was sent it as well."""

    sent_at: datetime
    ms: float
    is_sampled: bool


class BlockTimes(msgspec.Struct, frozen=True, array_like=True):
    """Orders of one block in both groups, and the sums of their logarithms in units of 1e-9."""

    sampled: int = 0
    sampled_log: int = 0
    others: int = 0
    others_log: int = 0

    def with_order(self, order: TimedOrder) -> BlockTimes:
        log = round(math.log(max(order.ms, SHORTEST_MS)) * SCALE)
        if order.is_sampled:
            return BlockTimes(
                self.sampled + 1, self.sampled_log + log, self.others, self.others_log
            )
        return BlockTimes(self.sampled, self.sampled_log, self.others + 1, self.others_log + log)

    @property
    def weighed(self) -> tuple[float, float]:
        """The weight, and the weighted difference of the means; (0, 0) unless both groups have
        orders."""
        if not self.sampled or not self.others:
            return 0.0, 0.0
        weight = self.sampled * self.others / (self.sampled + self.others)
        difference = self.sampled_log / self.sampled - self.others_log / self.others
        return weight, weight * difference / SCALE


class LiveEffect(msgspec.Struct, frozen=True):
    """The closed blocks as sums by level, and the open ones; never changed in place."""

    levels: tuple[tuple[float, ...], ...] = ()
    open: Mapping[int, BlockTimes] = msgspec.field(default_factory=dict)
    #: The first block that is not closed.
    closed_until: int = 0
    #: Orders of both groups in closed blocks that have both.
    sampled: int = 0
    others: int = 0
    lost: int = 0

    def with_orders(
        self, orders: Iterable[TimedOrder], at: datetime, deadline_s: float
    ) -> LiveEffect:
        """Add orders, then close the blocks whose orders have all ended."""
        blocks, lost = dict(self.open), self.lost
        for order in orders:
            number = int(order.sent_at.timestamp()) // BLOCK_S
            known = blocks.get(number)
            if number < self.closed_until or (known is None and len(blocks) >= MOST_OPEN):
                lost += 1
            else:
                blocks[number] = (known or BlockTimes()).with_order(order)
        until = int(at.timestamp() - deadline_s - _KEPT_S) // BLOCK_S
        due = sorted(number for number in blocks if number < until)
        if not due:
            return msgspec.structs.replace(self, open=blocks, lost=lost)
        return self._closed(due, blocks, max(until, self.closed_until), lost)

    def _closed(
        self, due: list[int], blocks: dict[int, BlockTimes], until: int, lost: int
    ) -> LiveEffect:
        sums = self._blocks()
        sampled, others = self.sampled, self.others
        for one in (blocks.pop(number) for number in due):
            weight, weighted = one.weighed
            if weight:
                sums.add(weight, weighted)
                sampled, others = sampled + one.sampled, others + one.others
        levels = tuple(tuple(level) for level in sums.to_json())
        return LiveEffect(levels, blocks, until, sampled, others, lost)

    @property
    def blocks(self) -> int:
        """How many closed blocks have orders of both groups."""
        return self._blocks().k

    @property
    def estimate(self) -> float | None:
        """The mean log ratio, sampled to other orders; None without any block."""
        return self._blocks().estimate

    def interval(self, alpha: float) -> Interval:
        """Its interval, at level alpha and at every look; unbounded while blocks are too few."""
        return self._blocks().interval(alpha)

    def _blocks(self) -> MultiLevelBlocks:
        return MultiLevelBlocks.from_json(self.levels)
