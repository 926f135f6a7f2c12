"""The page of coverage: what was never ordered first, and what differs, noise apart."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from dashboard.models import Discrepancy
from dashboard.tests.factories import a_launch
from dashboard.tests.test_discrepancy_pages import shown
from dashboard.tests.test_noise import orders, record
from restaurant.launches import find_launch
from restaurant.models import Launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

PAGE = "/dashboard/coverage/"


@pytest.fixture(autouse=True)
def _short_blocks(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, block_s=1.0, deadline_s=5.0, warm_up_s=2.0)


def results(count: int, version: str, rng: random.Random) -> dict[str, Any]:
    """The cook differs by chance; vnext adds one order in ten wrongly."""
    wrong = version == "vnext" and count % 10 == 0
    return {"cook": rng.choice(["Ada", "Bo"]), "total": "6.99" if wrong else "7.00"}


@pytest.fixture
def launch() -> Launch:
    """A launch of 400 orders of two burgers, all of which the baseline got as well."""
    found = find_launch(a_launch().id)
    assert found is not None
    record(found, orders(found, 400, 1.0, results), batch=300)
    return found


def row(page: str, name: str) -> list[str]:
    """What the table says of a shape."""
    found = re.search(rf"{name}</th>(.*?)</tr>", page, re.DOTALL)
    assert found is not None
    return re.findall(r'<td class="num">([\d,]+)', found[1])


def test_noise_is_told_apart_from_what_the_candidate_alone_differs_in(
    client: Client, launch: Launch
) -> None:
    page = shown(client, PAGE)
    seen, differ, noise = map(int, row(page, "burger"))
    assert (seen, differ) == (400, 40)
    assert 140 < noise < 220
    assert "count as <b>noise only</b>" in page
    assert "2 unclear" not in page
    Discrepancy.objects.filter(path="total").update(state="by_design")
    assert row(shown(client, PAGE), "burger")[1] == "0"


def test_what_was_never_ordered_is_named_first(client: Client, launch: Launch) -> None:
    page = shown(client, PAGE)
    assert page.index("Untested") < page.index("<li>fries</li>") < page.index("Tested")
    assert "Combinations that nobody ordered are untested." in page


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("show=untested", ["<li>fries</li>"], ["Tested <"]),
        ("show=differ", ["burger</th>"], ["Untested <", "<li>fries</li>"]),
        ("show=agree", ["No matches."], ["burger</th>"]),
        ("kind=size", ["small orders", "huge orders"], ["burger</th>", "<li>fries</li>"]),
        ("text=FRIES", ["<li>fries</li>", "burger and fries"], ["<li>soda</li>", "burger</th>"]),
        ("text=nowhere&show=differ", ["No matches."], ["burger</th>"]),
        ("show=odd&kind=odd", ["<li>fries</li>", "burger</th>"], []),
    ],
)
def test_it_is_narrowed_by_result_kind_and_text(
    client: Client, launch: Launch, query: str, there: list[str], gone: list[str]
) -> None:
    page = shown(client, f"{PAGE}?{query}")
    assert [text for text in there if text not in page] == []
    assert [text for text in gone if text in page] == []


def test_of_the_baseline_all_is_noise_and_without_one_nothing_is(
    client: Client, launch: Launch
) -> None:
    page = shown(client, f"{PAGE}?version=vlatest-b")
    assert "all its differences are noise" in page
    launch.dark_versions.filter(version="vlatest-b").delete()
    page = shown(client, PAGE)
    assert "no baseline, so noise counts as a difference" in page
    assert row(page, "burger")[2] == "0"
