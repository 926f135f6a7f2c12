"""The word for an interval: what a person may say of an effect, and no more than that."""

from __future__ import annotations

import math
from enum import StrEnum

from dashboard.verdict.sequences import Interval

#: Before as many pairs and base blocks nothing is said about speed, nor about rates below as many
#: orders.
LEAST_ORDERS = 100
LEAST_BLOCKS = 20


class Word(StrEnum):
    """The machine's conclusion on a launch."""

    READY = "ready"
    NOT_YET = "not yet"
    WORSE = "worse"
    WITHHELD = "withheld"


class Speed(StrEnum):
    """What may be said of how long the candidate takes."""

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
    """What may be said of how often something happens to the candidate alone."""

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


#: What a requirement passes with.
FINE = frozenset(
    {
        *(Speed.FASTER, Speed.SLOWER_WITHIN, Speed.ABOUT_THE_SAME, Speed.NO_SLOWER),
        *(Rate.FEWER, Rate.MORE_WITHIN, Rate.NO_WORSE),
    }
)
#: What it fails with.
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

    ``passes``: whether it surely lies below the margin. ``baseline`` is the interval of two copies
    of the control: where it excludes 0, only what lies beyond it is an effect.
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
    """The word for a difference of rates; ``counts`` is the interval of the counts alone.

    If only that one excludes 0 on the bad side, the extra ones came too close together to be held
    against the version. For the rest see ``speed_word``.
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
    """Whether two copies of the control surely differ."""
    return baseline is not None and not baseline.has(0.0)


def beyond(interval: Interval, baseline: Interval | None) -> Interval:
    """The interval, around 0 as long as it does not lie beyond that of two unequal copies."""
    if baseline is None or not unequal(baseline):
        return interval
    faster = interval.hi < min(0.0, baseline.lo)
    slower = interval.lo > max(0.0, baseline.hi)
    return interval if faster or slower else interval.hull(Interval(0.0, 0.0))
