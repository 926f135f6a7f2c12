"""About how many more orders a requirement needs, if nothing changes."""

from __future__ import annotations

import math

from dashboard.domain.verdict.levels import FLAT_BLOCKS, GROUP, MultiLevelBlocks
from dashboard.domain.verdict.requirements import Standing
from dashboard.domain.verdict.rounding import significant
from dashboard.domain.verdict.sequences import NOTHING_KNOWN, UNKNOWN, Interval
from dashboard.domain.verdict.words import LEAST_ORDERS


def outlook(
    standing: Standing,
    estimate: float | None,
    interval: Interval,
    line: float,
    alpha: float,
    *,
    orders: int,
    blocks: MultiLevelBlocks | None = None,
    rare: bool = False,
) -> int | None:
    """The orders that a requirement still needs: for blocks enough, or for its width; None where
    the estimate lies beyond the line, and no number of orders would do."""
    if standing is not Standing.NOT_YET or estimate is None or estimate >= line:
        return None
    if orders < LEAST_ORDERS:
        return significant(LEAST_ORDERS - orders)
    needed, upper = 0, interval.hi
    if blocks is not None and blocks.flat_level is None:
        needed, upper = _orders_until_full(orders, blocks.k), _finest(blocks, alpha).hi
    more = more_orders(
        orders=orders, estimate=estimate, upper=upper, line=line, alpha=alpha, rare=rare
    )
    return max(needed, more or 0) or None


def _orders_until_full(orders: int, k: int) -> int:
    """About how many orders until one more level has blocks enough to be flat."""
    enough = FLAT_BLOCKS
    while enough <= k:
        enough *= GROUP
    return significant(orders * (enough - k) / max(k, 1))


def _finest(blocks: MultiLevelBlocks, alpha: float) -> Interval:
    return blocks.levels[0].blocks.interval(alpha) if blocks.levels else NOTHING_KNOWN


def more_orders(
    *, orders: int, estimate: float, upper: float, line: float, alpha: float, rare: bool = False
) -> int | None:
    """About how many more orders bring the upper end below the line, if the estimate stays.

    The half-width shrinks with the root of the orders, a little slower because the level pays for
    every look; for what has not happened once (``rare``) it shrinks with the orders themselves.
    """
    gap = line - estimate
    if gap <= 0 or upper >= UNKNOWN or orders == 0:
        return None
    ratio = (upper - estimate) / gap
    if ratio <= 1:
        return None
    if rare:
        return significant(orders * (ratio - 1))
    times = ratio * ratio
    for _ in range(3):
        times = ratio * ratio * (1 + math.log(times) / (2 * math.log(1 / alpha)))
    return significant(orders * (times - 1))
