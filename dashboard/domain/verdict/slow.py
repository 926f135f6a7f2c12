"""Slow orders, counted before it is known what slow is.

The threshold is the control's p95 of the warm-up, frozen when the warm-up has settled; orders
placed meanwhile must be counted as well, whoever counts them. So a block keeps, until then, how
often a pair of times straddles each bucket's upper edge: an order with the control in bucket a and
the candidate in bucket b > a is slower over every threshold from a to b - 1, which is +1 at a and
-1 at b. Any threshold is then a sum, exactly, and merging is adding.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

#: The share of the control's orders that are not slow.
SHARE = 0.95


def straddle(
    controls: Sequence[int], candidates: Sequence[int]
) -> tuple[dict[str, int], dict[str, int]]:
    """The edges where the candidate alone begins and ends to be slow, and the control alone.

    From the buckets of both times of some orders.
    """
    up: defaultdict[str, int] = defaultdict(int)
    down: defaultdict[str, int] = defaultdict(int)
    for a, b in zip(controls, candidates, strict=True):
        if a != b:
            edges = up if a < b else down
            edges[str(min(a, b))] += 1
            edges[str(max(a, b))] -= 1
    return dict(up), dict(down)


def slower_and_faster(
    controls: Sequence[int], candidates: Sequence[int], threshold: int
) -> tuple[int, int]:
    """On how many of some orders the candidate alone was slow, and the control alone."""
    pairs = list(zip(controls, candidates, strict=True))
    slower = len([a for a, b in pairs if a <= threshold < b])
    faster = len([a for a, b in pairs if b <= threshold < a])
    return slower, faster


def straddling(edges: Mapping[str, int], threshold: int) -> int:
    """How many of the counted orders have this bucket's upper edge between their times."""
    return sum(count for bucket, count in edges.items() if int(bucket) <= threshold)


def threshold_of(times: Mapping[str, int]) -> int:
    """The bucket whose upper edge is the p95 of these times, counted by bucket."""
    rank = math.ceil(SHARE * sum(times.values()))
    reached = 0
    for bucket in sorted(map(int, times)):
        reached += times[str(bucket)]
        if reached >= rank:
            return bucket
    raise ValueError("no times")
