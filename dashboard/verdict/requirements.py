"""What a version must show before it may be promoted, and how one requirement stands."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import StrEnum

from dashboard.verdict.sequences import Interval


class Requirement(StrEnum):
    """What is asked of a candidate."""

    SPEED = "speed"
    FAILURES = "failures"
    SLOW_ORDERS = "slow orders"
    DIFFERENCES = "differences"
    COMPLETENESS = "completeness"
    KEEPING_UP = "keeping up"


#: What is estimated, each with its interval; the others are counted.
HEADLINES = (
    Requirement.SPEED,
    Requirement.FAILURES,
    Requirement.SLOW_ORDERS,
    Requirement.DIFFERENCES,
)


class Standing(StrEnum):
    """How one requirement stands."""

    PASSED = "passed"
    NOT_YET = "not yet"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The thresholds of a launch, as shares (0.02 is 2 %), and the promise's error, ``alpha``.

    ``alpha`` is for the four headlines together: each is drawn, and called worse, at a quarter of
    it. A requirement passes by a bound on one side at the whole of it: READY says that all of them
    hold, so that it is wrong only if one that does not hold passes (intersection-union test).
    """

    speed_margin: float = 0.02
    failures_margin: float = 0.005
    slow_margin: float = 0.01
    differences_margin: float = 0.005
    #: Share of orders of which one version at least was not heard of.
    most_missing: float = 0.01
    #: Age of the oldest order that still waits for the candidate.
    most_behind_s: float = 10.0
    alpha: float = 0.05

    @property
    def each(self) -> float:
        """The level of one headline."""
        return self.alpha / 4

    @property
    def limit(self) -> float:
        """What the log of the evidence must reach for a requirement to pass."""
        return math.log(1 / self.alpha)

    @property
    def margins(self) -> dict[Requirement, float]:
        """What the upper bound of each headline must lie below: a log ratio, then shares."""
        return {
            Requirement.SPEED: math.log1p(self.speed_margin),
            Requirement.FAILURES: self.failures_margin,
            Requirement.SLOW_ORDERS: self.slow_margin,
            Requirement.DIFFERENCES: self.differences_margin,
        }


#: The thresholds that people set; the promise's error is the same for all launches.
THRESHOLDS = tuple(one.name for one in fields(Requirements) if one.name != "alpha")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known of a launch besides its orders' results.

    ``held``: why no verdict may be given just now, whatever the orders say.
    ``behind_s``: age of the oldest order that waits for the candidate; None if nobody knows.
    ``over``: whether the candidate gets no more orders, so that none are predicted.
    """

    held: tuple[str, ...] = ()
    behind_s: float | None = None
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One requirement: its number, where that may lie, its threshold (``line``), and a sentence.

    For speed the number is a mean log ratio, for keeping up seconds, else a share of orders.
    ``bound`` is what it lies below at level alpha on this one side: a headline passes when that is
    below the threshold, and stays passed (since ``passed_at``) until there is evidence against it.
    ``needs`` says what is missing to pass; ``more_orders``, if it is orders alone, about how many.
    """

    requirement: Requirement
    standing: Standing
    word: str
    text: str
    estimate: float | None
    interval: Interval | None
    line: float
    orders: int
    bound: float | None = None
    passed_at: float | None = None
    needs: str = ""
    more_orders: int | None = None
    #: The estimate, were all orders to count of which it is not known whether they do.
    worst: float | None = None
