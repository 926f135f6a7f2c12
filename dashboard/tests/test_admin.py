"""The dashboard's admin: facts are read, discrepancies decided on, rules made and ended."""

from __future__ import annotations

import csv
import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from dashboard.comparison.outcome import Decision
from dashboard.ingest.stream import read_roster
from dashboard.models import DeadLetter, Discrepancy, Participant, Review, Rule
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.factories import a_launch, an_event, an_order
from dashboard.tests.making import (
    NOW,
    a_discrepancy,
    a_draft,
    a_replay,
    a_rule,
    record_events,
    states_of,
)
from restaurant.models import Launch, Order

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

ADMIN = "/admin/dashboard"


@pytest.fixture
def launch() -> Launch:
    return a_launch()


def some_facts(launch: Launch, number: int = 1, **order: Any) -> list[Order]:
    """Orders that all three versions handled; vnext differs in the price."""
    orders = [an_order(launch, **order) for _ in range(number)]
    record_events(
        read_roster(launch),
        [
            an_event(launch, one.uuid, version, result={"total_price": price})
            for one in orders
            for version, price in (("vlatest", "7.00"), ("vnext", "6.99"), ("vlatest-b", "7.00"))
        ],
        NOW,
    )
    return orders


def listed(client: Client, model: str, **asked: str) -> list[Any]:
    response = client.get(f"{ADMIN}/{model}/", asked)
    assert response.status_code == 200, response
    return list(response.context["cl"].result_list)


def test_every_list_and_page_is_shown(admin_client: Client, launch: Launch) -> None:
    some_facts(launch)
    DeadLetter.objects.create(queue="orders", reason="no JSON", seen_at=NOW)
    row = Discrepancy.objects.get()
    review([SeenRevision(row.pk, 0)], Decision.BUG, note="a cent", author="ada")
    a_replay(row)
    a_rule(a_draft("cook"))
    for model in (
        "participant", "finalverdict", "deadletter", "discrepancy", "review", "rule",
        "rejudging", "replay",
    ):  # fmt: skip
        for one in listed(admin_client, model)[:1]:
            page = admin_client.get(f"{ADMIN}/{model}/{one.pk}/change/")
            assert page.status_code == 200, model
    assert "total_price" in admin_client.get(f"{ADMIN}/discrepancy/").content.decode()


@pytest.mark.parametrize("model", ["participant", "discrepancy", "review"])
def test_facts_can_neither_be_added_nor_changed_nor_deleted(
    admin_client: Client, launch: Launch, model: str
) -> None:
    some_facts(launch)
    row = Discrepancy.objects.get()
    review([SeenRevision(row.pk, 0)], Decision.BUG, note="a cent", author="ada")
    models: dict[str, Any] = {
        "participant": Participant, "discrepancy": Discrepancy, "review": Review,
    }  # fmt: skip
    pk = models[model].objects.values_list("pk", flat=True)[0]
    before = list(models[model].objects.values())
    assert admin_client.get(f"{ADMIN}/{model}/add/").status_code == 403
    assert admin_client.post(f"{ADMIN}/{model}/{pk}/change/", {"note": "x"}).status_code == 403
    assert admin_client.post(f"{ADMIN}/{model}/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert list(models[model].objects.values()) == before


def test_discrepancies_stand_beside_their_noise(admin_client: Client, launch: Launch) -> None:
    for version, pairs in (("vnext", 40), ("vlatest-b", 20)):
        role = "candidate" if version == "vnext" else "baseline"
        Participant.objects.create(launch=launch.pk, version=version, role=role, pairs=pairs)
    a_discrepancy(launch.pk)
    a_discrepancy(launch.pk, version="vlatest-b", count=1)
    a_discrepancy(launch.pk, "note", count=3)
    a_discrepancy(UUID(int=5), "of another launch")
    page = admin_client.get(f"{ADMIN}/discrepancy/", {"version": "vnext"}).content.decode()
    assert page.index("total_price") < page.index(">note<")
    assert "25.00 %" in page
    assert "5.00 %" in page
    assert "of another launch" not in page


def decide(client: Client, row: Discrepancy, action: str, **fields: Any) -> Any:
    fields = {"action": action, "_selected_action": str(row.pk), **fields}
    return client.post(f"{ADMIN}/discrepancy/", fields, follow=True)


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("decide_bug", Decision.BUG),
        ("decide_by_design", Decision.BY_DESIGN),
        ("decide_noise", Decision.NOISE),
    ],
)
def test_many_are_decided_on_with_one_note_after_a_look(
    admin_client: Client, launch: Launch, action: str, state: Decision
) -> None:
    rows = [a_discrepancy(launch.pk, f"field_{number}") for number in range(3)]
    chosen = [str(row.pk) for row in rows[:2]]
    asked = decide(admin_client, rows[0], action, _selected_action=chosen)
    assert "field_1" in asked.content.decode()
    assert not Review.objects.exists()
    seen = [str(one) for one in asked.context["seen"]]
    done = decide(
        admin_client, rows[0], action, _selected_action=chosen, seen=seen, decision=state, note="so"
    )
    assert "Decision saved for 2 discrepancies." in done.content.decode()
    assert states_of(*rows) == [state, state, Decision.OPEN]
    assert set(Review.objects.values_list("note", "author")) == {("so", "admin")}


