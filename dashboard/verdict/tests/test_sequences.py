"""Confidence sequences: what they promise, and what their sums do."""

from __future__ import annotations

import itertools
import json
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.quantiles import quantile_ranks
from dashboard.verdict.sequences import NOTHING_KNOWN, UNKNOWN, Interval, RatioBlocks, bernoulli_cs

_SIZES = st.floats(0.5, 1e4)
_EFFECTS = st.floats(-1.4, 1.4)
_BLOCKS = st.lists(st.tuples(_SIZES, _EFFECTS), min_size=1, max_size=60)


def _ratio(blocks: list[tuple[float, float]]) -> RatioBlocks:
    sums = RatioBlocks()
    for x, effect in blocks:
        sums.add(x, x * effect)
    return sums


def _levels(values: list[float], x: float = 10.0) -> MultiLevelBlocks:
    blocks = MultiLevelBlocks()
    for value in values:
        blocks.add(x, x * value)
    return blocks


def test_without_blocks_nothing_is_known() -> None:
    assert RatioBlocks().interval(0.05) == NOTHING_KNOWN
    assert RatioBlocks().estimate is None
    assert MultiLevelBlocks().interval(0.05) == NOTHING_KNOWN


def test_an_empty_block_changes_nothing() -> None:
    sums = _ratio([(3, 0.1)])
    sums.add(0, 0)
    assert sums == _ratio([(3, 0.1)])


@settings(deadline=None)
@given(_BLOCKS)
def test_the_interval_is_around_the_estimate_and_wider_for_a_smaller_alpha(
    blocks: list[tuple[float, float]],
) -> None:
    sums = _ratio(blocks)
    wide, narrow = sums.interval(0.0125), sums.interval(0.05)
    assert wide.lo <= narrow.lo <= (sums.estimate or 0.0) <= narrow.hi <= wide.hi


@settings(deadline=None)
@given(_BLOCKS)
def test_what_is_inside_the_interval_is_not_excluded_and_its_ends_are_the_border(
    blocks: list[tuple[float, float]],
) -> None:
    sums = _ratio(blocks)
    for end in sums.interval(0.05):
        if abs(end) < UNKNOWN:
            assert sums.log_e(end) == pytest.approx(math.log(1 / 0.05), abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.tuples(_SIZES, _EFFECTS), min_size=1, max_size=13), st.floats(-3, 3))
def test_fewer_than_14_blocks_exclude_nothing_at_the_level_of_a_headline(
    blocks: list[tuple[float, float]], theta: float
) -> None:
    assert _ratio(blocks).log_e(theta) < math.log(1 / 0.0125)


@settings(deadline=None)
@given(_BLOCKS)
def test_swapping_the_versions_mirrors_the_interval(blocks: list[tuple[float, float]]) -> None:
    there = _ratio(blocks).interval(0.05)
    back = _ratio([(x, -effect) for x, effect in blocks]).interval(0.05)
    assert back == pytest.approx((-there.hi, -there.lo), abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=9))
def test_over_all_swaps_of_the_two_versions_the_evidence_has_mean_one_at_most(
    sizes: list[float],
) -> None:
    found = []
    for signs in itertools.product((-1, 1), repeat=len(sizes)):
        sums = RatioBlocks()
        for sign, size in zip(signs, sizes, strict=True):
            sums.add(1, sign * size)
        found.append(math.exp(sums.log_e(0)))
    assert sum(found) / len(found) <= 1 + 1e-9


@settings(deadline=None)
@given(_BLOCKS, _BLOCKS)
def test_merged_sums_are_those_of_all_blocks(
    first: list[tuple[float, float]], second: list[tuple[float, float]]
) -> None:
    merged = _ratio(first)
    merged.merge(_ratio(second))
    assert merged.sums() == pytest.approx(_ratio(first + second).sums())
    merged.merge(_ratio(second), sign=-1)
    assert merged.sums() == pytest.approx(_ratio(first).sums(), rel=1e-6, abs=1e-3)


def test_a_ratio_beyond_all_bounds_is_unknown_and_not_an_error() -> None:
    interval = _ratio([(1, 100.0)] * 30).interval(0.05)
    assert interval == (UNKNOWN, UNKNOWN)
    assert _ratio([(1, 0.0)] * 30).interval(0.05).hi < UNKNOWN


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=9), st.floats(0, 8))
def test_the_evidence_that_it_is_below_has_mean_one_at_most_wherever_it_is_not(
    sizes: list[float], more: float
) -> None:
    """At the threshold, and as much ``more`` beyond it as one likes."""
    found = []
    for signs in itertools.product((-1, 1), repeat=len(sizes)):
        sums = RatioBlocks()
        for sign, size in zip(signs, sizes, strict=True):
            sums.add(1, sign * size + more)
        found.append(math.exp(sums.log_e_below(0)))
    assert sum(found) / len(found) <= 1 + 1e-9


@settings(deadline=None)
@given(_BLOCKS)
def test_the_bound_is_the_border_of_what_is_surely_below(
    blocks: list[tuple[float, float]],
) -> None:
    sums = _ratio(blocks)
    bound = sums.bound(0.05)
    assert (sums.estimate or 0.0) <= bound <= UNKNOWN
    if bound < UNKNOWN:
        assert sums.log_e_below(bound) == pytest.approx(math.log(20), abs=1e-6)


