"""Numbers of a verdict in plain words: ratios in percent, differences of shares in points."""

from __future__ import annotations

import math

from dashboard.verdict.sequences import UNKNOWN, Interval

#: Beyond this ratio the clip of single orders makes a mean say too little.
_SATURATED = math.log(3)
#: As a minus sign is written, and no hyphen.
MINUS = "\N{MINUS SIGN}"
_NO_INTERVAL = "(confidence interval not available yet)"


def percent(share: float) -> str:
    """A share as a percentage: two digits below 1 %, one below 10, none above."""
    text = _digits(share)
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def points(difference: float) -> str:
    """A difference of two shares in percentage points: "+1.0 pp"."""
    number = _points(abs(difference))
    sign = "" if number == "0" else MINUS if difference < 0 else "+"
    return f"{sign}{number} pp"


def span(low: float, high: float) -> str:
    """Two shares as a range of percentages."""
    return f"{percent(low).removesuffix(' %')} to {percent(high)}"


def speed_text(estimate: float, interval: Interval) -> str:
    """A mean log ratio: "31 % faster (28 to 34 %)"."""
    if abs(estimate) > _SATURATED:
        return f"at least 3 times {'slower' if estimate > 0 else 'faster'}"
    if not interval.has(0.0):
        ends = sorted(abs(math.expm1(end)) for end in interval)
        return f"{_change(estimate)} ({span(*ends)})"
    if interval.lo <= -UNKNOWN or interval.hi >= UNKNOWN:
        return f"{_change(estimate)} {_NO_INTERVAL}"
    return f"between {_change(interval.lo)} and {_change(interval.hi)}"


def rate_text(name: str, estimate: float, interval: Interval) -> str:
    """A difference of rates: "failure rate +1.9 pp (1.2 to 2.7)"."""
    number = f"{name} {points(estimate)}"
    if interval.lo <= -1 or interval.hi >= 1:
        return f"{number} {_NO_INTERVAL}"
    return f"{number} ({_points(interval.lo)} to {_points(interval.hi)})"


def counted(number: int, thing: str = "order", things: str = "") -> str:
    """ "1 order", "1,300 orders"; ``things``: where the plural is not the word with an s."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def discrepancies(number: int) -> str:
    """ "1 discrepancy", "3 discrepancies"."""
    return counted(number, "discrepancy", "discrepancies")


def orders_of(part: int, whole: int) -> str:
    """ "12 of 1,300 orders"."""
    return f"{part:,} of {counted(whole)}"


def _change(theta: float) -> str:
    """How much faster or slower a log ratio is."""
    return f"{percent(math.expm1(theta))} {'faster' if theta < 0 else 'slower'}"


def _points(share: float) -> str:
    text = _digits(share)
    short = text.rstrip("0").rstrip(".") if abs(share) < 0.01 and "." in text else text
    return f"{MINUS}{short}" if share < 0 and short.strip("0.") else short


def _digits(share: float) -> str:
    """Half upwards, as the page's script rounds: 12.5 is 13, and not 12."""
    value = abs(share) * 100
    digits = 0 if value >= 10 else 1 if value >= 1 else 2
    return f"{math.floor(value * 10**digits + 0.5) / 10**digits:.{digits}f}"
