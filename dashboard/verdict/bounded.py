"""A rate of which some orders' part is not known: it lies between the best and the worst case."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.verdict.rates import RobustRate
from dashboard.verdict.sequences import Interval


@dataclass(frozen=True, slots=True)
class BoundedRate:
    """What the rate would be at least and at most; ``unknown`` orders make the difference.

    The rate that counts lies between the two, order by order, so the interval from the lower end
    of the least to the upper end of the most holds it wherever theirs hold them.
    """

    least: RobustRate
    most: RobustRate
    unknown: int = 0

    @classmethod
    def exactly(cls, rate: RobustRate) -> BoundedRate:
        """A rate of which all is known."""
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
        """Of how many of the orders it is not known whether they count."""
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
