"""Which shapes of order a candidate has seen."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.domain.verdict.coverage import MOST_SHAPES, Coverage, shapes_of, shapes_of_menu


def test_the_shapes_of_an_order_are_its_size_its_note_its_items_and_any_two_of_them() -> None:
    assert set(shapes_of({"soda": 1, "burger": 2}, note=True)) == {
        "size:medium",
        "note:yes",
        "item:burger",
        "item:soda",
        "both:burger+soda",
    }


def test_of_an_order_with_very_many_items_not_all_twos_are_looked_at() -> None:
    items = {f"item {number:02}": 1 for number in range(30)}
    shapes = shapes_of(items, note=False)
    assert sum(shape.startswith("item:") for shape in shapes) == 30
    assert sum(shape.startswith("both:") for shape in shapes) == 28


def test_what_the_menu_allows_and_nobody_ordered_is_named() -> None:
    coverage = Coverage()
    coverage.add(shapes_of({"burger": 1, "soda": 1}, note=False), agreed=True)
    unseen = coverage.unseen(shapes_of_menu(["burger", "fries", "soda"]))
    assert unseen == [
        "both:burger+fries",
        "both:fries+soda",
        "item:fries",
        "note:yes",
        "size:huge",
        "size:large",
        "size:medium",
    ]


def test_agreement_has_a_bound_that_shrinks_with_orders_and_the_worst_comes_first() -> None:
    coverage = Coverage()
    for number in range(200):
        coverage.add(["item:soda"], agreed=True)
        coverage.add(["item:burger"], agreed=number % 10 > 0)
    coverage.add(["item:fries"], agreed=True)
    burger, soda, fries = coverage.agreements()
    assert (burger.shape, burger.seen, burger.agreed) == ("item:burger", 200, 180)
    assert 0.1 < burger.at_most < 0.3
    assert soda.at_most < 0.1
    assert fries.at_most > 0.9
    assert [one.shape for one in coverage.agreements(most=1)] == ["item:burger"]


def test_a_review_makes_an_order_agree_after_all() -> None:
    coverage = Coverage()
    coverage.add(["item:soda"], agreed=False)
    coverage.review(["item:soda", "item:never seen"], agrees=True)
    assert coverage.agreements()[0].agreed == 1
    assert coverage.unseen(["item:never seen"]) == ["item:never seen"]


_ORDERS = st.lists(st.tuples(st.lists(st.sampled_from("abcdef"), unique=True), st.booleans()))


@settings(deadline=None)
@given(_ORDERS, _ORDERS)
def test_merged_coverage_is_that_of_all_orders(
    first: list[tuple[list[str], bool]], second: list[tuple[list[str], bool]]
) -> None:
    parts = Coverage(), Coverage()
    whole = Coverage()
    for part, launch in zip(parts, (first, second), strict=True):
        for shapes, agreed in launch:
            part.add(shapes, agreed=agreed)
            whole.add(shapes, agreed=agreed)
    parts[1].merge(parts[0])
    assert parts[1] == whole
    assert Coverage.from_json(json.loads(json.dumps(whole.to_json()))) == whole


def test_coverage_is_bounded_and_says_so_and_keeps_the_same_shapes_in_any_order() -> None:
    shapes = [f"item:{number}" for number in range(MOST_SHAPES + 50)]
    forwards, backwards = Coverage(), Coverage()
    for there, back in zip(shapes, reversed(shapes), strict=True):
        forwards.add([there], agreed=True)
        backwards.add([back], agreed=True)
    assert len(forwards.seen) == MOST_SHAPES
    assert forwards.full
    assert forwards == backwards
