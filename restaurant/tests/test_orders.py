"""Orders are placed whole, once, and exactly priced."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import RFC_4122

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from kitchen_worker.contract.messages import decode_order
from restaurant import launches
from restaurant.menu import MAX_QUANTITY, MENU
from restaurant.models import Order, OrderLine, OrderState, OutboxMessage, uuid7
from restaurant.orders import MAX_NOTE, check, place_order, place_orders
from restaurant.pricing import (
    OrderRefused,
    OrderRequest,
    PricedLine,
    Refusal,
    lines_from_menu,
    normalised_name,
    quote,
)
from restaurant.tests.making import a_launch

pytestmark = pytest.mark.django_db

LUNCH = {"burger": 2, "fries": 1}


def _line(**changes: Any) -> PricedLine:
    fields: dict[str, Any] = {
        "name": "ramen",
        "title": "Ramen",
        "quantity": 1,
        "unit_price": Decimal("9.50"),
        "preparation_time": 8,
    }
    return PricedLine(**{**fields, **changes})


@pytest.mark.parametrize(
    ("quantities", "codes"),
    [
        ({}, [Refusal.EMPTY]),
        ({"burger": 0}, [Refusal.EMPTY]),
        ({"pizza": 1}, [Refusal.UNKNOWN_ITEM]),
        ({"burger": -1}, [Refusal.WRONG_QUANTITY]),
        ({"burger": MAX_QUANTITY + 1}, [Refusal.TOO_MANY]),
        ({"pizza": 1, "soda": 51, "fries": 1}, [Refusal.UNKNOWN_ITEM, Refusal.TOO_MANY]),
    ],
)
def test_what_the_menu_cannot_give_is_refused_with_every_reason(
    quantities: dict[str, int], codes: list[Refusal]
) -> None:
    with pytest.raises(OrderRefused) as refused:
        lines_from_menu(quantities)
    assert [problem.code for problem in refused.value.problems] == codes


def test_as_many_as_the_menu_allows_can_be_ordered() -> None:
    [line] = lines_from_menu({"burger": MAX_QUANTITY, "fries": 0})
    assert (line.name, line.quantity) == ("burger", MAX_QUANTITY)


@pytest.mark.parametrize("given", ["Veggie burger", " VEGGIE-BURGER", "veggie  Burger"])
def test_an_item_is_found_by_what_people_call_it(given: str) -> None:
    assert normalised_name(given) == "veggie-burger"


def test_totals_are_exact_to_the_cent() -> None:
    lines = lines_from_menu({item.name: 3 for item in MENU})
    assert quote(lines).total_price == Decimal("78.45")
    assert quote(lines).total_prep_time == 93


def test_an_order_its_lines_and_its_message_stand_together() -> None:
    launch = a_launch()
    order = place_order(lines_from_menu(LUNCH), note="no onions")
    stored = Order.objects.get(uuid=order.uuid)
    assert (stored.total_price, stored.total_prep_time) == (Decimal("8.50"), 12)
    assert (stored.launch, stored.state, stored.note) == (launch, OrderState.PLACED, "no onions")
    lines = [(line.position, line.name, line.quantity) for line in stored.lines.all()]
    assert lines == [(0, "burger", 2), (1, "fries", 1)]
    message = decode_order(bytes(stored.body))
    assert (message.id, message.number) == (str(order.uuid), stored.pk)
    assert message.placed_at == stored.placed_at
    assert (message.total_price, message.total_prep_time) == (Decimal("8.50"), 12)
    assert [item.unit_price for item in message.items] == [Decimal("3.50"), Decimal("1.50")]
    assert stored.sample[0] == "vnext"
    assert stored.launch == launch
    assert stored.sent_at is None


def test_money_on_the_wire_always_has_cents() -> None:
    order = place_order([_line(unit_price=Decimal(9))])
    assert b'"unit_price":"9.00"' in bytes(order.body)
    assert b'"total_price":"9.00"' in bytes(order.body)


def test_without_a_launch_an_order_goes_to_the_control_alone() -> None:
    order = place_order(lines_from_menu(LUNCH))
    assert order.launch is None
    assert (order.launch, order.sample) == (None, [])


def test_an_order_that_fails_halfway_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[str]:
        raise RuntimeError("no sample")

    monkeypatch.setattr(launches, "sample", broken)
    with pytest.raises(RuntimeError, match="no sample"):
        place_order(lines_from_menu(LUNCH))
    assert (Order.objects.count(), OrderLine.objects.count(), OutboxMessage.objects.count()) == (
        0,
        0,
        0,
    )


@pytest.mark.parametrize("note", ["x" * (MAX_NOTE + 1), "nul \x00", "half \ud800"])
def test_a_note_that_cannot_be_kept_is_refused(note: str) -> None:
    with pytest.raises(OrderRefused) as refused:
        place_order(lines_from_menu(LUNCH), note=note)
    assert [problem.code for problem in refused.value.problems] == [Refusal.WRONG_NOTE]
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    "line",
    [
        _line(quantity=0),
        _line(quantity=10_001),
        _line(name=""),
        _line(name="x" * 101),
        _line(title="x" * 201),
        _line(title="nul \x00"),
        _line(unit_price=Decimal("0.005")),
        _line(unit_price=Decimal(-1)),
        _line(unit_price=Decimal("1e8")),
        _line(unit_price=Decimal("NaN")),
        _line(unit_price=Decimal("Infinity")),
        _line(preparation_time=-1),
        _line(preparation_time=100_001),
        _line(preparation_time=100_000, quantity=10_000, name="slow" * 20),
    ],
)
def test_a_line_out_of_range_is_refused_before_and_while_placing(line: PricedLine) -> None:
    lines = (line,) * 3
    with pytest.raises(OrderRefused):
        check(OrderRequest(lines))
    with pytest.raises(OrderRefused):
        place_order(lines)
    assert not Order.objects.exists()


def test_an_order_that_is_larger_than_a_message_is_refused() -> None:
    lines = (_line(title="x" * 150),) * 500
    for refusing in (lambda: check(OrderRequest(lines)), lambda: place_order(lines)):
        with pytest.raises(OrderRefused) as refused:
            refusing()
        assert refused.value.problems[0].code == Refusal.TOO_LARGE
    assert not Order.objects.exists()


def test_an_orders_id_is_rfc_9562s_version_7_and_sorts_by_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = count(1_800_000_000_123_456_789, 250)
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    made = [uuid7() for _ in range(10_000)]
    first = made[0]
    assert (first.version, first.variant) == (7, RFC_4122)
    assert first.int >> 80 == 1_800_000_000_123
    assert first.int >> 64 & 0xFFF == 456_789 * 4096 // 1_000_000
    assert made == sorted(made)
    assert [str(one) for one in made] == sorted(map(str, made)), "as SQLite sorts them"
    assert len({one.int & (1 << 62) - 1 for one in made}) == len(made), "the rest is random"


def test_the_site_gives_its_orders_such_ids() -> None:
    assert [
        order.uuid.version for order in place_orders([OrderRequest(lines_from_menu(LUNCH))] * 2)
    ] == [7, 7]


def test_many_orders_are_placed_in_one_transaction_with_a_fixed_number_of_statements() -> None:
    a_launch()
    lunch = OrderRequest(lines_from_menu({"burger": 1}))
    counts = []
    for many in (2, 60):
        with CaptureQueriesContext(connection) as queries:
            orders = place_orders([lunch] * many)
        counts.append(len(queries))
        assert len({order.uuid for order in orders}) == many
        assert [order.pk for order in orders] == sorted({order.pk for order in orders})
    # One more tells the relay on PostgreSQL.
    assert counts[0] == counts[1] <= 7 + (connection.vendor == "postgresql")
    assert OutboxMessage.objects.count() == OrderLine.objects.count() == 62


def test_of_many_orders_all_or_none_are_placed() -> None:
    good = OrderRequest(lines_from_menu(LUNCH))
    with pytest.raises(OrderRefused):
        place_orders([good, OrderRequest((_line(quantity=0),))])
    assert not Order.objects.exists()
