"""The order page and the pages around it, as a browser with and without JavaScript meets them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from restaurant import pages
from restaurant.menu import MENU
from restaurant.models import Order, OutboxMessage

pytestmark = [pytest.mark.database, pytest.mark.django_db, pytest.mark.sqlite]

HTMX = {"HX-Request": "true"}


def _key(page: Any) -> str:
    found = re.search(r'name="idempotency_key" value="([^"]+)"', page.content.decode())
    assert found
    return found[1]


def _problem(answer: Any, field: str) -> str:
    found = re.search(rf'id="problem-{field}"[^>]*>([^<]*)<', answer.content.decode())
    assert found
    return found[1]


def _total(answer: Any) -> str:
    found = re.search(r"Total </span>([^<]*)<", answer.content.decode())
    assert found
    return found[1]


def test_the_menu_shows_every_item_with_price_minutes_and_picture(client: Client) -> None:
    text = client.get("/").content.decode()

    for item in MENU:
        assert item.title in text
        assert str(item.price) in text
        assert f"{item.preparation_time} min" in text
        assert f"img/menu/{item.name}.svg#art" in text


def test_the_order_page_needs_no_database(
    client: Client, django_assert_num_queries: Callable[..., Any]
) -> None:
    with django_assert_num_queries(0):
        answer = client.get("/")

    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


def test_every_page_has_a_key_of_its_own(client: Client) -> None:
    assert _key(client.get("/")) != _key(client.get("/"))


def test_an_order_leads_to_its_ticket(client: Client) -> None:
    form = {
        "quantity-burger": "2",
        "quantity-fries": "1",
        "note": "no onions",
        "idempotency_key": "k",
    }

    answer = client.post("/", form)

    order = Order.objects.get()
    assert answer.status_code == 303
    assert answer["Location"] == reverse("ticket", args=[order.uuid])
    assert [(line.name, line.quantity) for line in order.lines.all()] == [
        ("burger", 2),
        ("fries", 1),
    ]
    assert order.note == "no onions"
    assert OutboxMessage.objects.filter(order=order).exists()


def test_htmx_is_sent_to_the_ticket_by_its_own_header(client: Client) -> None:
    answer = client.post("/", {"quantity-soda": "1"}, headers=HTMX)

    assert answer.status_code == 200
    assert answer["HX-Redirect"] == reverse("ticket", args=[Order.objects.get().uuid])


def test_the_same_page_sent_twice_orders_once(client: Client) -> None:
    form = {"quantity-burger": "1", "idempotency_key": _key(client.get("/"))}

    first, second = client.post("/", form), client.post("/", form, headers=HTMX)

    assert second["HX-Redirect"] == first["Location"]
    assert Order.objects.count() == 1


def test_a_page_that_placed_another_order_shows_that_and_gets_a_new_key(client: Client) -> None:
    client.post("/", {"quantity-burger": "1", "idempotency_key": "used"})

    answer = client.post("/", {"quantity-burger": "2", "idempotency_key": "used"})

    assert answer.status_code == 422
    assert "already placed a different order" in _problem(answer, "order")
    again = client.post("/", {"quantity-burger": "2", "idempotency_key": _key(answer)})
    assert again.status_code == 303
    assert Order.objects.count() == 2


def test_an_empty_order_is_refused_with_its_reason(client: Client) -> None:
    answer = client.post("/", {"idempotency_key": "k"}, headers=HTMX)

    assert answer.status_code == 422
    assert "at least one item" in _problem(answer, "order")
    assert _key(answer) == "k"
    assert "<html" not in answer.content.decode()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("51", "at most 50"),
        ("-1", "the quantity must be 0 or more"),
        ("many", "from 0 to 50"),
        ("9" * 5000, "0 to 50"),
    ],
)
def test_a_wrong_quantity_is_shown_at_its_item_and_everything_is_kept(
    client: Client, given: str, said: str
) -> None:
    answer = client.post("/", {"quantity-burger": given, "quantity-soda": "3", "note": "hello"})

    text = answer.content.decode()
    assert answer.status_code == 422
    assert said in _problem(answer, "burger")
    assert _problem(answer, "order") == ""
    assert f'value="{given}"' in text
    assert 'value="3"' in text
    assert ">hello</textarea>" in text
    assert _total(answer) == "—"
    assert not Order.objects.exists()


def test_a_too_long_note_is_reported_at_the_note(client: Client) -> None:
    answer = client.post("/", {"quantity-burger": "1", "note": "x" * 501})

    assert answer.status_code == 422
    assert "At most 500 characters; this has 501." in _problem(answer, "note")


def test_a_note_of_500_characters_in_lines_is_taken(client: Client) -> None:
    answer = client.post("/", {"quantity-burger": "1", "note": "x\r\n" * 249 + "xx"})

    assert answer.status_code == 303
    assert len(Order.objects.get().note) == 500


def test_a_note_cannot_become_markup(client: Client) -> None:
    client.post("/", {"quantity-burger": "1", "note": "<script>alert(1)</script>"})

    text = client.get(reverse("ticket", args=[Order.objects.get().uuid])).content.decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_an_order_is_kept_in_the_form_while_the_database_is_away(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> Order:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(pages, "place_order", away)
    form = {"quantity-burger": "2", "note": "hello", "idempotency_key": "k"}

    answer = client.post("/", form, headers=HTMX)

    assert answer.status_code == 503
    assert "still here" in _problem(answer, "order")
    assert _key(answer) == "k"
    assert _total(answer) == "7.00"


def test_the_quote_adds_up_price_and_minutes(client: Client) -> None:
    form = {"quantity-burger": "2", "quantity-fries": "1", "note": "x" * 501}

    answer = client.post("/quote/", form, headers=HTMX)

    assert answer.status_code == 200
    assert _total(answer) == "8.50"
    assert "about 12 min" in answer.content.decode()


def test_the_quote_of_nothing_is_no_error(client: Client) -> None:
    answer = client.post("/quote/", {"quantity-burger": ""}, headers=HTMX)

    assert _total(answer) == "0.00"
    assert _problem(answer, "order") == ""


def test_the_quote_shows_problems_at_their_item(client: Client) -> None:
    answer = client.post("/quote/", {"quantity-burger": "51", "quantity-soda": "1"}, headers=HTMX)

    assert "at most 50" in _problem(answer, "burger")
    assert _problem(answer, "soda") == ""
    assert _total(answer) == "—"


def test_without_javascript_the_quote_is_the_whole_page_with_all_that_was_typed(
    client: Client,
) -> None:
    answer = client.post(
        "/quote/", {"quantity-burger": "2", "note": "hello", "idempotency_key": "k"}
    )

    text = answer.content.decode()
    assert text.startswith("<!doctype html>")
    assert _total(answer) == "7.00"
    assert ">hello</textarea>" in text
    assert _key(answer) == "k"


def test_a_link_can_fill_the_form(client: Client) -> None:
    answer = client.get("/?quantity-burger=2")

    assert _total(answer) == "7.00"
    assert not Order.objects.exists()


def test_a_form_from_elsewhere_is_refused_with_a_page_that_explains() -> None:
    answer = Client(enforce_csrf_checks=True).post("/", {"quantity-burger": "1"})

    assert answer.status_code == 403
    assert "The form was too old" in answer.content.decode()


def test_the_login_names_what_is_wrong(client: Client) -> None:
    User.objects.create_user("ana", password="right")

    refused = client.post("/login/", {"username": "ana", "password": "wrong"})
    let_in = client.post("/login/", {"username": "ana", "password": "right", "next": "/"})

    assert "correct username and password" in refused.content.decode()
    assert 'value="ana"' in refused.content.decode()
    assert let_in["Location"] == "/"


def test_a_fault_of_ours_has_a_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Order:
        raise RuntimeError("boom")

    monkeypatch.setattr(pages, "place_order", broken)
    client.raise_request_exception = False

    answer = client.post("/", {"quantity-burger": "1"})

    assert answer.status_code == 500
    assert "Something went wrong on our side." in answer.content.decode()


@pytest.mark.parametrize("url", ["/", "/login/", "/nowhere/", "/?quantity-burger=51"])
def test_no_page_has_anything_inline_that_the_policy_would_block(client: Client, url: str) -> None:
    text = client.get(url).content.decode()

    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


@pytest.mark.parametrize(("url", "status"), [("/", 200), ("/nowhere/", 404), ("/dashboard", 301)])
def test_every_answer_has_the_policy_that_of_a_middleware_too(
    client: Client, url: str, status: int
) -> None:
    answer = client.get(url)

    assert answer.status_code == status
    assert "default-src 'self'" in answer["Content-Security-Policy"]
