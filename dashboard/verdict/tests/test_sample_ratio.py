"""What was sent is compared with what was asked for, at any time."""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from random import Random

import pytest

from dashboard.verdict.thresholds import mismatch


def test_a_wrong_sample_is_said_with_both_numbers() -> None:
    found = mismatch("vnext", sent=412, offered=1000, share=0.5)
    assert found == "vnext was sent 412 of 1,000 orders; 50 % was requested"


@pytest.mark.parametrize(
    ("sent", "offered", "share", "is_wrong"),
    [
        (0, 0, 0.5, False),
        (1000, 1000, 1.0, False),
        (999, 1000, 1.0, True),
        (0, 1000, 0.0, False),
        (1, 1000, 0.0, True),
        (470, 1000, 0.5, False),
        (52_000, 1_000_000, 0.05, True),
        (50_500, 1_000_000, 0.05, False),
    ],
)
def test_a_sample_is_wrong_where_chance_does_not_explain_it(
    sent: int, offered: int, share: float, is_wrong: bool
) -> None:
    assert _is_wrong(sent, offered, share) is is_wrong


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_right_sample_is_called_wrong_in_one_launch_of_a_thousand_at_most(share: float) -> None:
    random, launches = Random(12), 5000
    looks = sorted({round(1.25**step) for step in range(4, 62)})
    fine = {look: _fine(look, share) for look in looks}
    wrong = 0
    for _ in range(launches):
        sent = offered = 0
        for look in looks:
            sent += _binomial(random, look - offered, share)
            offered = look
            if sent not in fine[look]:
                wrong += 1
                break
    assert wrong <= launches * 0.001


def _fine(offered: int, share: float) -> range:
    """Of how many sent orders nothing is said."""
    is_wrong = partial(_is_wrong, offered=offered, share=share)
    middle = round(offered * share)
    least = bisect_left(range(middle), True, key=lambda sent: not is_wrong(sent))
    most = bisect_left(range(middle, offered + 1), True, key=is_wrong)
    return range(least, middle + most)


def _is_wrong(sent: int, offered: int, share: float) -> bool:
    return mismatch("vnext", sent=sent, offered=offered, share=share) is not None


def _binomial(random: Random, n: int, share: float) -> int:
    """How many of n orders are sampled: exactly for few, by the normal curve for many."""
    if n * share * (1 - share) < 25:
        return sum(random.random() < share for _ in range(n))
    drawn = random.gauss(n * share, (n * share * (1 - share)) ** 0.5)
    return min(max(round(drawn), 0), n)
