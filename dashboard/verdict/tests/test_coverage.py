"""Which shapes of order a candidate has seen."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.verdict.classes import MOST_IDS
from dashboard.verdict.coverage import (
    MOST_SHAPES,
    MOST_SIGNATURES,
    Coverage,
    shapes_of,
    shapes_of_menu,
)


def test_the_shapes_of_an_order_are_its_size_its_note_its_items_and_any_two_of_them() -> None:
    assert set(shapes_of(("note:yes", "item:soda", "item:burger"), 3)) == {
        "size:medium",
        "note:yes",
        "item:burger",
        "item:soda",
        "both:burger+soda",
    }


def test_of_an_order_with_very_many_items_not_all_twos_are_looked_at() -> None:
    shapes = shapes_of(tuple(f"item:{number:02}" for number in range(30)), 30)
    assert sum(shape.startswith("item:") for shape in shapes) == 30
    assert sum(shape.startswith("both:") for shape in shapes) == 28


def test_what_the_menu_allows_and_nobody_ordered_is_named() -> None:
    coverage = Coverage()
    coverage.add(shapes_of(("note:no", "item:burger", "item:soda"), 2))
    unseen = coverage.unseen(shapes_of_menu(["burger", "fries", "soda"]))
    assert unseen == [
        "both:burger+fries",
        "both:fries+soda",
        "item:fries",
        "note:yes",
        "size:huge",
        "size:large",
        "size:medium",
        "size:very large",
    ]


def test_agreement_has_a_bound_that_shrinks_with_orders_and_the_worst_comes_first() -> None:
    coverage = Coverage()
    for number in range(200):
        coverage.add(["item:soda"])
        coverage.add(["item:burger"], [] if number % 10 else [7])
    coverage.add(["item:fries"])
    burger, fries, soda = coverage.agreements()
    assert (burger.shape, burger.seen, burger.agreed) == ("item:burger", 200, 180)
    assert 0.1 < burger.at_most < 0.3
    assert soda.at_most < 0.1
    assert fries.at_most > 0.9
    assert [one.shape for one in coverage.agreements(most=1)] == ["item:burger"]


def test_noise_is_counted_apart_and_what_is_not_told_apart_beside_it() -> None:
    coverage = Coverage()
    for shown in ([], [1], [1, 2], [2], range(1, MOST_IDS + 2)):
        coverage.add(["item:soda"], shown)
    (found,) = coverage.agreements(noise=[1])
    assert (found.seen, found.agreed, found.noise, found.unclear) == (5, 2, 1, 1)
    (reviewed,) = coverage.agreements([2], [1])
    assert (reviewed.agreed, reviewed.noise, reviewed.unclear) == (4, 2, 1)


def test_shapes_are_asked_for_by_name_and_by_whether_the_versions_differ() -> None:
    coverage = Coverage()
    for name in "abc":
        coverage.add([name], [7] if name == "b" else [])
    found = [
        [one.shape for one in coverage.agreements(**asked)]
        for asked in (
            {"differing": True},
            {"differing": False},
            {"shapes": ["c", "unseen"]},
            {"shapes": ["c", "b"], "differing": True},
            {"differing": True, "noise": [7]},
        )
    ]
    assert found == [["b"], ["a", "c"], ["c"], ["b"], []]


def test_a_review_counts_at_once_for_all_that_was_seen_and_can_be_taken_back() -> None:
    coverage = Coverage()
    for shown in ([], [1], [1, 2], [2]):
        coverage.add(["item:soda"], shown)
    agreed = {
        accepted: coverage.agreements(accepted)[0].agreed for accepted in ((), (1,), (2,), (1, 2))
    }
    assert agreed == {(): 1, (1,): 2, (2,): 2, (1, 2): 4}


def test_what_shows_too_much_or_too_many_kinds_of_it_is_never_accepted() -> None:
    coverage = Coverage()
    coverage.add(["item:soda"], range(1, MOST_IDS + 2))
    for discrepancy in range(1, MOST_SIGNATURES + 4):
        coverage.add(["item:burger"], [discrepancy])
    soda, burger = sorted(coverage.agreements(range(1, 100)), key=lambda one: one.seen)
    assert (soda.shape, soda.seen, soda.agreed) == ("item:soda", 1, 0)
    assert (burger.shape, burger.seen, burger.agreed) == ("item:burger", 15, MOST_SIGNATURES)


_SHOWN = st.frozensets(st.integers(1, 8))
_ORDERS = st.lists(st.tuples(st.lists(st.sampled_from("abcdef"), unique=True), _SHOWN))


@settings(deadline=None)
@given(_ORDERS, _ORDERS, st.randoms())
def test_merged_coverage_is_that_of_all_orders_in_any_order(
    first: list[tuple[list[str], frozenset[int]]],
    second: list[tuple[list[str], frozenset[int]]],
    chance: random.Random,
) -> None:
    parts = _coverage(first), _coverage(second)
    shuffled = first + second
    chance.shuffle(shuffled)
    whole = _coverage(shuffled)
    parts[1].merge(parts[0])
    assert parts[1] == whole
    assert Coverage.from_json(json.loads(json.dumps(whole.to_json()))) == whole


def _coverage(orders: list[tuple[list[str], frozenset[int]]]) -> Coverage:
    coverage = Coverage()
    for shapes, shown in orders:
        coverage.add(shapes, shown)
    return coverage


def test_coverage_is_bounded_and_says_so_and_keeps_the_same_shapes_in_any_order() -> None:
    shapes = [f"item:{number}" for number in range(MOST_SHAPES + 50)]
    forwards, backwards = Coverage(), Coverage()
    for there, back in zip(shapes, reversed(shapes), strict=True):
        forwards.add([there], [1])
        backwards.add([back], [1])
    assert len(forwards.seen) == len(forwards.shown) == MOST_SHAPES
    assert forwards.full
    assert forwards == backwards


def test_signatures_are_bounded_and_the_same_are_kept_in_any_order() -> None:
    signatures = [frozenset({a, b}) for a in range(1, 9) for b in range(1, 9)]
    forwards = _coverage([(["item:soda"], one) for one in signatures])
    backwards = _coverage([(["item:soda"], one) for one in reversed(signatures)])
    assert len(forwards.shown["item:soda"]) == MOST_SIGNATURES + 1
    assert sum(forwards.shown["item:soda"].values()) == forwards.seen["item:soda"] == 64
    assert forwards == backwards
