"""The page of an order: what its differences come to, and that it stays within bounds."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from dashboard.domain.comparing.comparison import MAX_DIFFERENCES
from dashboard.domain.decision import Decision
from dashboard.models import Discrepancy
from dashboard.observing import grouping
from dashboard.tests.factories import a_launch
from dashboard.tests.test_discrepancy_pages import differ, fail, shown, text

pytestmark = pytest.mark.django_db

NOTHING: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


def said(client: Client, order: str) -> str:
    return text(client.get(f"/dashboard/orders/{order}/"))


def test_a_baseline_differs_as_noise_and_counts_against_nobody(client: Client) -> None:
    page = said(client, differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"}, "vlatest-b"))

    assert "vlatest-b differs in 1 place: noise, which counts against nobody" in page
    assert "counts against it" not in page


def test_more_differences_than_are_told_apart_are_said_and_count(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "MAX_DISCREPANCIES", 2 * MAX_DIFFERENCES)
    many = {str(number): number for number in range(MAX_DIFFERENCES + 5)}
    order = differ(a_launch(), NOTHING, {"data": many, **many})

    page = said(client, order)

    assert f"vnext differs in more than {MAX_DIFFERENCES:,} places" in page
    assert f"beyond the {MAX_DIFFERENCES:,} that are told apart: many $ open" in page
    Discrepancy.objects.filter(kind="many").update(state=Decision.NOISE)
    assert "told apart: many $ noise" in said(client, order)


def test_differences_in_the_folded_discrepancy_are_said_to_be(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "MAX_DISCREPANCIES", 1)
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
