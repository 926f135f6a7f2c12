"""Many orders are written with few statements, and each keeps its own lines and message."""

from __future__ import annotations

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from restaurant.models import Order
from restaurant.orders import place_orders
from restaurant.pricing import OrderRequest, lines_from_menu
from restaurant.tests.making import a_launch

pytestmark = pytest.mark.django_db


def _requests(count: int) -> list[OrderRequest]:
    return [
        OrderRequest(lines_from_menu({"burger": number % 5 + 1, "fries": 1}), f"note {number}")
        for number in range(count)
    ]


def test_each_of_many_orders_keeps_its_lines_and_its_message() -> None:
    launch = a_launch()
    requests = _requests(250)
    placed = place_orders(requests)
    assert [order.pk for order in placed] == sorted(order.pk for order in placed)
    for order, request in zip(placed, requests, strict=True):
        stored = Order.objects.get(pk=order.pk)
        assert (stored.uuid, stored.note, stored.launch_id) == (order.uuid, request.note, launch.pk)
        assert stored.total_price == order.total_price
        assert [line.quantity for line in stored.lines.all()] == [
            line.quantity for line in request.lines
        ]
        body = msgspec.json.decode(bytes(stored.body))
        assert (body["id"], body["number"]) == (str(order.uuid), order.pk)


def test_one_order_and_fifty_take_as_many_statements() -> None:
    counts = []
    for count in (1, 50):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            place_orders(_requests(count))
        counts.append(len(queries))
    assert counts[0] == counts[1]
