"""Numbers of a verdict in plain words."""

from __future__ import annotations

import math

from dashboard.domain.verdict.sequences import UNKNOWN, Interval

#: Beyond this ratio the clip of single orders makes a mean say too little.
_SATURATED = math.log(3)


def percent(share: float) -> str:
    """A share as a percentage: two digits below 1 %, one below 10, none above."""
    value = abs(share) * 100
    digits = 0 if value >= 10 else 1 if value >= 1 else 2
    text = f"{value:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def span(low: float, high: float) -> str:
    """Two shares as a range of percentages."""
    return f"{percent(low).removesuffix(' %')}–{percent(high)}"


def speed_text(estimate: float, interval: Interval) -> str:
    """A mean log ratio: "31 % faster (28–34 %)"."""
    if abs(estimate) > _SATURATED:
        return f"at least 3 times {'slower' if estimate > 0 else 'faster'}"
    if not interval.has(0.0):
        ends = sorted(abs(math.expm1(end)) for end in interval)
        return f"{_change(estimate)} ({span(*ends)})"
    if interval.lo <= -UNKNOWN or interval.hi >= UNKNOWN:
        return f"{_change(estimate)}, how surely is not known yet"
    return f"between {_change(interval.lo)} and {_change(interval.hi)}"


def _change(theta: float) -> str:
    """How much faster or slower a log ratio is."""
    return f"{percent(math.expm1(theta))} {'faster' if theta < 0 else 'slower'}"


def rate_text(estimate: float, interval: Interval, verb: str, *, spell: bool = False) -> str:
    """A difference of rates: "fails on 1.9 % more of the orders (1.2–2.7 %)"."""
    number = f"{verb} on {percent(estimate)} {'more' if estimate > 0 else 'fewer'} of the orders"
    if spell:
        return f"{number}, but in too few separate spells to tell"
    if not interval.has(0.0):
        return f"{number} ({span(*sorted(abs(end) for end in interval))})"
    if interval.lo <= -1 or interval.hi >= 1:
        return f"{number}, how surely is not known yet"
    few, many = percent(interval.lo), percent(interval.hi)
    return f"{verb} on between {few} fewer and {many} more of the orders"
