"""The word for an interval: what a person may say of an effect, and no more than that."""

from __future__ import annotations

import math
from enum import StrEnum

from dashboard.domain.verdict.sequences import Interval

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
    BENCH_UNEVEN = "bench uneven"
    FASTER = "faster"
    SLOWER = "slower"
    ABOUT_THE_SAME = "about the same"
    NO_SLOWER = "no slower"
    NO_FASTER = "no faster"
    UNDECIDED = "undecided"


class Rate(StrEnum):
    """What may be said of how often something happens to the candidate alone."""

    NOT_COMPARABLE = "not comparable"
    WARMING_UP = "warming up"
    FEWER = "fewer"
    WORSE = "worse"
    MORE = "more"
    MORE_WITHIN_MARGIN = "more, within margin"
    SPELL = "spell"
    NO_WORSE = "no worse"
    UNDECIDED = "undecided"


def speed_word(
    interval: Interval,
    *,
    pairs: int,
    blocks: int,
    margin: float = 0.02,
    bench: Interval | None = None,
    comparable: bool = True,
) -> Speed:
    """The word for a mean log ratio; ``margin`` is a share, 0.02 for 2 %.

    ``bench`` is the interval of two copies of the control: where it excludes 0, only what lies
    beyond it is an effect.
    """
    if not comparable:
        return Speed.NOT_COMPARABLE
    if pairs < LEAST_ORDERS or blocks < LEAST_BLOCKS:
        return Speed.WARMING_UP
    if bench is not None and not bench.has(0.0):
        return _speed_on_uneven_bench(interval, bench)
    line = math.log1p(margin)
    tests = (
        (interval.hi < 0, Speed.FASTER),
        (interval.lo > 0, Speed.SLOWER),
        (interval.lo > -line and interval.hi < line, Speed.ABOUT_THE_SAME),
        (interval.hi < line, Speed.NO_SLOWER),
        (interval.lo > -line, Speed.NO_FASTER),
    )
    return next((word for holds, word in tests if holds), Speed.UNDECIDED)


def _speed_on_uneven_bench(interval: Interval, bench: Interval) -> Speed:
    if interval.hi < min(0.0, bench.lo):
        return Speed.FASTER
    if interval.lo > max(0.0, bench.hi):
        return Speed.SLOWER
    return Speed.BENCH_UNEVEN


def rate_word(
    interval: Interval,
    *,
    n: int,
    margin: float,
    quick: Interval | None = None,
    comparable: bool = True,
) -> Rate:
    """The word for a difference of rates; ``quick`` is the interval of the counts alone.

    If only that one excludes 0 on the bad side, the extra ones came in too few separate spells to
    be held against the version.
    """
    if not comparable:
        return Rate.NOT_COMPARABLE
    if n < LEAST_ORDERS:
        return Rate.WARMING_UP
    more = Rate.MORE_WITHIN_MARGIN if interval.hi < margin else Rate.MORE
    tests = (
        (interval.hi < 0, Rate.FEWER),
        (interval.lo > margin, Rate.WORSE),
        (interval.lo > 0, more),
        (quick is not None and quick.lo > 0, Rate.SPELL),
        (interval.hi < margin, Rate.NO_WORSE),
    )
    return next((word for holds, word in tests if holds), Rate.UNDECIDED)
