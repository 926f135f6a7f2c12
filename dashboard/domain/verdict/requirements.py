"""What a version must show before it may be promoted, and how one requirement stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dashboard.domain.verdict.sequences import Interval


class Requirement(StrEnum):
    """What is asked of a candidate."""

    SPEED = "speed"
    FAILURES = "failures"
    SLOW_ORDERS = "slow orders"
    DIFFERENCES = "differences"
    COMPLETENESS = "completeness"
    KEEPING_UP = "keeping up"


class Standing(StrEnum):
    """How one requirement stands."""

    PASSED = "passed"
    NOT_YET = "not yet"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The lines of a launch, as shares (0.02 is 2 %), and the promise's error, ``alpha``.

    ``alpha`` is for the four headlines together: each is shown at a quarter of it.
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
    """One requirement: its number, where that may lie, the line it must pass, and a sentence.

    For speed the number is a mean log ratio, for keeping up seconds, else a share of orders.
    ``more_orders`` is about how many more orders it takes to pass if nothing changes; None if it
    has passed, or if no number of orders would do while the estimate lies where it is.
    """

    requirement: Requirement
    standing: Standing
    word: str
    text: str
    estimate: float | None
    interval: Interval | None
    line: float
    orders: int
    more_orders: int | None = None
