"""Rules that the baseline's evidence proposes, one click from their preview."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from dashboard.board.wording import part
from dashboard.comparison.rules import Treatment
from dashboard.ingest.stream import Roster, read_roster
from dashboard.models import Discrepancy
from dashboard.review.proposals import MOST, draft_for, proposals
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.factories import a_launch
from dashboard.tests.making import a_discrepancy, a_draft, a_pair, a_rule
from dashboard.tests.test_discrepancy_pages import shown
from dashboard.tests.test_rule_pages import ada, hidden  # noqa: F401

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

PAGE = "/dashboard/rules/proposals/"


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


@pytest.fixture
def roster() -> Roster:
    return read_roster(a_launch())


def both_differ(roster: Roster, ours: Any, theirs: Any, *, pairs: int = 20) -> None:
    """So many pairs of the candidate, and as many of the baseline, that show a difference."""
    for name in ("vnext", "vlatest-b"):
        for _ in range(pairs):
            a_pair(roster, ours, theirs, name=name)


def proposed(roster: Roster) -> list[tuple[str, str]]:
    return [
        (one.draft.path, one.draft.treatment.value)
        for one in proposals(roster.launch, timezone.now())
    ]


def test_what_two_copies_of_the_control_differ_in_as_often_is_proposed_to_be_ignored(
    roster: Roster,
) -> None:
    both_differ(roster, {"cook": "Ada", "total": 1}, {"cook": "Bob", "total": 1})
    assert proposed(roster) == [("cook", "ignore")]


def test_what_the_candidate_shows_more_often_than_the_baseline_is_not(roster: Roster) -> None:
    both_differ(roster, {"total": 1}, {"total": 2}, pairs=12)
    both_differ(roster, {"total": 1}, {"total": 1}, pairs=12)
    assert proposed(roster) == [("total", "ignore")]
    for _ in range(60):
        a_pair(roster, {"total": 1}, {"total": 2})
    assert proposed(roster) == []


def test_what_somebody_decided_on_or_a_rule_is_about_is_not(roster: Roster) -> None:
    both_differ(roster, {"cook": "Ada", "at": "x"}, {"cook": "Bob", "at": "y"})
    a_rule(a_draft("at"))
    found = Discrepancy.objects.get(version="vnext", path="cook")
    assert proposed(roster) == [("cook", "ignore")]
    review([SeenRevision(found.pk, 0)], "noise", note="", author="ada")  # type: ignore[arg-type]
    assert proposed(roster) == []


def test_few_pairs_of_the_baseline_propose_nothing(roster: Roster) -> None:
    both_differ(roster, {"cook": "Ada"}, {"cook": "Bob"}, pairs=9)
    assert proposed(roster) == []


def test_so_many_are_proposed_the_most_frequent_first(roster: Roster) -> None:
    ours = dict.fromkeys("abcdef", 1)
    for number, name in enumerate("abcdef"):
        both_differ(roster, ours, {**ours, name: 2}, pairs=10 + number)
    assert proposed(roster) == [(name, "ignore") for name in "fed"][:MOST]


def test_a_map_keyed_by_fresh_ids_is_proposed_once_by_its_values(roster: Roster) -> None:
    for number in range(40):
        for name in ("vnext", "vlatest-b"):
            lines = ({f"id-{number}-{of}": 5} for of in ("control", name))
            a_pair(roster, *({"lines": one} for one in lines), name=name)
    assert proposed(roster) == [("lines", "values")]


@pytest.mark.parametrize(
    ("kind", "path", "values", "expected"),
    [
        ("value", "cook", ('"Ada"', '"Bob"'), ("cook", Treatment.IGNORE)),
        ("order", "lines", ("[1,2]", "[2,1]"), ("lines", Treatment.UNORDERED)),
        ("missing", "note", ("null", ""), ("note", Treatment.NULL)),
        ("extra", "note", ("", "null"), ("note", Treatment.NULL)),
        ("extra", "note", ("", '"x"'), ("note", Treatment.IGNORE)),
        ("missing", "a[].b.*", ("5", ""), ("a[].b", Treatment.VALUES)),
        ("value", "by_id.*.cook", ("1", "2"), ("by_id.*.cook", Treatment.IGNORE)),
        (
            "value",
            "id",
            ('"3f2504e0-4f89-41d3-9a0c-0305e82c3301"', '"6ba7b810-9dad-11d1-80b4-00c04fd430c8"'),
            ("id", Treatment.REPLACE),
        ),
        (
            "value",
            "at",
            ('"2026-01-05T10:00:00Z"', '"2026-01-05T10:00:07Z"'),
            ("at", Treatment.TIMES),
        ),
        (
            "value",
            "at",
            ('"2026-01-05T10:00:00Z"', '"2026-01-05T20:00:07Z"'),
            ("at", Treatment.IGNORE),
        ),
        ("value", "long", ('"cut of…', '"cut o'), ("long", Treatment.IGNORE)),
        ("failed", "KeyError: x", ("", ""), None),
        ("many", "$", ("", ""), None),
        ("extra", "*", ("", "1"), None),
        ("value", "a" * 240 + "…1234567b", ("1", "2"), None),
    ],
)
def test_the_rule_fits_what_differs(
    roster: Roster, kind: str, path: str, values: tuple[str, str], expected: Any
) -> None:
    row = a_discrepancy(
        roster.launch, path, kind=kind, control_value=values[0], version_value=values[1]
    )
    found = draft_for(row)
    assert (found and (found.path, found.treatment)) == expected


@pytest.mark.usefixtures("ada")
def test_a_proposal_is_one_click_from_its_preview(client: Client, roster: Roster) -> None:
    both_differ(roster, {"cook": "Ada"}, {"cook": "Bob"})
    page = shown(client, PAGE)
    assert f'differs in <b class="num">{part(1)}</b> of control pairs too' in page
    (link,) = re.findall(r'href="(/dashboard/rules/new/[^"]+)"', page)
    response = client.get(unescape(link))
    assert hidden(response) == 40
    assert f"Noise: {part(1)} of control pairs differ." in response.content.decode()
    for path in ("/dashboard/discrepancies/", "/dashboard/rules/"):
        assert f'hx-get="{PAGE}' in shown(client, path)


def test_who_may_make_no_rule_sees_the_noise_and_no_link(client: Client, roster: Roster) -> None:
    both_differ(roster, {"cook": "Ada"}, {"cook": "Bob"})
    found = shown(client, PAGE, **{"HX-Request": "true"})
    assert "<html" not in found
    assert "of control pairs too." in found
    assert "rules/new" not in found


def test_without_a_launch_or_noise_nothing_is_proposed(client: Client) -> None:
    assert "No proposals" in shown(client, PAGE)
    a_launch()
    assert "No proposals" in shown(client, PAGE)
