"""Two rates on the same orders."""

from __future__ import annotations

import itertools
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.verdict.rates import (
    FIELD_LIMIT,
    PairedRate,
    RobustRate,
    beyond_noise,
    field_evidence,
)

_COUNTS = st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 3000))


@settings(deadline=None)
@given(_COUNTS)
def test_the_interval_holds_the_estimate(counts: tuple[int, int, int]) -> None:
    rate = PairedRate(*counts)
    interval = rate.interval(0.0125)
    assert -1 <= interval.lo <= (rate.estimate or 0.0) <= interval.hi <= 1


@settings(deadline=None)
@given(_COUNTS)
def test_swapping_the_versions_mirrors_the_interval(counts: tuple[int, int, int]) -> None:
    pos, neg, zero = counts
    there, back = PairedRate(pos, neg, zero), PairedRate(neg, pos, zero)
    mirrored = back.interval(0.05)
    assert there.interval(0.05) == pytest.approx((-mirrored.hi, -mirrored.lo))


@settings(deadline=None)
@given(_COUNTS, st.floats(-0.99, 0.99), st.floats(-0.99, 0.99))
def test_a_larger_difference_has_less_evidence(
    counts: tuple[int, int, int], one: float, other: float
) -> None:
    rate = PairedRate(*counts)
    least = rate.log_e_greater(max(one, other))
    assert least <= rate.log_e_greater(min(one, other)) + 1e-9


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(-0.9, 0.9))
def test_if_b_is_no_worse_than_m_the_evidence_has_mean_one_at_most(
    a: float, b: float, more: float
) -> None:
    chances = {(1, 0, 0): b * (1 - a), (0, 1, 0): a * (1 - b)}
    chances[0, 0, 1] = 1 - sum(chances.values())
    m = max(b - a, more)
    if m <= -0.99:
        return
    mean = 0.0
    for orders in itertools.product(chances, repeat=3):
        chance = math.prod(chances[order] for order in orders)
        counts = (sum(column) for column in zip(*orders, strict=True))
        mean += chance * math.exp(PairedRate(*counts).log_e_greater(m))
    assert mean <= 1 + 1e-9


@settings(deadline=None)
@given(_COUNTS, st.floats(-0.9, 0.9))
def test_that_b_is_less_than_m_above_a_is_the_same_seen_from_the_other_side(
    counts: tuple[int, int, int], m: float
) -> None:
    pos, neg, zero = counts
    mirrored = PairedRate(neg, pos, zero).log_e_greater(-m)
    assert PairedRate(*counts).log_e_below(m) == pytest.approx(mirrored)


@settings(deadline=None)
@given(_COUNTS)
def test_the_bound_is_nearer_than_the_interval_and_the_border_of_what_is_surely_below(
    counts: tuple[int, int, int],
) -> None:
    rate = PairedRate(*counts)
    bound = rate.bound(0.05)
    assert (rate.estimate or 0.0) <= bound <= rate.interval(0.0125).hi
    if bound < 1:
        assert rate.log_e_below(bound) == pytest.approx(math.log(20), abs=1e-6)


def test_of_time_to_come_counts_are_expected_in_proportion() -> None:
    rate = PairedRate(4, 3, 993)
    assert rate.log_e_below(0.01, 2) == pytest.approx(PairedRate(8, 6, 1986).log_e_below(0.01))


def test_without_orders_nothing_is_known() -> None:
    assert PairedRate().interval(0.05) == (-1, 1)
    assert RobustRate().interval(0.05) == (-1, 1)


def test_an_incident_of_one_block_excludes_nothing_though_its_counts_would() -> None:
    rate = RobustRate()
    for block in range(60):
        rate.add(40 if block == 30 else 0, 0, 10 if block == 30 else 50)
    assert rate.quick_interval(0.0125).lo > 0
    assert rate.interval(0.0125).lo < 0


def test_failures_spread_over_many_blocks_exclude_zero() -> None:
    rng = random.Random(3)
    rate = RobustRate()
    for _ in range(200):
        pos = sum(rng.random() < 0.03 for _ in range(50))
        rate.add(pos, 0, 50 - pos)
    assert 0 < rate.interval(0.0125).lo < 0.03 < rate.interval(0.0125).hi


def test_a_block_without_orders_changes_nothing() -> None:
    rate = RobustRate()
    rate.add(0, 0, 0)
    assert rate == RobustRate()


def test_a_rate_is_the_same_after_a_stay_in_the_database() -> None:
    rate = RobustRate()
    for block in range(30):
        rate.add(block % 3, block % 2, 10)
    assert RobustRate.from_json(json.loads(json.dumps(rate.to_json()))) == rate


def test_a_field_is_beyond_noise_after_fourteen_differences_and_none_the_other_way() -> None:
    assert math.log(200 / 0.05) == FIELD_LIMIT
    assert not beyond_noise(13, 0, 987)
    assert beyond_noise(14, 0, 986)
    assert not beyond_noise(14, 10, 976)
    assert field_evidence(0, 0, 5) == 0
