"""What would have happened to the customers if a dark version had been live.

Sums over the pairs that both versions handled, in whole microseconds, so that any split of the
pairs adds up to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from dashboard.verdict.quantiles import GAMMA

#: Orders kept that would have lost most.
WORST = 5
_US_PER_MS = 1000


class TimedPair(NamedTuple):
    """An order that both versions handled, and how long each took."""

    order_id: str
    control_ms: float
    version_ms: float


class Hindsight(msgspec.Struct, frozen=True):
    """Pairs that both handled, what both took in all, and the orders that would have lost most."""

    pairs: int = 0
    control_us: int = 0
    version_us: int = 0
    #: By how many microseconds the version was slower, and the order; the worst first.
    worst: tuple[tuple[int, str], ...] = ()

    @property
    def lost_s(self) -> float:
        """Seconds that customers would have waited longer in all; below 0: gained."""
        return (self.version_us - self.control_us) / 1e6

    def with_pairs(self, pairs: Iterable[TimedPair]) -> Hindsight:
        """Add pairs; each may be added once."""
        timed = [(_us(one.control_ms), _us(one.version_ms), one.order_id) for one in pairs]
        slower = [(theirs - ours, order_id) for ours, theirs, order_id in timed if theirs > ours]
        worst = sorted([*self.worst, *slower], key=lambda one: (-one[0], one[1]))
        return Hindsight(
            self.pairs + len(timed),
            self.control_us + sum(ours for ours, _, _ in timed),
            self.version_us + sum(theirs for _, theirs, _ in timed),
            tuple(worst[:WORST]),
        )


def slowest_tenth_ms(times: Mapping[int, int]) -> float | None:
    """The mean of the slowest tenth of a histogram's times, within 1 %; None without times."""
    total = sum(times.values())
    if not total:
        return None
    left = most = -(-total // 10)
    spent = 0.0
    for bucket in sorted(times, reverse=True):
        taken = min(left, times[bucket])
        spent += taken * 2 * GAMMA**bucket / (GAMMA + 1)
        left -= taken
        if not left:
            break
    return spent / most


def _us(ms: float) -> int:
    return round(ms * _US_PER_MS)
