"""Where a function passes 0: the ends of an interval are where the evidence reaches its limit.

The Illinois method (Dowell and Jarratt 1971), a secant that keeps the border between its two
points, with a halving now and then so that no function makes it slow: about ten values of the
function, where halving alone takes fifty.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

_STEPS = 200
#: Each so many steps one is a halving.
_HALVE_EACH = 4
#: Two points that are no more than twice so many roundings, or so far, apart are one.
_ULPS, _LEAST = 2, 1e-24


class Point(NamedTuple):
    """Where a function was looked at, and what it was there: without end where it has no value."""

    at: float
    value: float


def border(excess: Callable[[float], float], outside: Point, inside: Point) -> float:
    """Where ``excess`` passes 0 between a point outside, where it is not below, and one inside,
    where it is: to the last digits, as far as its own rounding lets it be told."""
    was_outside: bool | None = None
    for step in range(_STEPS):
        least = max(_LEAST, _ULPS * math.ulp(max(abs(outside.at), abs(inside.at))))
        if abs(inside.at - outside.at) <= 2 * least:
            break
        at = _between(outside, inside, least, halve=step % _HALVE_EACH == _HALVE_EACH - 1)
        value = excess(at)
        is_outside = value >= 0
        again = is_outside == was_outside
        if is_outside:
            outside = Point(at, value)
            inside = _halved(inside) if again else inside
        else:
            inside = Point(at, value)
            outside = _halved(outside) if again else outside
        was_outside = is_outside
    return outside.at + (inside.at - outside.at) / 2


def _between(outside: Point, inside: Point, least: float, *, halve: bool) -> float:
    """Where to look next: by the secant, at least so far from both; else in the middle."""
    whole, fall = inside.at - outside.at, outside.value - inside.value
    if halve or not 0 < fall < math.inf:
        return outside.at + whole / 2
    part = abs(whole) * (outside.value / fall)
    return outside.at + math.copysign(min(max(part, least), abs(whole) - least), whole)


def _halved(point: Point) -> Point:
    """The end that has stayed twice counts half, so that the next look falls beyond the border."""
    return Point(point.at, point.value / 2)
