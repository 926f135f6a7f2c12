"""The original restaurant's clients still work, and all other requests are answered in JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from restaurant import api
from restaurant.api import MAX_BODY
from restaurant.environment import Door
from restaurant.menu import BY_NAME, MENU
from restaurant.models import Order
from restaurant.orders import MAX_NOTE

pytestmark = pytest.mark.django_db


def _post(body: Any, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = Client(enforce_csrf_checks=True, headers=headers)
    return client.post("/orders", raw, content_type="application/json")


def _errors(response: Any) -> list[tuple[str, str]]:
    errors = response.json()["errors"]
    assert errors
    for error in errors:
        assert set(error) == {"code", "field", "message"}
        assert error["message"]
    return [(error["code"], error["field"]) for error in errors]


def test_the_original_client_gets_its_order() -> None:
    response = _post({"MenuItems": ["burger", "fries"]})
    assert response.status_code == 200
    answer = response.json()
    order = Order.objects.get()
    assert answer == {
        "id": str(order.uuid),
        "items": [
            {
                "id": str(BY_NAME["burger"].id),
                "name": "Burger",
                "preparationTime": 5,
                "price": 3.5,
            },
            {"id": str(BY_NAME["fries"].id), "name": "Fries", "preparationTime": 2, "price": 1.5},
        ],
        "totalPrice": 5.0,
        "totalPrepTime": 7,
        "number": order.pk,
        "ticket": f"/ticket/{order.uuid}/",
    }


@pytest.mark.parametrize("name", ["menuItems", "MenuItems", "menuitems", "MENUITEMS"])
@pytest.mark.parametrize("item", ["burger", "Burger", "BURGER"])
def test_names_are_taken_in_any_case(name: str, item: str) -> None:
    assert _post({name: [item]}).json()["items"][0]["name"] == "Burger"


def test_every_portion_is_an_item_and_money_is_exact() -> None:
    names = [item.title for item in MENU] * 7
    answer = _post({"menuItems": names, "Note": "no onions"}).json()
    assert len(answer["items"]) == 70
    assert Decimal(str(answer["totalPrice"])) == sum(item.price for item in MENU) * 7
    assert sorted({item["id"] for item in answer["items"]}) == sorted(str(i.id) for i in MENU)
    assert Order.objects.get().note == "no onions"
    assert Order.objects.get().lines.count() == len(MENU)


def test_the_menu_is_listed_and_whatever_it_lists_can_be_ordered() -> None:
    listed = Client().get("/orders/items").json()
    assert listed[0] == {"name": "Burger", "preparationTime": 5, "price": 3.5}
    assert len(listed) == len(MENU)
    assert _post({"menuItems": [item["name"] for item in listed]}).status_code == 200


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (b"", [("not_json", "")]),
        (b"{", [("not_json", "")]),
        (b'{"menuItems": [NaN]}', [("not_json", "")]),
        (b"\xff\xfe", [("not_utf8", "")]),
        ('{"menuItems": ["burger"]}'.encode("utf-16"), [("not_utf8", "")]),
        (b"[" * 60_000, [("not_json", "")]),
        (b'{"a":' * 10_000, [("not_json", "")]),
        (b"9" * 60_000, [("not_json", "")]),
        ([], [("wrong_type", "")]),
        (None, [("wrong_type", "")]),
        ({}, [("missing_property", "menuItems")]),
        ({"menuItems": None}, [("wrong_type", "menuItems")]),
        ({"menuItems": "burger"}, [("wrong_type", "menuItems")]),
        ({"menuItems": {"burger": 1}}, [("wrong_type", "menuItems")]),
        ({"menuItems": ["burger", 1]}, [("wrong_type", "menuItems[1]")]),
        ({"menuItems": ["burger"], "note": 1}, [("wrong_type", "note")]),
        ({"menuItems": ["burger"], "MENUITEMS": []}, [("duplicate_property", "menuItems")]),
        ({"menuItems": ["burger"], "note": "", "NOTE": ""}, [("duplicate_property", "note")]),
        (b'{"menuItems": ["soda"], "menuItems": []}', [("duplicate_property", "menuItems")]),
        ({"menuItems": []}, [("empty_order", "menuItems")]),
        ({"menuItems": ["burger", "pizza"]}, [("unknown_item", "menuItems")]),
        ({"menuItems": ["\ud800"]}, [("unknown_item", "menuItems")]),
        ({"menuItems": ["burger"] * 51}, [("too_many", "menuItems")]),
        ({"menuItems": ["burger"], "note": "x" * (MAX_NOTE + 1)}, [("wrong_note", "note")]),
        ({"menuItems": ["burger"], "note": "\x00"}, [("wrong_note", "note")]),
        ({"menuItems": ["burger"], "note": "\ud800"}, [("wrong_note", "note")]),
    ],
)
def test_a_wrong_order_is_refused_with_what_is_wrong(
    body: Any, errors: list[tuple[str, str]]
) -> None:
    response = _post(body)
    assert response.status_code == 400
    assert _errors(response) == errors
    assert not Order.objects.exists()


def test_a_body_that_is_too_long_is_refused_as_the_server_does() -> None:
    response = _post(b'{"menuItems": ["%s"]}' % (b"x" * MAX_BODY))
    assert response.status_code == 413
    assert _errors(response) == [("body_too_large", "")]


def test_fifty_of_one_item_are_taken() -> None:
    assert _post({"menuItems": ["burger"] * 50}).status_code == 200


def test_what_the_api_does_not_know_is_ignored() -> None:
    body = {"menuItems": ["soda"], "extra": {"a": 1, "A": 2}, "note": None}
    assert _post(body).status_code == 200


def test_a_thousand_wrong_names_get_a_short_answer() -> None:
    response = _post({"menuItems": [f"{number}-{'x' * 50}" for number in range(1_000)]})
    assert response.status_code == 400
    assert len(response.content) < 8_000


def test_the_same_key_gives_the_same_order() -> None:
    headers = {"Idempotency-Key": "lunch 1"}
    first = _post({"menuItems": ["burger", "fries"]}, **headers)
    again = _post({"menuItems": ["burger", "fries"]}, **headers)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert Order.objects.count() == 1
    other = _post({"menuItems": ["burger"]}, **headers)
    assert other.status_code == 422
    assert _errors(other) == [("idempotency_conflict", "Idempotency-Key")]


@pytest.mark.parametrize("key", ["", "x" * 201, "ta\tb"])
def test_a_wrong_key_is_refused(key: str) -> None:
    response = _post({"menuItems": ["burger"]}, **{"Idempotency-Key": key})
    assert response.status_code == 400
    assert _errors(response) == [("wrong_idempotency_key", "Idempotency-Key")]


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/orders", "GET", "POST"),
        ("/orders", "DELETE", "POST"),
        ("/orders/items", "POST", "GET, HEAD"),
        ("/api/health", "PUT", "GET, HEAD"),
        ("/api/ready", "POST", "GET, HEAD"),
    ],
)
def test_another_method_is_refused_in_the_same_shape(path: str, method: str, allowed: str) -> None:
    response = Client(enforce_csrf_checks=True).generic(method, path)
    assert response.status_code == 405
    assert response["Allow"] == allowed
    assert _errors(response) == [("method_not_allowed", "")]


class _Away:
    def cursor(self) -> Any:
        raise OperationalError("the database is starting up")


def test_health_needs_no_database_and_readiness_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().get("/api/health").json() == {"health": "ok"}
    assert Client().get("/api/ready").json() == {"ready": True}
    monkeypatch.setattr(api, "connections", {"default": _Away()})
    assert Client().get("/api/health").status_code == 200
    response = Client().get("/api/ready")
    assert response.status_code == 503
    assert _errors(response) == [("unavailable", "")]


@pytest.mark.parametrize(
    ("door", "status"), [("both", 200), ("customers", 200), ("dashboard", 503)]
)
def test_without_the_dashboards_database_its_own_door_alone_is_not_ready(
    door: str, status: int, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, door=Door(door))
    databases = {"default": connections["default"], "dashboard": _Away()}
    monkeypatch.setattr(api, "connections", databases)
    assert Client().get("/api/ready").status_code == status


def test_an_unavailable_database_is_reported_in_the_same_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object, **__: object) -> Order:
        raise OperationalError("database is locked")

    monkeypatch.setattr(api, "place_order", away)
    response = _post({"menuItems": ["burger"]})
    assert response.status_code == 503
    assert _errors(response) == [("unavailable", "")]


_names = st.sampled_from([item.name for item in MENU] + ["Burger", "pizza", "", "\ud800", "\x00"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | _names,
    lambda children: (
        st.lists(children, max_size=5) | st.dictionaries(st.text(max_size=5), children, max_size=5)
    ),
    max_leaves=10,
)
_properties = st.sampled_from(["menuItems", "MenuItems", "note", "NOTE", "x"])
_bodies = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(_properties, _json | st.lists(_names, max_size=60) | st.text()).map(
        lambda body: json.dumps(body).encode()
    ),
    _json.map(lambda body: json.dumps(body).encode()),
    st.text(max_size=600).map(
        lambda note: json.dumps({"menuItems": ["soda"], "note": note}).encode()
    ),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=_bodies)
def test_no_body_whatsoever_makes_the_site_fail(body: bytes) -> None:
    response = _post(body)
    assert response.status_code in (200, 400)
    if response.status_code == 400:
        _errors(response)
    else:
        assert Order.objects.filter(uuid=response.json()["id"]).exists()
