"""The page of an order: what its differences come to, and that it stays within bounds."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from dashboard.comparison.diff import MAX_DIFFERENCES
from dashboard.comparison.outcome import Decision
from dashboard.fold import discrepancies as counting
from dashboard.models import Discrepancy
from dashboard.pages.orders import nice_scale
from dashboard.tests.factories import a_launch, an_event
from dashboard.tests.test_discrepancy_pages import differ, fail, shown, text
from kitchen_worker.contract.messages import MAX_DEPTH
from restaurant.answers import record as answer
from restaurant.models import Order

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

NOTHING: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


def said(client: Client, order: str) -> str:
    return text(client.get(f"/dashboard/orders/{order}/"))


def test_a_baseline_differs_as_noise_and_counts_against_nobody(client: Client) -> None:
    page = said(client, differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"}, "vlatest-b"))

    assert "vlatest-b differs in 1 place: noise, not counted" in page
    assert "counts against it" not in page


def test_more_differences_than_are_told_apart_are_said_and_count(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_DISCREPANCIES", 2 * MAX_DIFFERENCES)
    many = {str(number): number for number in range(MAX_DIFFERENCES + 5)}
    order = differ(a_launch(), NOTHING, {"data": many, **many})

    page = said(client, order)

    assert f"vnext differs in more than {MAX_DIFFERENCES:,} places" in page
    assert f"beyond the {MAX_DIFFERENCES:,} listed: many $ open" in page
    Discrepancy.objects.filter(kind="many").update(state=Decision.NOISE)
    assert "listed: many $ noise" in said(client, order)


def test_differences_in_the_folded_discrepancy_are_said_to_be(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_DISCREPANCIES", 1)
    launch = a_launch()
    differ(launch, {"a": 1}, {"a": 2})

    page = said(client, differ(launch, {"b": 1, "c": 1}, {"b": 2, "c": 2}))

    assert "2 of them: other further kinds of difference open" in page


def test_long_values_keys_and_messages_are_folded(client: Client) -> None:
    launch = a_launch()
    page = shown(client, f"/dashboard/orders/{differ(launch, {'k' * 5000: 1}, {'v': 'x' * 9000})}/")
    failed = shown(client, f"/dashboard/orders/{fail(launch, 'm' * 3000)}/")

    assert "show all 9,002 characters" in page
    assert f">{'k' * 5000}<" not in page
    assert "show all 3,000 characters" in failed


def nested(depth: int, value: str) -> dict[str, Any]:
    """A result so deep: objects and lists in turn, the result being the first."""
    inner: Any = value
    for level in range(depth, 1, -1):
        inner = {"in": inner} if level % 2 else [inner]
    return {"in": inner}


def test_results_as_deep_as_the_contract_allows_are_stored_compared_and_shown(
    client: Client,
) -> None:
    control, version = nested(MAX_DEPTH, "soup"), nested(MAX_DEPTH, "stew")
    order = differ(a_launch(), control, version)
    Order.objects.filter(uuid=order).update(control="vlatest")
    assert answer([an_event(None, UUID(order), "vlatest", result=control)]) == 1
    row = Discrepancy.objects.get()

    ticket = client.get(f"/ticket/{order}/")
    page = said(client, order)

    assert ticket.status_code == 200
    assert "Ready" in ticket.content.decode()
    assert "soup" in page
    assert "stew" in page
    path = f"/dashboard/discrepancies/{row.pk}/"
    assert "stew" in text(client.get(path))
    assert client.get("/dashboard/").status_code == 200


def test_a_result_that_is_deeper_is_no_event() -> None:
    with pytest.raises(ValueError, match="nested more than 64 deep"):
        an_event(None, uuid4(), result=nested(MAX_DEPTH + 1, "soup"))


@pytest.mark.parametrize(
    ("longest", "scale"), [(0, 1), (0.4, 1), (1, 1), (7, 8), (101, 200), (480, 500), (1000, 1000)]
)
def test_the_scale_is_the_next_round_number(longest: float, scale: float) -> None:
    assert nice_scale(longest) == scale
