"""Capacity from what was handled at once, and the busiest minute of a launch."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.verdict.capacity import Arrivals, Handling, capacity_of, most_at_once
from dashboard.verdict.quantiles import LogHistogram

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def handled(*spans: tuple[float, float], worker: str = "a") -> list[Handling]:
    """Orders by when they began and ended, in ms."""
    return [
        Handling(worker, NOW + timedelta(milliseconds=end), end - start) for start, end in spans
    ]


@pytest.mark.parametrize(
    ("spans", "most"),
    [
        ([], 0),
        ([(0, 100)], 1),
        ([(0, 100), (100, 200), (200, 300)], 1),
        ([(0, 100), (99.5, 200)], 1),
        ([(0, 100), (50, 150), (90, 200)], 3),
        ([(0, 300), (50, 100), (150, 200)], 2),
    ],
)
def test_how_many_orders_a_worker_handles_at_once(
    spans: list[tuple[float, float]], most: int
) -> None:
    assert most_at_once(handled(*spans)) == most


def test_capacity_is_what_all_workers_handle_at_once_by_the_mean_time() -> None:
    both = [*handled((0, 100), (100, 200)), *handled((0, 100), (50, 150), worker="b")]
    found = capacity_of(both, LogHistogram.of([100.0] * 50).counts)
    assert found is not None
    assert (found.workers, found.at_once) == (2, 3)
    assert found.per_second == pytest.approx(30, rel=0.01)
    assert found.headroom(20) == pytest.approx(1.5, rel=0.01)
    assert found.headroom(0) is None
    assert found.utilisation(45) == pytest.approx(1.5, rel=0.01)
    assert found.drain_s(100, 20) == pytest.approx(10, rel=0.03)
    assert found.drain_s(100, 31) is None
    assert capacity_of([], {1: 1}) is None


@given(
    st.lists(st.integers(0, 7200).map(lambda s: NOW + timedelta(seconds=s)), max_size=60),
    st.data(),
)
def test_the_busiest_minute_is_the_same_in_any_split_and_sequence(
    sent: list[datetime], data: st.DataObject
) -> None:
    mixed, cut = data.draw(st.permutations(sent)), data.draw(st.integers(0, len(sent)))
    found = Arrivals().with_orders(mixed[:cut]).with_orders(mixed[cut:])
    assert found == Arrivals().with_orders(sent)
    counts = Counter(int(at.timestamp()) // 60 for at in sent)
    assert found.peak == max(counts.values(), default=0)


def test_minutes_are_bounded_and_the_peak_stays() -> None:
    found = Arrivals().with_orders([NOW] * 9)
    for minute in range(1, 1000):
        found = found.with_orders([NOW + timedelta(minutes=minute)])
    assert len(found.minutes) == 128
    assert (found.peak, found.peak_minute) == (9, int(NOW.timestamp()) // 60)
    assert found.with_orders([NOW]).peak == 9
