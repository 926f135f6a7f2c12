"""The ticket: every state, every shape of answer, and how often the page asks again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from restaurant.models import Order, OrderState
from restaurant.tests.making import some_orders

pytestmark = [pytest.mark.database, pytest.mark.django_db, pytest.mark.sqlite]

HTMX = {"HX-Request": "true"}


def _ticket(client: Client, **changes: Any) -> tuple[Order, HttpResponse]:
    (order,) = some_orders(note="no onions")
    Order.objects.filter(pk=order.pk).update(**changes)
    return order, client.get(reverse("ticket", args=[order.uuid]))  # type: ignore[return-value]


def test_a_ticket_that_waits_asks_again_with_and_without_javascript(client: Client) -> None:
    order, page = _ticket(client)

    text = page.content.decode()
    assert f"<title>Order {order.pk} is placed" in text.replace("\n", "")
    assert f'hx-get="{reverse("ticket_state", args=[order.uuid])}?seen=placed"' in text
    assert "load delay:400ms" in text
    assert 'http-equiv="refresh"' in text


def test_a_ticket_that_waits_long_shows_it_and_polls_less_often(client: Client) -> None:
    _, page = _ticket(client, placed_at=timezone.now() - timedelta(seconds=90))

    text = page.content.decode()
    assert "longer than usual" in text
    assert "load delay:5000ms" in text


def test_a_ready_ticket_shows_the_answer_of_the_kitchen_and_asks_no_more(client: Client) -> None:
    answer = {
        "lines": [{"name": "burger", "quantity": 1, "station": "grill", "minutes": 5}],
        "note": "no onions",
        "total_price": "3.50",
        "estimated_minutes": 5,
        "actual_minutes": 6,
        "cook": "Esi",
    }
    _, page = _ticket(client, state=OrderState.READY, answer=answer, answered_at=timezone.now())

    text = page.content.decode()
    for shown in ("Ready", "grill", "5 min", "6 min", "Esi", "3.50", "no onions"):
        assert shown in text
    assert "hx-get" not in text
    assert "refresh" not in text


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [],
        "done",
        7,
        {"lines": "none"},
        {"lines": [None]},
        {"cook": {"name": "<b>Esi</b>"}},
    ],
    ids=str,
)
def test_an_answer_of_any_shape_is_shown(client: Client, answer: Any) -> None:
    _, page = _ticket(client, state=OrderState.READY, answer=answer, answered_at=timezone.now())

    assert page.status_code == 200
    assert "The kitchen gave no details." in page.content.decode()
    for json in ("<b>", "{", "[", "none", "done"):
        assert json not in page.content.decode().partition("The kitchen made")[2]


def test_a_failed_ticket_shows_the_kitchens_reason(client: Client) -> None:
    error = {"error": {"type": "OvenError", "message": "too hot"}}
    _, page = _ticket(client, state=OrderState.FAILED, answer=error, answered_at=timezone.now())

    text = page.content.decode()
    assert "The kitchen could not make this." in text
    assert "OvenError: too hot" in text
    assert "hx-get" not in text


def test_the_state_paints_only_what_changed(client: Client) -> None:
    order, _ = _ticket(client)
    url = reverse("ticket_state", args=[order.uuid])

    same = client.get(url, {"seen": "placed"}, headers=HTMX).content.decode()
    Order.objects.update(state=OrderState.IN_KITCHEN)
    changed = client.get(url, {"seen": "placed"}, headers=HTMX).content.decode()

    assert "ticket-poll" in same
    assert "hx-swap-oob" not in same
    assert "In the kitchen." in changed
    assert "seen=in_kitchen" in changed


def test_the_state_of_an_order_that_has_ended_stops_the_asking(client: Client) -> None:
    order, _ = _ticket(client, state=OrderState.READY, answer={"cook": "Esi"})

    text = client.get(reverse("ticket_state", args=[order.uuid]), headers=HTMX).content.decode()

    assert "Esi" in text
    assert "hx-get" not in text


@pytest.mark.parametrize("name", ["ticket", "ticket_state"])
def test_a_ticket_that_nobody_knows_is_not_found(client: Client, name: str) -> None:
    answer = client.get(reverse(name, args=[uuid4()]))

    assert answer.status_code == 404
    assert "Page not found." in answer.content.decode()
