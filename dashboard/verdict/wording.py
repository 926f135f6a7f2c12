"""The word for an interval, and how numbers are written."""

from __future__ import annotations

import math
from enum import StrEnum

from dashboard.verdict.sequences import UNKNOWN, Interval

#: The fewest pairs and base blocks for a conclusion on speed, and the fewest orders for one on a
#: rate.
LEAST_ORDERS = 100
LEAST_BLOCKS = 20


class Word(StrEnum):
    """The verdict in one word."""

    READY = "ready"
    NOT_YET = "not yet"
    WORSE = "worse"
    WITHHELD = "withheld"


class Speed(StrEnum):
    """The conclusion on the candidate's handling times."""

    NOT_COMPARABLE = "not comparable"
    WARMING_UP = "warming up"
    UNEQUAL = "unequal environments"
    FASTER = "faster"
    SLOWER = "slower"
    SLOWER_PROBABLY_WITHIN = "slower, probably within the limit"
    SLOWER_WITHIN = "slower, within the limit"
    ABOUT_THE_SAME = "about the same"
    NO_SLOWER = "no slower"
    NO_FASTER = "no faster"
    UNDECIDED = "inconclusive"


class Rate(StrEnum):
    """The conclusion on a rate of the candidate."""

    NOT_COMPARABLE = "not comparable"
    WARMING_UP = "warming up"
    UNEQUAL = "unequal environments"
    FEWER = "fewer"
    WORSE = "worse"
    MORE_PROBABLY_WITHIN = "more, probably within the limit"
    MORE_WITHIN = "more, within the limit"
    CLUSTERED = "clustered in time"
    FLAGGED = "discrepancies beyond noise"
    NO_WORSE = "no worse"
    UNDECIDED = "inconclusive"


#: The words with which a requirement passes.
FINE = frozenset(
    {
        *(Speed.FASTER, Speed.SLOWER_WITHIN, Speed.ABOUT_THE_SAME, Speed.NO_SLOWER),
        *(Rate.FEWER, Rate.MORE_WITHIN, Rate.NO_WORSE),
    }
)
#: The words with which it fails.
BAD = frozenset({Speed.SLOWER, Rate.WORSE})


def speed_word(
    interval: Interval,
    *,
    estimate: float | None,
    passes: bool,
    pairs: int,
    blocks: int,
    margin: float = 0.02,
    baseline: Interval | None = None,
    comparable: bool = True,
) -> Speed:
    """The word for a mean log ratio; ``margin`` is a share, 0.02 for 2 %.

    ``passes``: whether the bound is below the margin. ``baseline`` is the interval between two
    copies of the control: if it excludes 0, only what lies beyond it counts as an effect.
    """
    if not comparable:
        return Speed.NOT_COMPARABLE
    if pairs < LEAST_ORDERS or blocks < LEAST_BLOCKS or estimate is None:
        return Speed.WARMING_UP
    line = math.log1p(margin)
    lo, hi = beyond(interval, baseline)
    if lo <= 0 <= hi and unequal(baseline):
        return Speed.UNEQUAL
    within = Speed.SLOWER_WITHIN if passes else Speed.SLOWER_PROBABLY_WITHIN
    tests = (
        (hi < 0, Speed.FASTER),
        (lo > 0, Speed.SLOWER if estimate > line else within),
        (passes and lo > -line, Speed.ABOUT_THE_SAME),
        (passes, Speed.NO_SLOWER),
        (lo > -line, Speed.NO_FASTER),
    )
    return next((word for holds, word in tests if holds), Speed.UNDECIDED)


def rate_word(
    interval: Interval,
    *,
    estimate: float | None,
    passes: bool,
    n: int,
    margin: float,
    counts: Interval | None = None,
    baseline: Interval | None = None,
    comparable: bool = True,
) -> Rate:
    """The word for a difference of rates; ``counts`` is the interval from counts alone.

    If only that one excludes 0 on the bad side, the extra cases are too clustered in time to count
    against the version. For the other parameters see ``speed_word``.
    """
    if not comparable:
        return Rate.NOT_COMPARABLE
    if n < LEAST_ORDERS or estimate is None:
        return Rate.WARMING_UP
    lo, hi = beyond(interval, baseline)
    if lo <= 0 <= hi and unequal(baseline):
        return Rate.UNEQUAL
    within = Rate.MORE_WITHIN if passes else Rate.MORE_PROBABLY_WITHIN
    tests = (
        (hi < 0, Rate.FEWER),
        (lo > 0, Rate.WORSE if estimate > margin else within),
        (passes, Rate.NO_WORSE),
        (counts is not None and counts.lo > 0, Rate.CLUSTERED),
    )
    return next((word for holds, word in tests if holds), Rate.UNDECIDED)


def unequal(baseline: Interval | None) -> bool:
    """Whether two copies of the control differ significantly."""
    return baseline is not None and not baseline.has(0.0)


def beyond(interval: Interval, baseline: Interval | None) -> Interval:
    """The interval, or one around 0 while it overlaps that of two unequal copies of the control."""
    if baseline is None or not unequal(baseline):
        return interval
    faster = interval.hi < min(0.0, baseline.lo)
    slower = interval.lo > max(0.0, baseline.hi)
    return interval if faster or slower else interval.hull(Interval(0.0, 0.0))


#: Beyond this ratio clipping makes the mean unreliable.
_SATURATED = math.log(3)
#: The typographic minus sign.
MINUS = "\N{MINUS SIGN}"
_NO_INTERVAL = "(confidence interval not available yet)"


def percent(share: float) -> str:
    """A share as a percentage: two decimals below 1 %, one below 10 %, none above."""
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
    """Rounds half up, like the page's script: 12.5 becomes 13."""
    value = abs(share) * 100
    digits = 0 if value >= 10 else 1 if value >= 1 else 2
    return f"{math.floor(value * 10**digits + 0.5) / 10**digits:.{digits}f}"


def short(number: float) -> float:
    """The number, as an int if it is whole, so that JSON has 50 and not 50.0."""
    return int(number) if number == int(number) else number


def significant(number: float, digits: int = 2) -> int:
    """Rounded up to a few significant digits; at least 1."""
    if number < 1:
        return 1
    scale: int = 10 ** max(0, math.floor(math.log10(number)) + 1 - digits)
    return math.ceil(number / scale) * scale
