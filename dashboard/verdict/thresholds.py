"""The requirements for a promotion: thresholds, results, and an estimate of the orders still
needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import NamedTuple

from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.sequences import Interval, bernoulli_cs
from dashboard.verdict.wording import counted, orders_of, percent, significant


class Requirement(StrEnum):
    """The six requirements for a candidate."""

    SPEED = "speed"
    FAILURES = "failures"
    SLOW_ORDERS = "slow orders"
    DIFFERENCES = "differences"
    COMPLETENESS = "completeness"
    KEEPING_UP = "keeping up"


#: The error level at which missing answers make two versions incomparable.
COMPARABLE_ALPHA = 0.001
#: The requirements with an estimate and an interval; the others are counted.
HEADLINES = (
    Requirement.SPEED,
    Requirement.FAILURES,
    Requirement.SLOW_ORDERS,
    Requirement.DIFFERENCES,
)


class RequirementStatus(StrEnum):
    """The status of one requirement."""

    PASSED = "passed"
    NOT_YET = "not yet"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The thresholds of a launch, as shares (0.02 is 2 %), and the error level ``alpha``.

    ``alpha`` is shared by the four headlines: each interval, and each "worse", uses a quarter of
    it. To pass, a requirement needs a one-sided bound at the full ``alpha``: READY claims that all
    of them hold, so it is wrong only if one that does not hold passes (intersection-union test).
    """

    speed_margin: float = 0.02
    failures_margin: float = 0.005
    slow_margin: float = 0.01
    differences_margin: float = 0.005
    #: Share of orders that were not seen, or that a version never received.
    most_missing: float = 0.01
    #: Age in seconds of the oldest order that still waits for the candidate.
    most_behind_s: float = 10.0
    alpha: float = 0.05

    @property
    def each(self) -> float:
        """The error level of one headline."""
        return self.alpha / 4

    @property
    def limit(self) -> float:
        """A requirement passes at this log evidence."""
        return math.log(1 / self.alpha)

    @property
    def margins(self) -> dict[Requirement, float]:
        """Limits of the headlines' upper bounds: a log ratio for speed, shares for the others."""
        return {
            Requirement.SPEED: math.log1p(self.speed_margin),
            Requirement.FAILURES: self.failures_margin,
            Requirement.SLOW_ORDERS: self.slow_margin,
            Requirement.DIFFERENCES: self.differences_margin,
        }


#: The thresholds that people can change; alpha is the same for all launches.
THRESHOLDS = tuple(one.name for one in fields(Requirements) if one.name != "alpha")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchHealth:
    """What the verdict needs to know about a launch besides its orders' results.

    ``held``: why no verdict is possible right now, whatever the evidence says. ``behind_s``: age of
    the oldest order that waits for the candidate; None if unknown. ``over``: the candidate gets no
    more orders, so none are predicted. ``unseen``: how many of the ``sent`` orders did not reach
    the observer.
    """

    held: tuple[str, ...] = ()
    behind_s: float | None = None
    over: bool = False
    unseen: int = 0
    sent: int = 0

    @property
    def unseen_share(self) -> float:
        return self.unseen / self.sent if self.unseen else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementResult:
    """The result for one requirement: estimate, interval, threshold (``line``) and sentence.

    The estimate is a mean log ratio for speed, seconds for keeping up, otherwise a share of orders.
    ``bound`` is its one-sided upper bound at level alpha. A headline passes when the bound is below
    the threshold, and stays passed (since ``passed_at``) until there is evidence against it.
    ``needs`` says what is still needed, and ``more_orders`` about how many orders if those suffice.
    """

    requirement: Requirement
    standing: RequirementStatus
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
    #: The estimate if every order that may count does.
    worst: float | None = None


def mismatch(version: str, *, sent: int, offered: int, share: float) -> str | None:
    """Why the number of orders sent doesn't fit the percent; None while it may.

    However often this is called, the probability that it ever reports a correct sample is at most
    0.1 %.
    """
    if bernoulli_cs(sent, offered, COMPARABLE_ALPHA).has(share):
        return None
    return f"{version} was sent {orders_of(sent, offered)}; {percent(share)} was requested"


#: An estimate from fewer base blocks would be off by a factor of ten or more: none is given.
LEAST_BLOCKS_KNOWN = 10
#: While no level of blocks looks independent, at least this many more blocks are needed.
_UNTIL_KNOWN = 10
#: The search ends at this many times the evidence so far.
_MOST_TIMES = 1e5
_PRECISION = 1.01


class Outlook(NamedTuple):
    """What a requirement still needs in words, and about how many orders if those suffice."""

    needs: str = ""
    more_orders: int | None = None


PASSED = Outlook()
OVER_LIMIT = Outlook("the estimate is over the limit, more orders help only if it falls")
TOO_EARLY = Outlook("too early to say how many more orders")


def outlook(
    passes: Callable[[float], bool], *, orders: int, blocks: MultiLevelBlocks, over_limit: bool
) -> Outlook:
    """An estimate of how many more orders it takes to pass.

    ``passes(n)``: whether it passes with n times the evidence so far at the same rates.
    ``over_limit``: whether the estimate is over the limit. Two thirds of the launches that become
    READY do so within this estimate (`make simulate`).
    """
    if blocks.k < LEAST_BLOCKS_KNOWN:
        return TOO_EARLY
    if over_limit:
        return OVER_LIMIT
    known = blocks.flat_level is not None
    times = _times_needed(passes, 1.0 if known else 1 + _UNTIL_KNOWN / blocks.k)
    if times is None:
        return TOO_EARLY
    more = significant(orders * (times - 1))
    return Outlook(f"about {counted(more, 'more order')}", more)


def _times_needed(passes: Callable[[float], bool], least: float) -> float | None:
    """How many times the evidence so far it takes to pass; None if too many."""
    short, enough = 1.0, max(least, 2.0)
    while not passes(enough):
        short, enough = enough, 2 * enough
        if enough > _MOST_TIMES:
            return None
    while enough / short > _PRECISION:
        middle = (short + enough) / 2
        if passes(middle):
            enough = middle
        else:
            short = middle
    return max(enough, least)


def longest(judged: Sequence[RequirementResult]) -> RequirementResult | None:
    """The open requirement that needs the most orders; None if any needs more than orders."""
    missing = [one for one in judged if one.standing is not RequirementStatus.PASSED]
    if any(one.more_orders is None for one in missing):
        return None
    return max(missing, key=lambda one: one.more_orders or 0, default=None)
