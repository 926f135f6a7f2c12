"""The histogram's estimates against exact quantiles, and its merging."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.verdict.quantiles import FLOOR_MS, LogHistogram

times = st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=200)


def test_the_median_of_a_known_sample_is_the_one_of_the_formula() -> None:
    histogram = LogHistogram.of([0.001, 0.5, 1, 40, 40.3, 100, 2500])
    assert histogram.quantiles(0.5)[0] == pytest.approx(40.04777053326359, rel=1e-9)


def test_an_empty_histogram_has_no_quantiles() -> None:
    assert LogHistogram().quantiles(0.5, 0.99) == (None, None)


@given(times, st.floats(min_value=0.001, max_value=1))
def test_a_quantile_is_at_most_one_percent_off(values: list[float], share: float) -> None:
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    estimate = LogHistogram.of(values).quantiles(share)[0]
    assert estimate == pytest.approx(max(exact, FLOOR_MS), rel=0.0101)


@given(times, times)
def test_merging_is_counting_together(first: list[float], second: list[float]) -> None:
    merged = LogHistogram.of(first)
    merged.merge(LogHistogram.of(second))
    assert merged.counts == LogHistogram.of(first + second).counts


@given(times)
def test_a_histogram_survives_being_stored(values: list[float]) -> None:
    histogram = LogHistogram.of(values)
    assert LogHistogram.from_json(histogram.to_json()).counts == histogram.counts
