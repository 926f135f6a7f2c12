"""Whether a version would keep up with the launch's traffic as the live version.

Capacity is the number of orders that the version's workers handle at once, divided by the mean
handling time. It assumes the same workers, and a handling time that does not depend on load. How
many are handled at once is measured: where workers were never all busy, it is a lower bound.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import msgspec

from dashboard.verdict.quantiles import GAMMA

MINUTE_S = 60
#: Minutes counted one by one, the newest; messages that come later than that are not counted.
_KEPT = 128
#: Clocks are not precise enough to tell whether orders overlap by less.
_OVERLAP_MS = 1.0


class Arrivals(msgspec.Struct, frozen=True):
    """Orders of the newest minutes, and of the busiest minute of all, by when they were sent."""

    #: By minutes since 1970.
    minutes: Mapping[int, int] = msgspec.field(default_factory=dict)
    peak: int = 0
    peak_minute: int = 0

    def with_orders(self, sent_at: Iterable[datetime]) -> Arrivals:
        """Add orders."""
        added = Counter(int(at.timestamp()) // MINUTE_S for at in sent_at)
        minutes = dict(self.minutes)
        oldest = min(minutes, default=0) if len(minutes) == _KEPT else 0
        for minute, orders in added.items():
            if minute >= oldest:
                minutes[minute] = minutes.get(minute, 0) + orders
        known = [(self.peak, self.peak_minute)] if self.peak else []
        busiest = [*known, *((minutes[one], one) for one in added if one in minutes)]
        peak, minute = min(busiest, key=lambda one: (-one[0], one[1]), default=(0, 0))
        newest = sorted(minutes, reverse=True)[:_KEPT]
        return Arrivals({one: minutes[one] for one in newest}, peak, minute)

    @property
    def peak_rate(self) -> float:
        """Orders a second in the busiest minute."""
        return self.peak / MINUTE_S


class Handling(NamedTuple):
    """An order that a worker handled."""

    worker: str
    finished_at: datetime
    ms: float


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The orders a second that a version can handle."""

    workers: int
    #: Orders handled at once, by all workers together.
    at_once: int
    mean_ms: float

    @property
    def per_second(self) -> float:
        return self.at_once * 1000 / self.mean_ms

    def utilisation(self, rate: float) -> float:
        """The share of its capacity that so many orders a second take; over 1: it falls behind."""
        return rate / self.per_second

    def headroom(self, rate: float) -> float | None:
        """How many times this rate it could carry; None without any."""
        return self.per_second / rate if rate else None

    def drain_s(self, backlog: int, rate: float) -> float | None:
        """Seconds until a backlog is gone while orders come at this rate; None: it never is."""
        spare = self.per_second - rate
        return backlog / spare if spare > 0 else None


def capacity_of(handled: Iterable[Handling], times: Mapping[int, int]) -> Capacity | None:
    """The capacity by some orders that were handled lately, and by a histogram of all handling
    times; None without any."""
    by_worker: defaultdict[str, list[Handling]] = defaultdict(list)
    for one in handled:
        by_worker[one.worker].append(one)
    mean = mean_ms(times)
    if not by_worker or not mean:
        return None
    at_once = sum(map(most_at_once, by_worker.values()))
    return Capacity(workers=len(by_worker), at_once=at_once, mean_ms=mean)


def most_at_once(handled: Iterable[Handling]) -> int:
    """How many orders one worker handled at once at most."""
    turns: list[tuple[float, int]] = []
    for one in handled:
        end = one.finished_at.timestamp() * 1000
        turns += [(end - one.ms + min(_OVERLAP_MS, one.ms / 2), 1), (end, -1)]
    most = running = 0
    for _, change in sorted(turns):
        running += change
        most = max(most, running)
    return most


def mean_ms(times: Mapping[int, int]) -> float | None:
    """The mean of a histogram's times, within 1 %; None without times."""
    total = sum(times.values())
    if not total:
        return None
    return sum(count * 2 * GAMMA**bucket / (GAMMA + 1) for bucket, count in times.items()) / total
