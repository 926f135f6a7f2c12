"""Whether a series stays flat: its slope by Theil and Sen, which a few wild points cannot turn."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: Points at most: all pairs of them are looked at.
_MOST = 400


@dataclass(frozen=True)
class Trend:
    """How much a series rose from its first time to its last, beside what it may.

    ``level`` is its median; of the first tenth of the time nothing is taken, for the warm-up.
    """

    level: float
    rise: float
    allowed: float

    @property
    def is_flat(self) -> bool:
        """Whether it rose by no more than it may; a fall is no trouble."""
        return self.rise <= self.allowed


def trend(
    times: Sequence[float], values: Sequence[float], *, part: float, least: float = 0.0
) -> Trend:
    """The trend of a series that may rise by this part of its level over the whole time, or by
    ``least`` in any case."""
    if len(times) != len(values):
        raise ValueError("a value for each time is needed")
    start = len(times) // 10
    step = -(-(len(times) - start) // _MOST) or 1
    kept_times, kept = list(times[start::step]), list(values[start::step])
    if len(kept) < 2:
        raise ValueError("two points are needed after the warm-up")
    level = statistics.median(kept)
    rise = theil_sen(kept_times, kept) * (kept_times[-1] - kept_times[0])
    return Trend(level=level, rise=rise, allowed=max(least, part * abs(level)))


def theil_sen(times: Sequence[float], values: Sequence[float]) -> float:
    """The median of the slopes between all pairs of points."""
    slopes = [
        (values[late] - values[early]) / (times[late] - times[early])
        for late in range(len(times))
        for early in range(late)
        if times[late] != times[early]
    ]
    return statistics.median(slopes)
