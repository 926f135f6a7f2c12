"""Quantiles of handling times in constant memory: a histogram with logarithmic buckets.

Bucket ``i`` holds (g^(i-1), g^i] with g = 1.01/0.99, so that an estimate is at most 1 % off
(DDSketch, Masson, Rim and Lee, VLDB 2019, without its collapsing). Merging is adding.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

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
