"""Which ranks a quantile may have: a band for independent orders only, so not shown by itself.

Load drifts, and then orders are not independent: under slow drift such a band misses the truth
almost always. It is for comparisons between stretches that are known to be steady.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

#: How many orders' worth of belief the Beta prior around the quantile's share holds.
_PRIOR_ORDERS = 250


def quantile_ranks(n: int, share: float, alpha: float) -> tuple[int, int]:
    """The least and the largest number of n values that may lie at or below the quantile.

    Those k with B(a + k, b + n - k) / (B(a, b) p^k (1 - p)^(n - k)) < 1/alpha, for p the share in
    (0, 1), a = 250 p, b = 250 (1 - p): the band reaches from the value of rank k_lo to that of
    k_hi + 1.
    """
    centre = round(n * share)
    lo = _first(lambda k: _possible(k, n, share, alpha), 0, centre)
    hi = n - _first(lambda k: _possible(n - k, n, share, alpha), 0, n - centre)
    return lo, hi


def _possible(k: int, n: int, p: float, alpha: float) -> bool:
    a, b = _PRIOR_ORDERS * p, _PRIOR_ORDERS * (1 - p)
    likelihood = k * math.log(p) + (n - k) * math.log(1 - p)
    evidence = _log_beta(a + k, b + n - k) - _log_beta(a, b) - likelihood
    return evidence < math.log(1 / alpha)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The least number from which on it holds; it holds for ``high``."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


GAMMA = 1.01 / 0.99
#: Shorter times count as this long, in milliseconds.
FLOOR_MS = 0.01
_LOG_GAMMA = math.log(GAMMA)


def bucket_of(value_ms: float) -> int:
    """The bucket of a value; NaN and infinity raise ValueError or OverflowError."""
    return math.ceil(math.log(max(value_ms, FLOOR_MS)) / _LOG_GAMMA)


def buckets_of(values_ms: Iterable[float]) -> list[int]:
    """The bucket of each of these values, as ``bucket_of`` gives it one by one."""
    log, up, floor = math.log, math.ceil, FLOOR_MS
    floored = [floor if one < floor else one for one in values_ms]  # noqa: FURB136 - max takes longer
    return [up(log(one) / _LOG_GAMMA) for one in floored]


class LogHistogram:
    """Counts of milliseconds by bucket."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    @classmethod
    def of(cls, values_ms: Iterable[float]) -> LogHistogram:
        """A histogram of these values."""
        return cls(Counter(buckets_of(values_ms)))

    @classmethod
    def from_json(cls, stored: Mapping[str, int]) -> LogHistogram:
        """Read what ``to_json`` wrote."""
        return cls({int(bucket): count for bucket, count in stored.items()})

    def to_json(self) -> dict[str, int]:
        """The buckets as a JSON object."""
        return {str(bucket): count for bucket, count in self.counts.items()}

    def add(self, value_ms: float) -> None:
        """Count one value; NaN and infinity raise ValueError or OverflowError."""
        bucket = bucket_of(value_ms)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def merge(self, other: LogHistogram) -> None:
        """Add all that another histogram counted."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    @property
    def total(self) -> int:
        """How many values were counted."""
        return sum(self.counts.values())

    def quantiles(self, *shares: float) -> tuple[float | None, ...]:
        """The value at each ascending share in (0, 1]; None while nothing is counted."""
        total = self.total
        if total == 0:
            return tuple(None for _ in shares)
        ranks = [max(1, math.ceil(share * total)) for share in shares]
        return tuple(2 * GAMMA**bucket / (GAMMA + 1) for bucket in self.buckets(ranks))

    def buckets(self, ranks: Iterable[int]) -> Iterator[int]:
        """The bucket of the value of each ascending rank, from 1 to the total."""
        cumulated = 0
        in_order = iter(sorted(self.counts))
        bucket = 0
        for rank in ranks:
            while cumulated < rank:
                bucket = next(in_order)
                cumulated += self.counts[bucket]
            yield bucket

    def shares(self, first: int, width: int, bars: int) -> list[float]:
        """The part of all values in each of so many bars, each so many buckets wide."""
        total = self.total or 1
        found = [0] * bars
        for bucket, count in self.counts.items():
            bar = (bucket - first) // width
            if 0 <= bar < bars:
                found[bar] += count
        return [count / total for count in found]


#: The percentile of the control's times.
_PERCENT = 95
#: The threshold is ``_TIMES / _PARTS`` times the p95. With a lower factor, a shift of all orders by
#: one percent would count as slow orders if times vary little.
_TIMES, _PARTS = 5, 4
#: The most times that a block keeps until the threshold is known; beyond it, those with the lowest
#: checksums, so that the choice depends neither on order nor on merging.
MOST_TIMES = 2_000


def times_of(
    controls: Sequence[int], candidates: Sequence[int], alone: Sequence[int]
) -> dict[str, int]:
    """How often each pair of times occurs, and each of the control's alone; in nanoseconds."""
    pairs = map("{},{}".format, controls, candidates)
    return dict(Counter([*pairs, *map("{},".format, alone)]))


def checksum(times: str) -> tuple[int, str]:
    """Sort key for the times to keep."""
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
    """How many of these orders were slow for the candidate only, and for the control only."""
    pairs = list(zip(controls, candidates, strict=True))
    slower = len([a for a, b in pairs if a <= threshold < b])
    faster = len([a for a, b in pairs if b <= threshold < a])
    return slower, faster


def slow_in(times: Mapping[str, int], threshold: int) -> tuple[int, int, int]:
    """Orders that were slow for the candidate only, for the control only, and all."""
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

    Always below the deadline: an order that timed out is slow, however slow the control is.
    """
    rank = -(-_PERCENT * sum(times.values()) // 100)
    reached = 0
    for time in sorted(times):
        reached += times[time]
        if reached >= rank:
            return min(_TIMES * time // _PARTS, deadline_ns - 1)
    raise ValueError("no times")
