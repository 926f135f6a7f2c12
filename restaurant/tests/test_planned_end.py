"""A launch ends by itself at the time or with the number of orders that was planned, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from kitchen_worker.amqp.shutdown import Shutdown
from restaurant import launches, relay
from restaurant.launches import (
    NO_PLAN,
    LaunchRefused,
    PlannedEnd,
    end_where_planned,
    open_launch,
    plan_end,
    start_launch,
)
from restaurant.models import Launch, LaunchChange
from restaurant.outbox import mark_sent
from restaurant.tests.making import a_launch, end_launch, messages_of, run, some_orders, until
from restaurant.tests.test_admin import _form

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
FRIDAY = datetime(2100, 12, 3, 18, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    now = [timezone.now()]
    monkeypatch.setattr(launches, "utc_now", lambda: now[0])
    return now


def _plan(launch: Launch, plan: PlannedEnd) -> LaunchChange | None:
    return plan_end(launch, plan, author="ada", reason="as agreed")


def _send(count: int) -> None:
    mark_sent(messages_of(some_orders(count)))


def _last(launch: Launch) -> tuple[str, str, str, str, str]:
    one = LaunchChange.objects.filter(launch=launch).latest("pk")
    return one.kind, one.old, one.new, one.author, one.reason


def test_at_the_planned_time_it_ends_once_with_the_reason(clock: list[datetime]) -> None:
    launch = a_launch()
    _plan(launch, PlannedEnd(at=FRIDAY))
    clock[0] = FRIDAY - timedelta(seconds=1)
    assert end_where_planned() is None
    clock[0] = FRIDAY + timedelta(seconds=3)
    assert end_where_planned() == launch
    assert end_where_planned() is None
    [order] = some_orders()
    assert (order.launch, order.sample) == (None, [])
    why = "its planned end: 3 Dec 2100, 18:00 UTC"
    assert _last(launch) == ("ended", "running", "ended", "planned end", why)
    assert LaunchChange.objects.filter(kind="ended").count() == 1


def test_with_the_planned_orders_it_ends_whichever_comes_first() -> None:
    launch = a_launch()
    _plan(launch, PlannedEnd(at=FRIDAY, orders=20))
    _send(19)
    some_orders(5)
    assert end_where_planned() is None
    _send(3)
    assert end_where_planned() == launch
    why = "its planned end: 3 Dec 2100, 18:00 UTC or 20 orders; 22 were sent"
    assert _last(launch)[-1] == why
    assert open_launch() is None


def test_without_a_plan_it_goes_on() -> None:
    launch = a_launch()
    _send(30)
    assert end_where_planned() is None
    _plan(launch, PlannedEnd(orders=40))
    _plan(launch, NO_PLAN)
    _send(30)
    assert end_where_planned() is None
    end_launch(launch)
    assert end_where_planned() is None


def test_each_change_of_the_plan_leaves_a_row_and_what_changes_nothing_none() -> None:
    launch = a_launch()
    change = _plan(launch, PlannedEnd(FRIDAY, 20_000))
    assert str(change) == (
        "launch planned end: none \N{RIGHTWARDS ARROW} 3 Dec 2100, 18:00 UTC or 20,000 orders"
    )
    assert _plan(launch, PlannedEnd(FRIDAY, 20_000)) is None
    _plan(launch, NO_PLAN)
    assert _last(launch)[:3] == ("planned", "3 Dec 2100, 18:00 UTC or 20,000 orders", "none")


def test_a_launch_may_be_started_with_its_planned_end() -> None:
    plan = PlannedEnd(orders=500)
    launch = start_launch("mine", "vlatest", [], author="ada", reason="why", plan=plan)
    assert (launch.ends_after, launch.planned_end) == (500, "500 orders")
    assert _last(launch)[2] == "vlatest (control), until 500 orders"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (PlannedEnd(at=datetime(2026, 1, 1, tzinfo=UTC)), "ends_at: This time has passed."),
        (PlannedEnd(orders=3), "ends_after: 3 orders were sent in this launch already."),
        (PlannedEnd(orders=0), "ends_after: .*greater than or equal to 1"),
        (PlannedEnd(orders=-1), "ends_after: .*greater than or equal to 1"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused_with_its_field(plan: PlannedEnd, said: str) -> None:
    launch = a_launch()
    _send(3)
    with pytest.raises(LaunchRefused, match=said):
        _plan(launch, plan)
    launch.refresh_from_db()
    assert launch.planned_end == ""
    assert _last(launch)[0] == "started"


def test_the_end_of_a_launch_that_has_ended_cannot_be_planned() -> None:
    launch = a_launch()
    end_launch(launch)
    with pytest.raises(LaunchRefused, match="first has ended"):
        _plan(launch, PlannedEnd(orders=5))


# The relay


def test_the_relay_ends_it_without_a_broker_and_goes_on_after_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launch = a_launch()
    _plan(launch, PlannedEnd(orders=2))
    _send(2)
    monkeypatch.setattr(relay, "CHECK_EVERY_S", 0.01)
    faults = [DatabaseError("a deadlock")]

    def first_fails() -> Launch | None:
        if faults:
            raise faults.pop()
        return end_where_planned()

    monkeypatch.setattr(launches, "end_where_planned", first_fails)

    async def play() -> None:
        shutdown = Shutdown()
        ending = asyncio.ensure_future(relay.end_launches(shutdown))

        async def ended() -> bool:
            return await sync_to_async(open_launch)() is None

        await until(ended, "the launch has ended")
        shutdown.request()
        await ending

    run(play)
    assert faults == []


# The admin and the command line


def _page(client: Client, launch: Launch, **fields: str) -> dict[str, list[str]]:
    rows = [(one.version, one.role, str(one.percent)) for one in launch.dark_versions.all()]
    url = f"/admin/restaurant/launch/{launch.pk}/change/"
    response = client.post(url, _form(launch, *rows, **fields))
    if response.status_code == 302:
        return {}
    errors: dict[str, list[str]] = response.context["adminform"].form.errors
    return errors


def test_it_is_planned_in_the_admin_and_errors_are_shown_at_their_field(
    admin_client: Client,
) -> None:
    launch = a_launch()
    past = {"ends_at_0": "2026-01-02", "ends_at_1": "18:00"}
    assert _page(admin_client, launch, **past) == {"ends_at": ["This time has passed."]}
    assert list(_page(admin_client, launch, ends_at_0="Friday")) == ["ends_at"]
    assert list(_page(admin_client, launch, ends_after="0")) == ["ends_after"]
    coming = {"ends_at_0": "2100-12-03", "ends_at_1": "18:00", "ends_after": "20000"}
    assert _page(admin_client, launch, **coming) == {}
    launch.refresh_from_db()
    assert launch.planned_end == "3 Dec 2100, 18:00 UTC or 20,000 orders"
    assert _last(launch)[3:] == ("admin", "as agreed")
    assert "20,000 orders" in admin_client.get("/admin/restaurant/launch/").content.decode()


def test_a_new_launch_is_planned_in_the_admin(admin_client: Client) -> None:
    form = _form(None, ("vnext", "candidate", "5"), ends_after="0")
    refused = admin_client.post("/admin/restaurant/launch/add/", form)
    assert list(refused.context["adminform"].form.errors) == ["ends_after"]
    form["ends_after"] = "300"
    assert admin_client.post("/admin/restaurant/launch/add/", form).status_code == 302
    assert Launch.objects.get().planned_end == "300 orders"


def _command(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_it_is_planned_on_the_command_line() -> None:
    _command("start_launch", "--until", "2100-12-03T19:00+01:00")
    launch = Launch.objects.get()
    assert launch.ends_at == FRIDAY
    said = _command("plan_end", "--until", "2100-12-03T18:00", "--orders", "20000", "--why", "x")
    assert "18:00 UTC \N{RIGHTWARDS ARROW} 3 Dec 2100, 18:00 UTC or 20,000 orders" in said
    assert "planned end: " in _command("plan_end", "--why", "no hurry")
    assert "that is the plan already" in _command("plan_end", "--why", "no hurry")
    for words, wrong in (
        (["--until", "Friday"], "'Friday' is no time such as"),
        (["--until", "2026-01-01"], "This time has passed"),
        (["--orders", "-5"], "greater than or equal to 1"),
    ):
        with pytest.raises(CommandError, match=wrong):
            _command("plan_end", *words, "--why", "x")
