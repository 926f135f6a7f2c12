"""How numbers are written: short in storage, rounded for people."""

from __future__ import annotations

import math


def short(number: float) -> float:
    """The same number, as an int where it is whole: JSON then says 50, not 50.0."""
    return int(number) if number == int(number) else number


def significant(number: float, digits: int = 2) -> int:
    """Rounded up to as many digits as an estimate has a right to; at least 1."""
    if number < 1:
        return 1
    scale: int = 10 ** max(0, math.floor(math.log10(number)) + 1 - digits)
    return math.ceil(number / scale) * scale
