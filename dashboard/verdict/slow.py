"""Slow orders: those that take longer than 1.25 times the control's p95 of the warm-up.

The threshold is frozen once the warm-up has settled, and orders come before that, whichever tally
counts them. So a block keeps the exact times of its orders until then, in nanoseconds and as often
as they occur: what any threshold makes of them is then known to the order, and merging is adding.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

#: The part of the control's orders that take no longer than its p95.
_PERCENT = 95
#: How many times the p95 an order may take: ``_TIMES / _PARTS``. With less, a shift of all orders
#: by a percent counts as a slow order wherever times vary little.
_TIMES, _PARTS = 5, 4
#: Times that a block keeps at most until the threshold is known; of more, those whose checksums
#: are least, so that which they are depends neither on the order nor on how tallies are merged.
MOST_TIMES = 2_000


def times_of(
    controls: Sequence[int], candidates: Sequence[int], alone: Sequence[int]
) -> dict[str, int]:
    """How often each pair of times occurs, and each of the control's alone; in nanoseconds."""
    pairs = map("{},{}".format, controls, candidates)
    return dict(Counter([*pairs, *map("{},".format, alone)]))


def checksum(times: str) -> tuple[int, str]:
    """Which times come first where there is not room for all."""
    return zlib.crc32(times.encode()), times


def controls_in(times: Mapping[str, int]) -> Counter[int]:
    """How often each of the control's times occurs."""
    found: Counter[int] = Counter()
    for one, number in times.items():
        found[int(one.partition(",")[0])] += number
    return found


def slower_and_faster(
    controls: Sequence[int], candidates: Sequence[int], threshold: int
) -> tuple[int, int]:
    """On how many of some orders the candidate alone was slow, and the control alone."""
    pairs = list(zip(controls, candidates, strict=True))
    slower = len([a for a, b in pairs if a <= threshold < b])
    faster = len([a for a, b in pairs if b <= threshold < a])
    return slower, faster


def slow_in(times: Mapping[str, int], threshold: int) -> tuple[int, int, int]:
    """On how many orders the candidate alone was slow, the control alone, and of how many."""
    slower = faster = pairs = 0
    for one, number in times.items():
        control, _, candidate = one.partition(",")
        if candidate:
            alone = slower_and_faster([int(control)], [int(candidate)], threshold)
            pairs += number
            slower += number * alone[0]
            faster += number * alone[1]
    return slower, faster, pairs


def threshold_of(times: Mapping[int, int], deadline_ns: int) -> int:
    """The longest time that is not slow, from how often each of the control's times occurs.

    Below the deadline: an order that timed out is slow, however slow the control is.
    """
    rank = -(-_PERCENT * sum(times.values()) // 100)
    reached = 0
    for time in sorted(times):
        reached += times[time]
        if reached >= rank:
            return min(_TIMES * time // _PARTS, deadline_ns - 1)
    raise ValueError("no times")
