"""What both versions did with one order, and what that counts for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

#: Shorter times count as this long: below it a clock tells nothing.
SHORTEST_MS = 0.1
#: A log ratio beyond this counts as this much: four times slower or faster.
CLIP = math.log(4)


class Status(StrEnum):
    """How a version stood with an order at the order's deadline."""

    OK = "ok"
    FAILED = "failed"
    #: It had taken the order, and no more was heard.
    TIMEOUT = "timeout"
    #: It was not heard of at all.
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Result:
    """What one version did with one order; ``ms`` is its handling time by its own clock."""

    status: Status
    ms: float | None = None

    @property
    def usable(self) -> bool:
        """False for what no kitchen can mean: a time that is negative, not finite or not there."""
        if self.status is not Status.OK:
            return True
        return self.ms is not None and math.isfinite(self.ms) and self.ms >= 0

    @property
    def timed(self) -> bool:
        """Whether it has a time: an answer's own, or, for a timeout, the whole deadline."""
        return self.status in (Status.OK, Status.TIMEOUT)

    @property
    def answered(self) -> bool:
        """Whether the version ended the order, well or badly."""
        return self.status in (Status.OK, Status.FAILED)

    def capped_ms(self, deadline_ms: float) -> float:
        """Its time between the shortest and the deadline."""
        if self.status is Status.TIMEOUT or self.ms is None:
            return deadline_ms
        return min(max(self.ms, SHORTEST_MS), deadline_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedOrder:
    """One order that the control and a candidate were both given, and perhaps a baseline, too.

    ``placed_at`` is in seconds since 1970. ``shown`` are the discrepancies that the candidate's
    result shows against the control's, after the rules, whatever their review, by numbers from 1
    on; ``noise`` those that the baseline's shows. ``segments`` are names that
    ``segments.segments_of`` gives.
    """

    placed_at: float
    control: Result
    candidate: Result
    baseline: Result | None = None
    shown: frozenset[int] = frozenset()
    noise: frozenset[int] = frozenset()
    segments: tuple[str, ...] = ()

    @property
    def results(self) -> tuple[Result, ...]:
        """Of the control, the candidate, and the baseline if it has the order."""
        pair = (self.control, self.candidate)
        return pair if self.baseline is None else (*pair, self.baseline)

    @property
    def usable(self) -> bool:
        """Whether every time in it is one."""
        return math.isfinite(self.placed_at) and all(one.usable for one in self.results)

    @property
    def unheard(self) -> int:
        """How many versions have not ended it."""
        return sum(not one.answered for one in self.results)


def log_ratio(control: Result, candidate: Result, deadline_ms: float) -> float | None:
    """Ln of how many times slower the candidate was, clipped; None if either has no time."""
    if not (control.timed and candidate.timed):
        return None
    ratio = math.log(candidate.capped_ms(deadline_ms) / control.capped_ms(deadline_ms))
    return min(max(ratio, -CLIP), CLIP)
