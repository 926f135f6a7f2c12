"""The dashboard's admin: facts are read, discrepancies decided on, rules made and ended."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from dashboard.admin import narrowing
from dashboard.admin.periods import first_order_from
from dashboard.domain.decision import Decision
from dashboard.models import Comparison, DeadLetter, Discrepancy, Observation, Review, Rule, Tally
from dashboard.observing.recording import record_events
from dashboard.observing.rosters import read_roster
from dashboard.reviewing.reviews import Seen, review
from dashboard.tests.factories import START, a_launch, an_event, an_order
from dashboard.tests.making import NOW, a_discrepancy, a_draft, a_replay, a_rule, states_of
from kitchen_worker.contract.messages import EventKind
from restaurant.models import Launch, Order

pytestmark = pytest.mark.django_db

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
    review([Seen(row.pk, 0)], Decision.BUG, note="a cent", author="ada")
    a_replay(row)
    a_rule(a_draft("cook"))
    for model in (
        "observation", "comparison", "tally", "deadletter", "discrepancy", "review", "rule",
        "rejudging", "replay",
    ):  # fmt: skip
        for one in listed(admin_client, model)[:1]:
            page = admin_client.get(f"{ADMIN}/{model}/{one.pk}/change/")
            assert page.status_code == 200, model
    assert "total_price" in admin_client.get(f"{ADMIN}/discrepancy/").content.decode()


@pytest.mark.parametrize("model", ["observation", "comparison", "tally", "discrepancy", "review"])
def test_facts_can_neither_be_added_nor_changed_nor_deleted(
    admin_client: Client, launch: Launch, model: str
) -> None:
    some_facts(launch)
    row = Discrepancy.objects.get()
    review([Seen(row.pk, 0)], Decision.BUG, note="a cent", author="ada")
    models: dict[str, Any] = {
        "observation": Observation, "comparison": Comparison, "tally": Tally,
        "discrepancy": Discrepancy, "review": Review,
    }  # fmt: skip
    pk = models[model].objects.values_list("pk", flat=True)[0]
    before = list(models[model].objects.values())
    assert admin_client.get(f"{ADMIN}/{model}/add/").status_code == 403
    assert admin_client.post(f"{ADMIN}/{model}/{pk}/change/", {"note": "x"}).status_code == 403
    assert admin_client.post(f"{ADMIN}/{model}/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert list(models[model].objects.values()) == before


@pytest.mark.parametrize("model", ["observation", "comparison"])
def test_facts_are_found_by_the_orders_number_and_id(
    admin_client: Client, launch: Launch, model: str
) -> None:
    first, second = some_facts(launch, 2)
    for text in (f"#{first.pk}", str(first.pk), str(first.uuid), f" {first.uuid} "):
        found = listed(admin_client, model, q=text)
        assert {one.order for one in found} == {first.uuid}
    assert {one.order for one in listed(admin_client, model)} == {first.uuid, second.uuid}
    for nothing in ("burger", str(UUID(int=0)), "9" * 30, "99999"):
        assert listed(admin_client, model, q=nothing) == []
    (one,) = listed(admin_client, model, q=str(first.pk), version="vnext")
    assert (one.order, one.version) == (first.uuid, "vnext")


def test_facts_are_narrowed_by_launch_version_outcome_role_and_state(
    admin_client: Client, launch: Launch
) -> None:
    some_facts(launch, 2)
    launch.ended_at = NOW
    launch.save()
    newer = a_launch()
    (order,) = some_facts(newer)
    failed = an_event(newer, an_order(newer).uuid, "vnext", EventKind.FAILED)
    record_events(read_roster(newer), [failed], NOW)
    old, new = str(launch.pk), str(newer.pk)
    assert len(listed(admin_client, "comparison")) == 6
    assert len(listed(admin_client, "comparison", launch=old)) == 4
    assert len(listed(admin_client, "comparison", launch=new, version="vnext")) == 1
    assert len(listed(admin_client, "comparison", outcome="differ")) == 3
    chosen = {"launch": new, "version": "vnext", "outcome": "differ"}
    assert [one.order for one in listed(admin_client, "comparison", **chosen)] == [order.uuid]
    assert listed(admin_client, "comparison", launch=new, outcome="missing") == []
    assert len(listed(admin_client, "observation", role="control")) == 3
    assert len(listed(admin_client, "observation", state="failed")) == 1
    assert listed(admin_client, "observation", state="failed", launch=old) == []
    for wrong in ({"launch": "x"}, {"version": "\0"}, {"placed": "soon"}):
        if "version" not in wrong:
            assert listed(admin_client, "observation", **wrong) == []


def test_facts_are_narrowed_by_the_time_of_their_order(
    admin_client: Client, launch: Launch
) -> None:
    days = [START + timedelta(days=day, hours=day) for day in (0, 0, 1, 40, 400)]
    orders = [some_facts(launch, placed_at=moment)[0] for moment in days]

    def found(period: str) -> set[UUID]:
        return {one.order for one in listed(admin_client, "comparison", placed=period)}

    uuids = [order.uuid for order in orders]
    assert found("2026") == set(uuids[:4])
    assert found("2027") == {uuids[4]}
    assert found("2026-01") == set(uuids[:3])
    assert found("2026-01-05") == set(uuids[:2])
    local = timezone.localtime(days[2])
    assert found(f"{local:%Y-%m-%dT%H}") == {uuids[2]}
    assert found(f"{local:%Y-%m-%dT%H:%M}") == {uuids[2]}
    assert found("2025") == found("2026-03") == set()


def test_the_times_to_choose_from_go_from_years_to_minutes(
    admin_client: Client, launch: Launch
) -> None:
    some_facts(launch, placed_at=START)
    some_facts(launch, placed_at=START + timedelta(days=400))

    def offered(**asked: str) -> list[str]:
        page = admin_client.get(f"{ADMIN}/comparison/", asked)
        (times,) = [one for one in page.context["cl"].filter_specs if one.title.startswith("time")]
        return [address for address, _ in times.lookup_choices]

    assert offered() == ["2026", "2027"]
    assert offered(placed="2026")[:3] == ["2026", "2026-01", "2026-02"]
    assert offered(placed="2027") == ["2027", "2027-01", "2027-02"]
    assert len(offered(placed="2026-02")) == 2 + 28
    assert len(offered(placed="2026-02-03")) == 3 + 24
    assert len(offered(placed="2026-02-03T10")) == 4 + 60
    assert len(offered(placed="2026-02-03T10:05")) == 5


def test_the_first_order_of_a_moment_is_found_whatever_is_missing_in_between(
    launch: Launch,
) -> None:
    orders = [an_order(launch, placed_at=START + timedelta(minutes=one)) for one in range(40)]
    Order.objects.filter(pk__in=[one.pk for one in orders[3:20]]).delete()
    for at, expected in ((0, 0), (1, 1), (3, 20), (19.5, 20), (20, 20), (39, 39)):
        assert first_order_from(START + timedelta(minutes=at)) <= orders[expected].pk
        after = Order.objects.filter(pk__gte=first_order_from(START + timedelta(minutes=at)))
        assert after.order_by("pk")[0] == orders[expected]
    assert first_order_from(START + timedelta(minutes=40)) > orders[39].pk


def test_without_orders_no_time_is_offered_and_none_is_found(admin_client: Client) -> None:
    assert listed(admin_client, "comparison", placed="2026") == []
    assert first_order_from(START) == 0


def test_a_choice_looks_at_a_bounded_number_of_rows(
    admin_client: Client, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = some_facts(launch, 5)
    monkeypatch.setattr(narrowing, "ORDERS", 2)
    monkeypatch.setattr(narrowing, "ROWS", 6)
    newest = {one.uuid for one in orders[-2:]}
    for asked in ({"launch": str(launch.pk)}, {"placed": "2026"}):
        found = listed(admin_client, "observation", **asked)
        assert {one.order for one in found} == newest
    assert len(listed(admin_client, "observation", state="handled")) == 6


def test_discrepancies_stand_beside_their_noise(admin_client: Client, launch: Launch) -> None:
    for version, pairs in (("vnext", 40), ("vlatest-b", 20)):
        role = "candidate" if version == "vnext" else "baseline"
        Tally.objects.create(launch=launch.pk, version=version, role=role, pairs=pairs)
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
    assert "Decided on 2." in done.content.decode()
    assert states_of(*rows) == [state, state, Decision.OPEN]
    assert set(Review.objects.values_list("note", "author")) == {("so", "admin")}


def test_what_somebody_decided_meanwhile_is_shown_and_nothing_is_written(
    admin_client: Client, launch: Launch
) -> None:
    row = a_discrepancy(launch.pk)
    asked = decide(admin_client, row, "decide_noise")
    seen = [str(one) for one in asked.context["seen"]]
    review([Seen(row.pk, 0)], Decision.BUG, note="mine", author="ada")
    given = {"seen": seen, "decision": "noise", "note": "kept"}
    answer = decide(admin_client, row, "decide_noise", **given)
    assert "total_price is bug" in answer.content.decode()
    assert "kept" in answer.content.decode()
    assert states_of(row) == [Decision.BUG]
    page = admin_client.post(f"{ADMIN}/discrepancy/{row.pk}/review/", given)
    assert "Nothing was written" in page.content.decode()
    assert states_of(row) == [Decision.BUG]


def test_one_is_decided_on_on_its_page_which_shows_the_history(
    admin_client: Client, launch: Launch
) -> None:
    row = a_discrepancy(launch.pk)
    for decision, note in (("by_design", "<b>meant</b> so"), ("open", "not any more")):
        page = admin_client.get(f"{ADMIN}/discrepancy/{row.pk}/change/")
        given = {"seen": str(page.context["seen"][0]), "decision": decision, "note": note}
        done = admin_client.post(f"{ADMIN}/discrepancy/{row.pk}/review/", given, follow=True)
        assert "Decided on 1." in done.content.decode()
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
    assert "Nothing to end" in again.content.decode()


def test_a_list_that_is_narrowed_says_among_what_it_looked(
    admin_client: Client, launch: Launch
) -> None:
    def said(model: str, **asked: str) -> str:
        return admin_client.get(f"{ADMIN}/{model}/", asked).content.decode()

    assert "mong the newest" not in said("observation")
    assert "Among the newest 20,000 rows." in said("observation", state="failed")
    assert "Among the newest 2,000 orders" in said("comparison", launch=str(launch.id))
    exact = {"launch": str(launch.id), "version": "vnext", "outcome": "differ"}
    assert "The newest 5,000 that are so." in said("comparison", **exact)


def test_a_rule_is_never_changed(admin_client: Client) -> None:
    rule = a_rule(a_draft("cook"))
    url = f"{ADMIN}/rule/{rule.pk}"
    assert admin_client.post(f"{url}/change/", {"path": "x"}).status_code == 403
    assert admin_client.post(f"{url}/delete/", {"post": "yes"}).status_code == 403
    assert Rule.objects.get().path == "cook"
