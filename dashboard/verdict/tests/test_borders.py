"""Borders: found between any two ends, to the last digits, with few looks at the function."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.verdict.rates import PairedRate
from dashboard.verdict.sequences import Point, RatioBlocks, border

#: Functions that fall and pass 0 at 0, by what makes them hard.
FALLING: dict[str, Callable[[float], float]] = {
    "a line": lambda x: -x,
    "a cube": lambda x: -(x**3),
    "flat around its border": lambda x: -(x**9),
    "steep at one side": lambda x: math.exp(-min(x, 50.0) * 12) - 1,
    "level far from it": lambda x: -math.atan(1e6 * x),
    "a jump": lambda x: 1.0 if x <= 0 else -1e-9,
}


@pytest.mark.parametrize("name", FALLING)
@given(border_at=st.floats(-0.9, 0.9), known=st.booleans())
@example(border_at=0.0, known=True)
def test_a_border_is_found_whatever_the_function_is_like(
    name: str, border_at: float, known: bool
) -> None:
    def excess(x: float) -> float:
        return FALLING[name](x - border_at)

    outside = Point(-1.0, excess(-1.0) if known else math.inf)
    inside = Point(1.0, excess(1.0) if known else -math.inf)

    found = border(excess, outside, inside)

    assert found == pytest.approx(border_at, abs=1e-12)


def test_ends_that_have_no_value_are_never_asked() -> None:
    asked = list[float]()

    def excess(x: float) -> float:
        asked.append(x)
        return 1 / x - 1e6

    found = border(excess, Point(0.0, math.inf), Point(1.0, -math.inf))

    assert found == pytest.approx(1e-6, rel=1e-14)
    assert 0.0 not in asked
    assert 1.0 not in asked


@given(
    pos=st.integers(0, 5_000),
    neg=st.integers(0, 5_000),
    zero=st.integers(0, 5_000_000),
)
@example(pos=0, neg=5000, zero=1)
def test_evidence_is_at_its_limit_at_the_ends_of_a_rates_interval(
    pos: int, neg: int, zero: int
) -> None:
    rate = PairedRate(pos, neg, zero)
    lower = rate.interval(0.05).lo
    if lower == -1.0:
        return
    a_little = max(1e-9 * (1 + lower), 1e-15)
    limit = math.log(2 / 0.05)
    assert rate.log_e_greater(lower - a_little) >= limit or lower - a_little <= -1
    assert rate.log_e_greater(lower + a_little) <= limit


def test_an_interval_takes_a_few_dozen_looks_at_the_evidence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = RatioBlocks()
    for number in range(300):
        blocks.add(40.0, -3.0 + number % 7)
    looked = list[float]()
    log_e = RatioBlocks.log_e

    def counted(own: RatioBlocks, theta: float) -> float:
        looked.append(theta)
        return log_e(own, theta)

    monkeypatch.setattr(RatioBlocks, "log_e", counted)

    blocks.interval(0.0125)

    assert len(looked) < 40