def test_what_somebody_decided_meanwhile_is_shown_and_nothing_is_written(
    admin_client: Client, launch: Launch
) -> None:
    row = a_discrepancy(launch.pk)
    asked = decide(admin_client, row, "decide_noise")
    seen = [str(one) for one in asked.context["seen"]]
    review([SeenRevision(row.pk, 0)], Decision.BUG, note="mine", author="ada")
    given = {"seen": seen, "decision": "noise", "note": "kept"}
    answer = decide(admin_client, row, "decide_noise", **given)
    assert "total_price is bug" in answer.content.decode()
    assert "kept" in answer.content.decode()
    assert states_of(row) == [Decision.BUG]
    page = admin_client.post(f"{ADMIN}/discrepancy/{row.pk}/review/", given)
    assert "Not saved" in page.content.decode()
    assert states_of(row) == [Decision.BUG]


def test_one_is_decided_on_on_its_page_which_shows_the_history(
    admin_client: Client, launch: Launch
) -> None:
    row = a_discrepancy(launch.pk)
    for decision, note in (("by_design", "<b>meant</b> so"), ("open", "not any more")):
        page = admin_client.get(f"{ADMIN}/discrepancy/{row.pk}/change/")
        given = {"seen": str(page.context["seen"][0]), "decision": decision, "note": note}
        done = admin_client.post(f"{ADMIN}/discrepancy/{row.pk}/review/", given, follow=True)
        assert "Decision saved for 1 discrepancy." in done.content.decode()
    shown = admin_client.get(f"{ADMIN}/discrepancy/{row.pk}/change/").content.decode()
    assert "&lt;b&gt;meant&lt;/b&gt; so" in shown
    assert "not any more" in shown
    assert states_of(row) == [Decision.OPEN]


@pytest.mark.parametrize(
    "given",
    [
        {"seen": "x", "decision": "bug"},
        {"seen": "1:0"},
        {"seen": "1:0", "decision": ""},
        {"decision": "bug"},
        {"seen": "1:0", "decision": "fixed"},
        {"seen": "1:0", "decision": "bug", "note": "x" * 4001},
    ],
)
def test_what_makes_no_sense_is_refused_on_the_page(
    admin_client: Client, launch: Launch, given: dict[str, str]
) -> None:
    row = a_discrepancy(launch.pk)
    page = admin_client.post(f"{ADMIN}/discrepancy/{row.pk}/review/", given)
    assert page.status_code == 200
    assert "errorlist" in page.content.decode()
    assert not Review.objects.exists()


def test_who_may_only_look_cannot_decide_nor_end_rules(client: Client, launch: Launch) -> None:
    looker = User.objects.create_user("looker", is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(looker)
    row, rule = a_discrepancy(launch.pk), a_rule(a_draft("cook"))
    page = client.get(f"{ADMIN}/discrepancy/")
    assert "decide_bug" not in page.content.decode()
    assert "export_csv" in page.content.decode()
    decide(client, row, "decide_bug", seen=f"{row.pk}:0", decision="bug")
    answer = client.post(
        f"{ADMIN}/discrepancy/{row.pk}/review/", {"seen": f"{row.pk}:0", "decision": "bug"}
    )
    assert answer.status_code == 403
    client.post(f"{ADMIN}/rule/", {"action": "end", "_selected_action": str(rule.pk)})
    rule.refresh_from_db()
    assert (rule.ended_at, states_of(row)) == (None, [Decision.OPEN])


def test_what_is_selected_is_exported(admin_client: Client, launch: Launch) -> None:
    row = a_discrepancy(launch.pk, "=1+1")

    def file(form: str) -> str:
        answer = decide(admin_client, row, f"export_{form}")
        assert f'filename="discrepancies.{form}"' in answer.headers["Content-Disposition"]
        return str(answer.getvalue().decode())

    (line,) = csv.DictReader(file("csv").splitlines())
    assert (line["path"], line["count"]) == ("'=1+1", "10")
    assert json.loads(file("jsonl"))["path"] == "=1+1"
    assert "`=1+1`" in file("md")


def test_a_rule_is_made_where_its_preview_is(admin_client: Client) -> None:
    for answer in (
        admin_client.get(f"{ADMIN}/rule/add/"),
        admin_client.post(f"{ADMIN}/rule/add/", {"path": "cook", "reason": "chance"}),
    ):
        assert (answer.status_code, answer["Location"]) == (302, "/dashboard/rules/new/")
    assert not Rule.objects.exists()


def test_a_rule_is_ended_once(admin_client: Client) -> None:
    rule = a_rule(a_draft("items[].cook"))
    end = {"action": "end", "_selected_action": str(rule.pk)}
    ended = admin_client.post(f"{ADMIN}/rule/", end, follow=True)
    assert "Ended: ignore items[].cook." in ended.content.decode()
    rule.refresh_from_db()
    assert rule.ended_by == "admin"
    again = admin_client.post(f"{ADMIN}/rule/", end, follow=True)
    assert "Already ended" in again.content.decode()


def test_a_rule_is_never_changed(admin_client: Client) -> None:
    rule = a_rule(a_draft("cook"))
    url = f"{ADMIN}/rule/{rule.pk}"
    assert admin_client.post(f"{url}/change/", {"path": "x"}).status_code == 403
    assert admin_client.post(f"{url}/delete/", {"post": "yes"}).status_code == 403
    assert Rule.objects.get().path == "cook"
