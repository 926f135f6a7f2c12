"""Two rates on the same orders: does B have more of something than A, and by how much?

Each order gives a, b in {0, 1} and X = b - a, whose mean is the difference of the rates. What both
versions do cancels inside the order; what is left are McNemar's cells. The evidence is a betting
e-process (Waudby-Smith and Ramdas 2024) mixed over twelve fixed bets: a function of three counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.sequences import Interval, Point, border, log_sum_exp

BETS = tuple(0.98 * 2.0**-j for j in range(12))
_TOTAL_WEIGHT = math.fsum(1 / (j + 1) for j in range(12))
LOG_WEIGHTS = tuple(-math.log((j + 1) * _TOTAL_WEIGHT) for j in range(12))

#: Fields that a launch tells apart; what is beyond them is one more, "other".
MOST_FIELDS = 200
#: A field is beyond noise when its evidence reaches this, for all fields together at 5 %.
FIELD_LIMIT = math.log(MOST_FIELDS / 0.05)


@dataclass(slots=True)
class PairedRate:
    """On how many orders B alone had it (``pos``), A alone (``neg``), and both or neither."""

    pos: int = 0
    neg: int = 0
    zero: int = 0

    def add(self, pos: int, neg: int, zero: int) -> None:
        """Add counts; merging is the same."""
        self.pos += pos
        self.neg += neg
        self.zero += zero

    @property
    def n(self) -> int:
        """Orders."""
        return self.pos + self.neg + self.zero

    @property
    def estimate(self) -> float | None:
        """How much larger B's rate is than A's, from -1 to 1."""
        return (self.pos - self.neg) / self.n if self.n else None

    def log_e_greater(self, m: float) -> float:
        """Ln of the evidence that B's rate is more than m above A's, for m in (-1, 1].

        If it is not, the chance that this ever reaches ln(1/alpha) is at most alpha.
        """
        return _log_e_greater(self.pos, self.neg, self.zero, m)

    def log_e_below(self, m: float, times: float = 1.0) -> float:
        """Ln of the evidence that B's rate is less than m above A's, with so many times of each.

        Nothing is more than 1 above: one order that B did not have alone shows that it is less.
        """
        if m >= 1:
            return math.inf if self.neg or self.zero else 0.0
        return _log_e_greater(times * self.neg, times * self.pos, times * self.zero, -m)

    def interval(self, alpha: float) -> Interval:
        """Where the difference of the rates lies, at level alpha, from both one-sided halves."""
        return Interval(_lower(self, alpha / 2), -_lower(self._mirrored, alpha / 2))

    def bound(self, alpha: float) -> float:
        """Below this the difference lies, at level alpha on this one side."""
        return -_lower(self._mirrored, alpha)

    @property
    def _mirrored(self) -> PairedRate:
        return PairedRate(self.neg, self.pos, self.zero)


def _log_e_greater(pos: float, neg: float, zero: float, m: float) -> float:
    return log_sum_exp(
        [
            log_weight
            + pos * math.log1p(bet * (1 - m) / (1 + m))
            + neg * math.log1p(-bet)
            + zero * math.log1p(-bet * m / (1 + m))
            for bet, log_weight in zip(BETS, LOG_WEIGHTS, strict=True)
        ]
    )


def _lower(rate: PairedRate, alpha: float) -> float:
    """The least that B's rate can be more than A's, at level alpha on this one side."""
    if rate.n == 0:
        return -1.0
    limit = math.log(1 / alpha)
    return border(
        lambda m: rate.log_e_greater(m) - limit,
        Point(-1.0, math.inf),
        Point(rate.estimate or 0.0, -math.inf),
    )


@dataclass(slots=True)
class RobustRate:
    """A paired rate together with its blocks: one incident on one host cannot make a verdict."""

    counts: PairedRate = field(default_factory=PairedRate)
    blocks: MultiLevelBlocks = field(default_factory=MultiLevelBlocks)

    def add(self, pos: int, neg: int, zero: int) -> None:
        """Fold the next block."""
        self.counts.add(pos, neg, zero)
        self.blocks.add(pos + neg + zero, pos - neg)

    def interval(self, alpha: float) -> Interval:
        """The hull of what the counts say and what the blocks say."""
        return self.quick_interval(alpha).hull(self.block_interval(alpha))

    def block_interval(self, alpha: float) -> Interval:
        """What the blocks say, which are independent where orders are not."""
        return self.blocks.interval(alpha).within(-1.0, 1.0)

    def quick_interval(self, alpha: float) -> Interval:
        """What the counts alone say, as if orders were independent."""
        return self.counts.interval(alpha)

    def log_e_below(self, m: float, times: float = 1.0) -> float:
        """The evidence that B's rate is less than m above A's, as counts and blocks both see it."""
        return min(self.counts.log_e_below(m, times), self.blocks.log_e_below(m, times))

    def bound(self, alpha: float) -> float:
        """Below this the difference lies, by counts and blocks both, at level alpha."""
        return min(1.0, max(self.counts.bound(alpha), self.blocks.bound(alpha)))

    def beside(self, blocks: MultiLevelBlocks) -> RobustRate:
        """The same rate, whose blocks count from the level on at which those are independent."""
        return RobustRate(self.counts, replace(self.blocks, beside=blocks))

    def to_json(self) -> list[object]:
        """The three counts and the levels."""
        counts = self.counts
        return [counts.pos, counts.neg, counts.zero, self.blocks.to_json()]

    @classmethod
    def from_json(cls, stored: Sequence[object]) -> RobustRate:
        """Read what ``to_json`` wrote."""
        pos, neg, zero, levels = stored
        return cls(PairedRate(pos, neg, zero), MultiLevelBlocks.from_json(levels))  # type: ignore[arg-type]

    def copy(self) -> RobustRate:
        """An independent copy."""
        return RobustRate.from_json(self.to_json())


def field_evidence(pos: int, neg: int, zero: int) -> float:
    """Ln of the evidence that a field differs more often than by noise.

    Of the orders that A, A' and B all handled: on how many B alone differs from A in this field,
    on how many A' alone, and the rest.
    """
    return PairedRate(pos, neg, zero).log_e_greater(0.0)


def beyond_noise(pos: int, neg: int, zero: int) -> bool:
    """Whether to flag a field permanently (Bonferroni over all fields)."""
    return field_evidence(pos, neg, zero) >= FIELD_LIMIT


@dataclass(frozen=True, slots=True)
class BoundedRate:
    """A rate's lower and upper limit, which differ by the ``unknown`` orders.

    The rate that counts lies between the two, order by order, so the interval from the lower end
    of the least to the upper end of the most holds it wherever theirs hold them.
    """

    least: RobustRate
    most: RobustRate
    unknown: int = 0

    @classmethod
    def exactly(cls, rate: RobustRate) -> BoundedRate:
        """A rate without unknown orders."""
        return cls(rate, rate)

    @property
    def n(self) -> int:
        """Orders."""
        return self.most.counts.n

    @property
    def estimate(self) -> float | None:
        """The middle between the least and the most."""
        least, most = self.least.counts.estimate, self.most.counts.estimate
        return None if least is None or most is None else (least + most) / 2

    @property
    def unknown_share(self) -> float:
        """The share of unknown orders."""
        return self.unknown / self.n if self.n else 0.0

    def quick_interval(self, alpha: float) -> Interval:
        """What the counts alone say, as if orders were independent."""
        most = self.most.quick_interval(alpha)
        return most.hull(self.least.quick_interval(alpha)) if self.unknown else most

    def block_interval(self, alpha: float) -> Interval:
        """What the blocks say, which are independent where orders are not."""
        most = self.most.block_interval(alpha)
        return most.hull(self.least.block_interval(alpha)) if self.unknown else most

    def interval(self, alpha: float) -> Interval:
        """The hull of what the counts say and what the blocks say."""
        return self.quick_interval(alpha).hull(self.block_interval(alpha))
