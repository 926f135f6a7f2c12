"""The pages of ramp plans and guards, and what the board shows of guards."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from dashboard.board.filters import Filter
from dashboard.board.frame import board_state
from dashboard.board.parts import render_parts
from dashboard.launches import ramp
from dashboard.launches.ramp import read_steps
from dashboard.models import GuardAction, Participant, RampPlan, RampState
from dashboard.tests.factories import START, a_launch
from dashboard.tests.test_discrepancy_pages import text
from restaurant.launches import end_launch
from restaurant.models import DarkVersion, Launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

PLAN = "5 % for 500 orders or 10 minutes\n25 % for 1,000 orders\n100 %"


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


@pytest.fixture
def launch() -> Launch:
    launch = a_launch()
    launch.dark_versions.filter(version="vnext").update(percent=0)
    return launch


@pytest.fixture
def ada(client: Client) -> User:
    """Who may change launches, and is logged in."""
    user = User.objects.create_user("ada")
    user.user_permissions.add(Permission.objects.get(codename="change_launch"))
    client.force_login(user)
    return user


def page_of(launch: Launch, name: str = "ramp") -> str:
    return f"/dashboard/launches/{launch.id}/{name}/"


def post(client: Client, launch: Launch, act: str, **fields: str) -> Any:
    plan = RampPlan.objects.first()
    named = {f"{act}-vnext-{name}": value for name, value in fields.items()}
    more = {"plan": str(plan.pk)} if plan is not None else {}
    return client.post(page_of(launch), {"act": act, "version": "vnext", **more, **named})


def problems(response: Any) -> dict[str, str]:
    """What is wrong, by field."""
    return dict(re.findall(r'id="problem-([\w-]+)">([^<]+)<', response.content.decode()))


def acted(launch: Launch, **fields: Any) -> GuardAction:
    known: dict[str, Any] = {
        "launch": launch.pk, "version": "vnext", "guard": "worse", "why": "20 % slower",
        "at": START, "percent": Decimal(25), "stopped_at": START,
    }  # fmt: skip
    return GuardAction.objects.create(**{**known, **fields})


def test_a_plan_is_set_with_the_preset_and_shows_its_progress(
    client: Client, launch: Launch, ada: User
) -> None:
    assert "5 % for 500 orders or 10 minutes" in text(client.get(page_of(launch)))
    answer = post(client, launch, "set", steps=PLAN, reason="carefully")
    assert (answer.status_code, answer["Location"]) == (302, f"{page_of(launch)}#vnext")
    plan = RampPlan.objects.get()
    assert [str(step) for step in ramp.position_of(plan).steps] == PLAN.splitlines()
    assert (plan.author, plan.reason) == ("ada", "carefully")
    assert DarkVersion.objects.get(version="vnext").percent == 5
    RampPlan.objects.update(since=timezone.now() - timedelta(minutes=4))
    Participant.objects.create(
        launch=launch.pk, version="vnext", role="candidate", handled=300, failed=12
    )
    page = text(client.get(page_of(launch)))
    assert re.search(
        r"Step 1 of 3: 5 % since \d\d:\d\d UTC , 312 of 500 orders, 4 of 10 minutes", page
    )
    assert "2 25 % for 1,000 orders to come" in page
    assert "Pause the plan" in page
    assert "Start the plan" not in page


def test_a_plan_is_paused_resumed_and_cancelled_on_its_page(
    client: Client, launch: Launch, ada: User
) -> None:
    post(client, launch, "set", steps=PLAN, reason="carefully")
    for act, state, said in (
        ("pause", RampState.PAUSED, "Paused at step 1 of 3: 5 %: ada: lunch"),
        ("resume", RampState.RUNNING, "Step 1 of 3: 5 %"),
        ("cancel", RampState.STOPPED, "Stopped at step 1 of 3: 5 %: ada: lunch"),
    ):
        assert problems(post(client, launch, act)) == {f"{act}-vnext-reason": "Enter a reason."}
        assert post(client, launch, act, reason="lunch").status_code == 302
        assert RampPlan.objects.get().state == state
        assert said in text(client.get(page_of(launch)))


def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    client: Client, launch: Launch, ada: User
) -> None:
    answer = post(client, launch, "set", steps="5 %\n25 % of all", reason="<b>why</b>")
    assert answer.status_code == 422
    assert problems(answer)["set-vnext-steps"].startswith("&#x27;25 % of all&#x27; is not a step")
    body = answer.content.decode()
    assert "25 % of all</textarea>" in body
    assert "&lt;b&gt;why&lt;/b&gt;" in body
    assert body.count("autofocus") == 1
    assert not RampPlan.objects.exists()


def test_a_plan_that_somebody_else_changed_is_said_so(
    client: Client, launch: Launch, ada: User
) -> None:
    post(client, launch, "set", steps=PLAN, reason="carefully")
    ramp.pause(RampPlan.objects.get(), author="bob", reason="lunch", now=START)
    answer = post(client, launch, "pause", reason="lunch")
    assert answer.status_code == 422
    assert DarkVersion.objects.get(version="vnext").percent == 5


def test_who_may_not_change_launches_sees_the_plan_and_no_form(
    client: Client, launch: Launch
) -> None:
    ramp.set_plan(launch, "vnext", read_steps(PLAN), author="ada", reason="r", now=START)
    for name in ("ramp", "guards"):
        page = client.get(page_of(launch, name))
        assert page.status_code == 200
        assert 'class="ramp-form"' not in page.content.decode()
        assert client.post(page_of(launch, name))["Location"].startswith("/login/")
    client.force_login(User.objects.create_user("bob"))
    assert post(client, launch, "pause", reason="r").status_code == 403
    assert client.post(page_of(launch, "guards"), {"action": "1"}).status_code == 403


@pytest.mark.parametrize("name", ["ramp", "guards"])
def test_an_unknown_launch_is_not_found(client: Client, name: str) -> None:
    assert client.get(f"/dashboard/launches/{uuid4()}/{name}/").status_code == 404


@pytest.mark.parametrize(
    "given",
    [
        {"act": "explode", "version": "vnext"},
        {"act": "set", "version": "vlatest-b"},
        {"act": "set", "version": "vlatest"},
        {},
    ],
)
def test_a_forged_act_is_not_found(
    client: Client, launch: Launch, ada: User, given: dict[str, str]
) -> None:
    assert client.post(page_of(launch), given).status_code == 404


def test_a_guard_is_acknowledged_with_a_reason(client: Client, launch: Launch, ada: User) -> None:
    action = acted(launch)
    page, name = page_of(launch, "guards"), f"acknowledge-{action.pk}-reason"
    assert "Worse : vnext was stopped" in text(client.get(page))
    answer = client.post(page, {"action": str(action.pk), name: ""})
    assert (answer.status_code, problems(answer)) == (422, {name: "Enter a reason."})
    answer = client.post(page, {"action": str(action.pk), name: "a bug, see 4711"})
    assert (answer.status_code, answer["Location"]) == (302, f"{page}#action-{action.pk}")
    action.refresh_from_db()
    assert (action.acknowledged_by, action.acknowledged_reason) == ("ada", "a bug, see 4711")
    shown = text(client.get(page))
    assert "Nothing to acknowledge." in shown
    assert "a bug, see 4711" in shown
    twice = client.post(page, {"action": str(action.pk), name: "me too"})
    assert twice.status_code == 422
    assert "ada acknowledged it already." in text(twice)


@pytest.mark.parametrize("action", ["", "²", "9" * 30, "-1", "x"])
def test_a_forged_action_is_not_found(
    client: Client, launch: Launch, ada: User, action: str
) -> None:
    assert client.post(page_of(launch, "guards"), {"action": action}).status_code == 404


def test_the_guards_page_shows_the_settings(
    client: Client, launch: Launch, settings: Settings
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, guard_worse=True, guard_slowed_percent=75)
    page = text(client.get(page_of(launch, "guards")))
    assert "Worse : on GUARD_WORSE" in page
    assert "Its median rose by 75 % or more, on 200 orders each" in page


def guards_of(launch: Launch) -> str:
    return render_parts(launch, board_state(launch, Filter.ALL), is_pinned=False)["guards"]


def test_what_a_guard_did_is_on_the_board_until_it_is_acknowledged(launch: Launch) -> None:
    assert guards_of(launch) == ""
    action = acted(launch, why="<20 % slower>")
    part = guards_of(launch)
    assert "The guard “worse” stopped vnext" in part
    assert "&lt;20 % slower&gt;" in part
    assert f'href="{page_of(launch, "guards")}#action-{action.pk}"' in part
    end_launch(launch, author="ada", reason="over")
    assert "The guard “worse” stopped vnext" in guards_of(launch)
    following = a_launch(name="December")
    assert "in November" in guards_of(following)
    GuardAction.objects.update(acknowledged_at=START, acknowledged_by="ada")
    assert guards_of(launch) == guards_of(following) == ""


def test_the_board_shows_what_a_guard_did_before_its_socket_opens(
    client: Client, launch: Launch
) -> None:
    acted(launch)
    assert "The guard “worse” stopped vnext" in text(client.get("/dashboard/"))
