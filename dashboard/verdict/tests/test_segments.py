"""Segments, where one number misleads, and drift, where one number moves."""

from __future__ import annotations

import json
import random

import pytest

from dashboard.verdict.segments import MOST_SEGMENTS, Drift, Segments, segments_of, size_of


def _segments(effects: dict[str, float], *, blocks: int = 100, seed: int = 1) -> Segments:
    rng = random.Random(seed)
    segments = Segments()
    for _ in range(blocks):
        sums = {name: 10 * effect + rng.gauss(0, 0.3) for name, effect in effects.items()}
        segments.add(dict.fromkeys(effects, 10), sums)
    return segments


@pytest.mark.parametrize(
    ("pieces", "size"),
    [
        (1, "small"),
        (2, "small"),
        (3, "medium"),
        (5, "medium"),
        (10, "large"),
        (25, "very large"),
        (26, "huge"),
    ],
)
def test_an_order_has_the_size_of_its_pieces(pieces: int, size: str) -> None:
    assert size_of(pieces) == size


def test_an_order_is_in_the_segments_of_its_size_its_hour_and_each_of_its_categories() -> None:
    assert segments_of(("note:no", "item:soda", "item:burger"), 3, hour=9) == (
        "size:medium",
        "hour:09",
        "item:burger",
        "item:soda",
    )


def test_faster_on_small_orders_and_slower_on_large_ones_is_found() -> None:
    found = _segments({"size:small": -0.2, "size:large": 0.1}).misleading(0.02)
    assert [(one.faster.segment, one.slower.segment) for one in found] == [
        ("size:small", "size:large")
    ]
    assert found[0].opposite
    assert 0.2 < found[0].gap < 0.3


def test_the_opposite_contrast_comes_before_the_wider_one() -> None:
    effects = {"size:a": -0.1, "size:b": 0.1, "hour:01": 0.1, "hour:02": 0.9}
    found = _segments(effects).misleading(0.02)
    assert [one.slower.segment for one in found] == ["size:b", "hour:02"]


def test_segments_of_two_kinds_are_not_held_against_each_other() -> None:
    assert _segments({"size:small": -0.2, "hour:09": 0.1}).misleading(0.02) == []


def test_where_the_effect_is_the_same_nothing_is_found() -> None:
    effects = {f"item:{number}": -0.1 for number in range(30)}
    assert all(not _segments(effects, seed=seed).misleading(0.0) for seed in range(5))


def test_a_contrast_within_the_margin_is_not_worth_a_word() -> None:
    segments = _segments({"size:small": -0.1, "size:large": 0.1})
    assert segments.misleading(0.02)
    assert not segments.misleading(0.3)


def test_segments_are_bounded_and_sizes_and_hours_come_first() -> None:
    segments = Segments()
    names = [f"item:{number}" for number in range(200)] + ["size:small", "hour:09"]
    segments.add(dict.fromkeys(names, 1), {})
    assert len(segments.blocks) == MOST_SEGMENTS
    assert {"size:small", "hour:09"} <= set(segments.blocks)


def test_segments_are_the_same_after_a_stay_in_the_database() -> None:
    segments = _segments({"size:small": -0.2, "size:large": 0.1})
    assert Segments.from_json(json.loads(json.dumps(segments.to_json()))) == segments


def _drift(effects: list[float], seed: int = 1) -> Drift:
    rng = random.Random(seed)
    drift = Drift()
    for effect in effects:
        drift.add(10, 10 * effect + rng.gauss(0, 0.3))
    return drift


def test_an_effect_that_moves_is_found_and_said_with_both_sides() -> None:
    found = _drift([-0.3] * 128 + [0.0] * 100).drifting(0.05)
    assert found is not None
    assert found.blocks_before in (64, 128)
    assert found.before.hi < found.after.lo


def test_an_effect_that_stays_does_not_drift() -> None:
    assert all(_drift([-0.3] * 500, seed).drifting(0.05) is None for seed in range(20))


def test_few_blocks_do_not_drift() -> None:
    assert _drift([-1.0] * 15 + [1.0] * 2).drifting(0.05) is None


def test_drift_is_the_same_after_a_stay_in_the_database() -> None:
    drift = _drift([0.1] * 70)
    assert len(drift.marks) == 2
    assert Drift.from_json(json.loads(json.dumps(drift.to_json()))) == drift
