"""What the control and a candidate did with one order, and how it counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from operator import truediv

import msgspec

#: Shorter times count as this long: clocks are not precise enough below it.
SHORTEST_MS = 0.1
#: Log ratios are clipped here: four times slower or faster.
CLIP = math.log(4)


class OrderStatus(StrEnum):
    """A version's result for an order at the order's deadline."""

    OK = "ok"
    FAILED = "failed"
    #: It received the order, but never answered.
    TIMEOUT = "timeout"
    #: It never received the order.
    MISSING = "missing"


#: Local names, because looking up an enum member is slow and this runs for every order.
_OK, _TIMEOUT = OrderStatus.OK, OrderStatus.TIMEOUT
_ENDLESS = math.inf
#: The order has an answer, good or bad.
ANSWERED = (_OK, OrderStatus.FAILED)
#: There is a time: the answer's, or the deadline for a timeout.
TIMED = (_OK, _TIMEOUT)


class Result(msgspec.Struct, frozen=True, gc=False):
    """What one version did with one order; ``ms`` is its handling time by its own clock."""

    status: OrderStatus
    ms: float | None = None

    @property
    def answered(self) -> bool:
        """Whether the version handled the order or failed on it."""
        return self.status in ANSWERED

    def capped_ms(self, deadline_ms: float) -> float:
        """The handling time, limited to the range from the shortest time to the deadline."""
        ms = self.ms
        if ms is None or ms > deadline_ms or self.status is _TIMEOUT:
            return deadline_ms
        return ms if ms > SHORTEST_MS else min(SHORTEST_MS, deadline_ms)


class PairedOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order that the control and a candidate both received, and possibly a baseline.

    ``placed_at`` is in seconds since 1970. ``shown`` are the discrepancies between the candidate's
    result and the control's after the rules, as numbers from 1, whatever their review; ``noise``
    are those of the baseline. ``segments`` are names from ``segments.segments_of``.
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
        """The results of the control, the candidate, and the baseline if it received the order."""
        pair = (self.control, self.candidate)
        return pair if self.baseline is None else (*pair, self.baseline)

    @property
    def usable(self) -> bool:
        """Whether all its times are finite and not negative."""
        for one in (self.control, self.candidate, self.baseline):
            if one is not None and one.status is _OK:
                ms = one.ms
                if ms is None or not 0 <= ms < _ENDLESS:
                    return False
        return math.isfinite(self.placed_at)


def clipped_logs(controls_ms: Sequence[float], candidates_ms: Sequence[float]) -> list[float]:
    """The clipped log ratios (candidate / control), order by order."""
    logs = map(math.log, map(truediv, candidates_ms, controls_ms))
    return [-CLIP if one < -CLIP else min(one, CLIP) for one in logs]
