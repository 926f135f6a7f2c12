"""Confidence sequences: intervals valid at all times at once, computed from sums.

``RatioBlocks`` is the self-normalised normal mixture (de la Peña, Klass and Lai 2004; Howard,
Ramdas, McAuliffe and Sekhon 2021) over blocks of time: a block gives (x, y), and the ratio
theta = sum y / sum x is estimated. Its state is six sums, so that merging is adding.
``bernoulli_cs`` is the Beta(1/2, 1/2) mixture for a plain share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: Ratios are searched up to here; a bound at this value is unknown.
UNKNOWN = 14.0
#: Scales and weights of the mixture over lambda ~ N(0, 1/r): the first is tuned for orders with a
#: log-sd of 0.1 to 0.8 and effects of 2 to 20 %, the others keep long runs and large blocks tight.
SCALES = (3.0, 300.0, 3e4, 3e6)
LOG_WEIGHTS = tuple(math.log(weight) for weight in (0.5, 0.25, 0.125, 0.125))
#: Below this many standard deviations, the normal tail is approximated by its first term.
_DEEP = -25.0
_MIXTURE = tuple(zip(SCALES, LOG_WEIGHTS, strict=True))


class Interval(NamedTuple):
    """Where a quantity lies, both ends included."""

    lo: float
    hi: float

    def hull(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        return Interval(min(self.lo, other.lo), max(self.hi, other.hi))

    def within(self, lo: float, hi: float) -> Interval:
        """The same interval, cut at what the quantity can be."""
        return Interval(min(max(self.lo, lo), hi), max(min(self.hi, hi), lo))

    def has(self, value: float) -> bool:
        """Whether the value is inside."""
        return self.lo <= value <= self.hi


NOTHING_KNOWN = Interval(-UNKNOWN, UNKNOWN)


@dataclass(slots=True)
class RatioBlocks:
    """Sums over k blocks (x, y): of x, y, their squares and their product."""

    k: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def add(self, x: float, y: float) -> None:
        """Add one block; an empty one changes nothing."""
        if x == 0 and y == 0:
            return
        self.k += 1
        self.x += x
        self.y += y
        self.xx += x * x
        self.xy += x * y
        self.yy += y * y

    def merge(self, other: RatioBlocks, sign: int = 1) -> None:
        """Add the sums over other blocks, or with sign -1 take them out."""
        self.k += sign * other.k
        self.x += sign * other.x
        self.y += sign * other.y
        self.xx += sign * other.xx
        self.xy += sign * other.xy
        self.yy += sign * other.yy

    def sums(self) -> tuple[float, ...]:
        """K, x, y, xx, xy, yy."""
        return self.k, self.x, self.y, self.xx, self.xy, self.yy

    @property
    def estimate(self) -> float | None:
        """The ratio, or None while there is nothing."""
        return self.y / self.x if self.x else None

    def spread(self, theta: float) -> float:
        """V: the sum of the squares of y - theta x, over the blocks."""
        return max(0.0, self.yy - 2 * theta * self.xy + theta * theta * self.xx)

    def log_e(self, theta: float) -> float:
        """Evidence against the ratio being theta: ln of a process that starts at 1.

        If it is theta and y - theta x is symmetric given the past, the chance that this ever
        reaches ln(1/alpha) is at most alpha (Ville).
        """
        half = (self.y - theta * self.x) ** 2 / 2
        spread = self.spread(theta)
        return log_sum_exp(
            [
                log_weight - 0.5 * math.log1p(spread / scale) + half / (spread + scale)
                for scale, log_weight in _MIXTURE
            ]
        )

    def log_e_below(self, theta: float, times: float = 1.0) -> float:
        """Evidence that the ratio is below theta: ln of a process that starts at 1.

        With ``times``: what it will be with so many times the blocks, if they are like these.

        The mixture over half-normal bets of one sign. If the ratio is theta or more and
        y - ratio x is symmetric given the past, the chance that this ever reaches ln(1/alpha) is at
        most alpha. (For a symmetric z and any d >= 0, E exp(-l(z + d) - l^2 (z + d)^2 / 2) <= 1:
        it holds for each pair -z, z.)
        """
        spread = self.spread(theta) * times
        below = (theta * self.x - self.y) * times
        return log_sum_exp(
            [
                log_weight
                - 0.5 * math.log1p(spread / scale)
                + _half(below / math.sqrt(spread + scale))
                for scale, log_weight in _MIXTURE
            ]
        )

    def interval(self, alpha: float) -> Interval:
        """The ratios around the estimate that the evidence does not exclude at level alpha."""
        lo = -self._excluded(lambda theta: self.log_e(-theta), alpha, sign=-1)
        return Interval(lo, self._excluded(self.log_e, alpha)).within(-UNKNOWN, UNKNOWN)

    def bound(self, alpha: float) -> float:
        """Below this the ratio lies, at level alpha on this one side; UNKNOWN if nothing is."""
        return self._excluded(self.log_e_below, alpha)

    def _excluded(self, log_e: Callable[[float], float], alpha: float, *, sign: int = 1) -> float:
        """The first ratio above the estimate, or below with sign -1, that is excluded."""
        if self.estimate is None:
            return UNKNOWN
        centre, limit = sign * self.estimate, math.log(1 / alpha)
        width = math.sqrt((self.spread(self.estimate) + SCALES[0]) * 2 * limit)
        step = width / abs(self.x) / 8
        return _first_excluded(lambda theta: log_e(theta) - limit, centre, step, UNKNOWN)


def _first_excluded(
    excess: Callable[[float], float], centre: float, step: float, end: float
) -> float:
    """Where, walking up from the centre, exclusion begins; ``end`` if nowhere before it."""
    inside = Point(centre, -math.inf)
    while inside.at < end:
        at = min(inside.at + step, end)
        reached = Point(at, excess(at))
        if reached.value >= 0:
            return border(excess, reached, inside)
        inside, step = reached, step * 1.3
    return end


def _half(t: float) -> float:
    """Ln of 2 exp(t^2 / 2) Phi(t), for any t."""
    if t < _DEEP:
        return -math.log(-t) - 0.5 * math.log(math.pi / 2)
    return t * t / 2 + math.log(math.erfc(-t / math.sqrt(2)))


def log_sum_exp(terms: Sequence[float]) -> float:
    """Ln of the sum of exp(term), without overflow; -inf for terms that are all -inf."""
    top = max(terms)
    if math.isinf(top):
        return top
    return top + math.log(sum([math.exp(term - top) for term in terms]))


def bernoulli_cs(k: int, n: int, alpha: float) -> Interval:
    """Where the share lies, after k of n: those p whose mixture likelihood ratio is < 1/alpha.

    e(p) = B(k + 1/2, n - k + 1/2) / (pi p^k (1 - p)^(n - k)). Raises ValueError unless 0 <= k <= n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n}")
    if n == 0:
        return Interval(0.0, 1.0)
    log_beta = math.lgamma(k + 0.5) + math.lgamma(n - k + 0.5) - math.lgamma(n + 1)
    limit = math.log(1 / alpha)

    def excess(p: float) -> float:
        likelihood = _power(p, k) + _power(1 - p, n - k)
        return log_beta - math.log(math.pi) - likelihood - limit

    share = Point(k / n, -math.inf)
    return Interval(
        border(excess, Point(0.0, math.inf), share) if k else 0.0,
        border(excess, Point(1.0, math.inf), share) if k < n else 1.0,
    )


def _power(base: float, exponent: int) -> float:
    """Ln of base to the exponent, 0 to the 0 being 1."""
    if exponent == 0:
        return 0.0
    return exponent * math.log(base) if base > 0 else -math.inf


_STEPS = 200
#: One step in this many is a bisection.
_HALVE_EACH = 4
#: Points within twice this distance, in roundings or absolute, are treated as equal.
_ULPS, _LEAST = 2, 1e-24


class Point(NamedTuple):
    """A point and the function's value there; infinite where it has none."""

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
    """The next point: by the secant, at least ``least`` from both ends; else the middle."""
    whole, fall = inside.at - outside.at, outside.value - inside.value
    if halve or not 0 < fall < math.inf:
        return outside.at + whole / 2
    part = abs(whole) * (outside.value / fall)
    return outside.at + math.copysign(min(max(part, least), abs(whole) - least), whole)


def _halved(point: Point) -> Point:
    """The Illinois step: halve an end kept twice, so the next point falls beyond the border."""
    return Point(point.at, point.value / 2)
