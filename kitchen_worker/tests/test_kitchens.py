"""The shipped kitchens' results, and where they differ: by design, by chance, by fault."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitchen_worker.amqp.tests.making import an_item, an_order
from kitchen_worker.contract.messages import PlacedOrder
from kitchen_worker.kitchens import vlatest, vnext
from kitchen_worker.kitchens.shipped import cook_of, shipped_name
from kitchen_worker.kitchens.stations import Station, station_of
from kitchen_worker.kitchens.vnext import Fault, TooManyPortions

MENDED = frozenset(Fault)
#: What differs by design, and by chance.
EXPECTED = {"actual_minutes", "cook"}

BURGER = an_item("burger")
FRIES = an_item("fries", preparation_time=2, unit_price=Decimal("1.50"))
SODA = an_item("soda", preparation_time=1, unit_price=Decimal("1.50"))

menu = st.sampled_from(
    [
        ("burger", 5, "3.50"),
        ("cheeseburger", 6, "4.35"),
        ("onion-rings", 3, "2.35"),
        ("lemonade", 1, "1.95"),
        ("brownie", 2, "1.90"),
        ("mystery of the house", 9, "0.07"),
    ]
)
lines = st.builds(
    lambda dish, quantity: an_item(
        dish[0], quantity, preparation_time=dish[1], unit_price=Decimal(dish[2])
    ),
    menu,
    st.integers(1, 60),
)
orders = st.lists(lines, min_size=1, max_size=9).map(lambda drawn: an_order(*drawn))


def _rng() -> random.Random:
    return random.Random(7)


def _differing(order: PlacedOrder, mend: frozenset[Fault] = frozenset()) -> set[str]:
    today, tomorrow = vlatest.cook(order, _rng()), vnext.cook(order, _rng(), mend)
    assert today.keys() == tomorrow.keys()
    return {name for name in today if today[name] != tomorrow[name]}


def test_vlatest_makes_one_line_after_another() -> None:
    result = vlatest.cook(an_order(BURGER, FRIES, SODA), _rng())
    assert result["estimated_minutes"] == 8
    assert result["actual_minutes"] == round(8 * 10 / 9) == 9
    assert result["total_price"] == "6.50"
    assert result["note"] == "no onions"
    assert result["cook"] in vlatest.COOKS
    assert result["lines"][1] == {
        "name": "fries",
        "quantity": 1,
        "station": "fryer",
        "minutes": 2,
    }


def test_vnext_works_its_stations_side_by_side() -> None:
    result = vnext.cook(an_order(BURGER, FRIES, SODA, an_item("veggie-burger")), _rng())
    assert result["estimated_minutes"] == 13
    assert result["actual_minutes"] == 10


def test_vnext_is_about_a_third_faster_on_typical_orders() -> None:
    chance = random.Random(1)
    dishes = [
        *(an_item(name, preparation_time=5) for name in ("burger", "veggie-burger", "steak")),
        *(an_item(name, preparation_time=2) for name in ("fries", "onion-rings", "brownie")),
        *(an_item(name, preparation_time=1) for name in ("soda", "lemonade")),
    ]
    typical = [an_order(*chance.sample(dishes, chance.randint(1, 4))) for _ in range(500)]
    today = sum(vlatest.cook(order, chance)["actual_minutes"] for order in typical)
    tomorrow = sum(vnext.cook(order, chance)["actual_minutes"] for order in typical)
    assert 0.58 < tomorrow / today < 0.75


@given(orders)
def test_with_every_fault_mended_only_minutes_and_cooks_differ(order: PlacedOrder) -> None:
    assert _differing(order, MENDED) <= EXPECTED


@given(orders)
def test_every_result_is_a_json_object_that_keeps_its_meaning(order: PlacedOrder) -> None:
    for cook in (vlatest.cook, lambda order, rng: vnext.cook(order, rng, MENDED)):
        result: dict[str, Any] = cook(order, _rng())
        assert json.loads(json.dumps(result)) == result
        assert Decimal(result["total_price"]) == order.total_price


def test_floats_lose_a_cent_of_some_totals_and_only_then() -> None:
    off, exact = an_order(an_item(unit_price=Decimal("4.35"))), an_order(FRIES)
    assert vnext.cook(off, _rng())["total_price"] == "4.34"
    assert "total_price" in _differing(off)
    assert "total_price" not in _differing(exact)
    assert "total_price" not in _differing(off, frozenset({Fault.FLOAT_PRICES}))


def test_the_note_is_lost_on_orders_of_five_lines_and_more() -> None:
    five, four = an_order(*[SODA] * 5), an_order(*[SODA] * 4)
    assert vnext.cook(five, _rng())["note"] == ""
    assert vnext.cook(four, _rng())["note"] == "no onions"
    assert vnext.cook(five, _rng(), frozenset({Fault.LOST_NOTE}))["note"] == "no onions"


def test_more_than_twenty_of_one_thing_is_an_error_also_over_several_lines() -> None:
    for order in (an_order(an_item("fries", 21)), an_order(*[an_item("fries", 7)] * 3)):
        with pytest.raises(TooManyPortions, match="21 of 'fries'"):
            vnext.cook(order, _rng())
        assert vnext.cook(order, _rng(), frozenset({Fault.TOO_MANY}))["lines"]
    assert vnext.cook(an_order(an_item("fries", 20)), _rng())["lines"]


def test_vnext_is_slower_than_vlatest_on_very_large_orders() -> None:
    large = an_order(an_item("burger", 16), an_item("soda", 15, preparation_time=1))
    medium = an_order(an_item("burger", 15), an_item("soda", 15, preparation_time=1))
    faster = vlatest.cook(large, _rng())["actual_minutes"]
    assert vnext.cook(large, _rng())["actual_minutes"] > faster
    assert vnext.cook(large, _rng(), frozenset({Fault.CROWDED}))["actual_minutes"] < faster
    assert (
        vnext.cook(medium, _rng())["actual_minutes"]
        < vlatest.cook(medium, _rng())["actual_minutes"]
    )


@pytest.mark.parametrize(
    ("name", "station"),
    [
        ("cheeseburger", Station.GRILL),
        ("Onion Rings", Station.FRYER),
        ("milkshake", Station.DRINKS),
        ("brownie", Station.DESSERTS),
        ("green_tea", Station.DRINKS),
        ("steak", Station.GRILL),
        ("鍋", Station.GRILL),
    ],
)
def test_the_station_is_derived_from_the_name_and_is_the_grill_by_default(
    name: str, station: Station
) -> None:
    assert station_of(name) is station


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("vlatest", "vlatest"),
        ("vlatest-b", "vlatest"),
        ("vnext-2", "vnext"),
        ("vnextish", None),
        ("vother", None),
    ],
)
def test_a_version_cooks_as_the_kitchen_that_it_is_named_after(
    version: str, name: str | None
) -> None:
    assert shipped_name(version) == name
    assert (cook_of(version) is None) == (name is None)