@pytest.mark.parametrize("t", [-1000.0, -26.0, -24.9, -3.0, 0.0, 3.0, 30.0])
def test_one_sided_evidence_is_a_number_however_far_away(t: float) -> None:
    sums = RatioBlocks(k=100, x=1.0, y=-t * 10, xx=0.0, xy=0.0, yy=97.0)
    found = sums.log_e_below(0.0)
    assert math.isfinite(found)
    assert found == pytest.approx(math.log(0.5 * math.sqrt(3 / 100)) + t * t / 2, abs=1.5) or t < 2


def test_what_is_expected_of_time_to_come_is_what_is_then_found() -> None:
    sums = _ratio([(10.0, (-1) ** i * 0.05 - 0.01) for i in range(40)])
    later = _ratio([(10.0, (-1) ** i * 0.05 - 0.01) for i in range(120)])
    assert sums.log_e_below(0.01, 3) == pytest.approx(later.log_e_below(0.01))


def test_levels_beside_others_count_from_where_those_are_independent() -> None:
    rng = random.Random(2)
    steady = _levels([rng.gauss(0, 0.1) for _ in range(400)])
    spell = [rng.gauss(0, 0.1) for _ in range(50)]
    slow = _levels([spell[i // 8] for i in range(400)])
    together = replace(steady, beside=slow)
    assert (steady.flat_level, together.flat_level) == (0, slow.flat_level)
    assert together.bound(0.05) >= steady.bound(0.05)
    assert replace(steady, beside=_levels([0.0] * 5)).interval(0.05) == NOTHING_KNOWN
    assert MultiLevelBlocks.from_json(together.to_json()) == steady


def test_blocks_without_any_spread_give_a_finite_interval() -> None:
    interval = _levels([0.0] * 40).interval(0.0125)
    assert -0.2 < interval.lo < 0 < interval.hi < 0.2


def test_levels_gather_four_blocks_each_and_their_memory_grows_with_the_logarithm() -> None:
    blocks = _levels([0.1] * 1000)
    assert [level.blocks.k for level in blocks.levels] == [1000, 250, 62, 15, 3]
    assert [level.blocks.x for level in blocks.levels] == [10_000, 10_000, 9920, 9600, 7680]


def test_levels_may_be_bounded() -> None:
    blocks = MultiLevelBlocks(most_levels=2)
    for _ in range(100):
        blocks.add(1, 1)
    assert len(blocks.levels) == 2


def test_below_20_blocks_no_level_counts() -> None:
    assert _levels([0.0] * 19).interval(0.05) == NOTHING_KNOWN
    assert _levels([0.0] * 19).counting() == []
    assert _levels([0.0] * 20).interval(0.05) != NOTHING_KNOWN


def test_slow_spells_make_the_finest_level_count_no_longer_alone() -> None:
    rng = random.Random(1)
    steady = _levels([rng.gauss(0, 0.1) for _ in range(800)])
    spell = [rng.gauss(0, 0.1) for _ in range(100)]
    slow = _levels([spell[i // 8] for i in range(800)])
    assert steady.flat_level == 0
    assert slow.flat_level == 2
    assert slow.lag1 > 0.8
    finest = slow.levels[0].blocks.interval(0.05)
    shown = slow.interval(0.05)
    assert shown.hi - shown.lo > 1.5 * (finest.hi - finest.lo)


def test_orders_that_drift_together_all_along_leave_all_open() -> None:
    assert _levels([i / 100 for i in range(60)]).interval(0.05) == NOTHING_KNOWN


@settings(deadline=None)
@given(st.lists(_EFFECTS, min_size=20, max_size=120))
def test_the_shown_interval_holds_the_finest_one_so_that_the_promise_is_unchanged(
    values: list[float],
) -> None:
    blocks = _levels(values)
    shown, finest = blocks.interval(0.05), blocks.levels[0].blocks.interval(0.05)
    assert shown.lo <= finest.lo <= finest.hi <= shown.hi
    assert blocks.levels[0].blocks in blocks.counting() or not blocks.counting()


@settings(deadline=None)
@given(st.lists(_EFFECTS, max_size=90))
def test_levels_are_the_same_after_a_stay_in_the_database(values: list[float]) -> None:
    blocks = _levels(values, x=1 / 3)
    stored = MultiLevelBlocks.from_json(json.loads(json.dumps(blocks.to_json())))
    assert stored == blocks
    blocks.add(2, 1)
    stored.add(2, 1)
    assert stored == blocks


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 200))
def test_the_interval_of_a_share_holds_the_share(k: int, more: int) -> None:
    interval = bernoulli_cs(k, k + more, 0.0125)
    assert 0 <= interval.lo <= interval.hi <= 1
    if k + more:
        assert interval.has(k / (k + more))


def test_more_than_all_is_refused() -> None:
    with pytest.raises(ValueError, match="5 of 4"):
        bernoulli_cs(5, 4, 0.05)


@settings(deadline=None)
@given(st.integers(1, 3000), st.sampled_from([0.5, 0.95, 0.99]))
def test_the_ranks_of_a_quantile_are_around_it(n: int, share: float) -> None:
    lo, hi = quantile_ranks(n, share, 0.05)
    assert 0 <= lo <= round(n * share) <= hi <= n


def test_intervals_have_a_hull_and_can_be_cut() -> None:
    assert Interval(0, 2).hull(Interval(-1, 1)) == (-1, 2)
    assert Interval(-14, 14).within(-1, 1) == (-1, 1)
