"""Time lost or gained, the worst orders, and the slowest tenth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.verdict.hindsight import WORST, Hindsight, TimedPair, slowest_tenth_ms
from dashboard.verdict.quantiles import LogHistogram

_ms = st.floats(0, 60_000, allow_nan=False)
_pairs = st.lists(st.tuples(_ms, _ms), max_size=30).map(
    lambda times: [TimedPair(str(n), *both) for n, both in enumerate(times)]
)


@given(_pairs, st.data())
def test_any_split_and_permutation_gives_the_same(
    pairs: list[TimedPair], data: st.DataObject
) -> None:
    whole = Hindsight().with_pairs(pairs)
    split, mixed = Hindsight(), data.draw(st.permutations(pairs))
    cut = data.draw(st.integers(0, len(pairs)))
    for part in (mixed[:cut], mixed[cut:]):
        split = split.with_pairs(part)
    assert split == whole
    assert len(whole.worst) <= WORST
    assert whole.lost_s == pytest.approx(
        sum(one.version_ms - one.control_ms for one in pairs) / 1000, abs=0.001
    )


def test_only_slower_orders_are_among_the_worst_and_the_worst_comes_first() -> None:
    pairs = [TimedPair(str(n), 100.0, 100.0 + n) for n in range(-3, 8)]
    found = Hindsight().with_pairs(pairs)
    assert found.worst == ((7000, "7"), (6000, "6"), (5000, "5"), (4000, "4"), (3000, "3"))


@pytest.mark.parametrize(
    ("times", "mean"),
    [([], None), ([50.0], 50.0), ([*range(1, 11)], 10.0), ([1.0] * 90 + [100.0] * 10, 100.0),
     ([1.0] * 95 + [100.0] * 5, 50.5)],
)  # fmt: skip
def test_the_mean_of_the_slowest_tenth(times: list[float], mean: float | None) -> None:
    found = slowest_tenth_ms(LogHistogram.of(times).counts)
    assert found == (None if mean is None else pytest.approx(mean, rel=0.011))
