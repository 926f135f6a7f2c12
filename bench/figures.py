"""What a goal measures: samples of the product and of its floor, and what was hoped for."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal

#: A bound is of the product's own figure, or of how many times the floor's it is.
Of = Literal["ratio", "product"]


@dataclass(frozen=True, slots=True)
class Samples:
    """The figure of each round, in the rounds' order."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("nothing was measured")

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The most."""
        return max(self.values)


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Met by a value that is not less."""

    limit: float
    of: Of = "ratio"

    def holds(self, value: float) -> bool:
        """Whether the value keeps the bound."""
        return value >= self.limit

    def __str__(self) -> str:
        return f"≥ {self.limit:,g}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """Met by a value that is not more."""

    limit: float
    of: Of = "ratio"

    def holds(self, value: float) -> bool:
        """Whether the value keeps the bound."""
        return value <= self.limit

    def __str__(self) -> str:
        return f"≤ {self.limit:,g}"


Bound = AtLeast | AtMost


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table: the product beside its floor, and the bound that it is to keep."""

    goal: str
    what: str
    unit: str
    product: Samples
    bound: Bound
    floor: Samples | None = None
    #: What the floor is; empty if there is none.
    floor_is: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.floor is None:
            if self.bound.of == "ratio":
                raise ValueError(f"{self.goal}: a ratio needs a floor")
        elif len(self.floor.values) != len(self.product.values):
            raise ValueError(f"{self.goal}: floor and product are measured in the same rounds")

    @property
    def ratio(self) -> Samples | None:
        """Product to floor, round by round; None without a floor."""
        if self.floor is None:
            return None
        pairs = zip(self.product.values, self.floor.values, strict=True)
        return Samples(tuple(product / floor for product, floor in pairs))

    @property
    def value(self) -> float:
        """What the bound is held against."""
        if self.bound.of == "product" or self.ratio is None:
            return self.product.median
        return self.ratio.median

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.bound.holds(self.value)
