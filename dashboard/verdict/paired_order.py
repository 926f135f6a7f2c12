"""What both versions did with one order, and what that counts for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from operator import truediv

import msgspec

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


#: Short for what is looked at of every order: an enum's member takes a while to find.
_OK, _TIMEOUT = Status.OK, Status.TIMEOUT
_ENDLESS = math.inf
#: The order was ended, well or badly.
ANSWERED = (_OK, Status.FAILED)
#: There is a time: an answer's own, or, for a timeout, the whole deadline.
TIMED = (_OK, _TIMEOUT)


class Result(msgspec.Struct, frozen=True, gc=False):
    """What one version did with one order; ``ms`` is its handling time by its own clock."""

    status: Status
    ms: float | None = None

    @property
    def answered(self) -> bool:
        """Whether the version ended the order."""
        return self.status in ANSWERED

    def capped_ms(self, deadline_ms: float) -> float:
        """Its time between the shortest and the deadline."""
        ms = self.ms
        if ms is None or ms > deadline_ms or self.status is _TIMEOUT:
            return deadline_ms
        return ms if ms > SHORTEST_MS else min(SHORTEST_MS, deadline_ms)


class PairedOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
        for one in (self.control, self.candidate, self.baseline):
            if one is not None and one.status is _OK:
                ms = one.ms
                if ms is None or not 0 <= ms < _ENDLESS:
                    return False
        return math.isfinite(self.placed_at)


def clipped_logs(controls_ms: Sequence[float], candidates_ms: Sequence[float]) -> list[float]:
    """Ln of how many times slower the candidate was, clipped, order by order."""
    logs = map(math.log, map(truediv, candidates_ms, controls_ms))
    return [-CLIP if one < -CLIP else min(one, CLIP) for one in logs]
