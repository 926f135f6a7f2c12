"""The admin shows facts and changes launches, and never counts a whole table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import ProtectedError
from django.test import Client
from django.test.utils import CaptureQueriesContext

from restaurant import admin
from restaurant.launches import LaunchRefused, newest_change, open_launch, set_percent
from restaurant.models import DarkVersion, Launch, LaunchChange, Order
from restaurant.tests.making import a_launch, end_launch, some_orders

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


def _form(launch: Launch | None, *dark: tuple[str, str, str], **fields: str) -> dict[str, Any]:
    """What the launch page sends."""
    rows = list(launch.dark_versions.all()) if launch else []
    form: dict[str, Any] = {
        "name": "first",
        "control": "vlatest",
        "reason": "as agreed",
        "seen": str(newest_change(launch.pk)) if launch else "0",
        "dark_versions-TOTAL_FORMS": len(dark),
        "dark_versions-INITIAL_FORMS": len(rows),
        **fields,
    }
    for number, (version, role, percent) in enumerate(dark):
        prefix = f"dark_versions-{number}"
        form |= {f"{prefix}-version": version, f"{prefix}-role": role}
        form[f"{prefix}-percent"] = percent
        form[f"{prefix}-launch"] = str(launch.pk) if launch else ""
        form[f"{prefix}-id"] = str(rows[number].pk) if number < len(rows) else ""
    return form


@pytest.mark.parametrize("page", ["launch", "order"])
def test_every_list_and_page_is_shown(admin_client: Client, page: str) -> None:
    launch = a_launch()
    [order] = some_orders(note="no onions")
    key = {"launch": launch.pk, "order": order.pk}[page]
    assert admin_client.get(f"/admin/restaurant/{page}/").status_code == 200
    shown = admin_client.get(f"/admin/restaurant/{page}/{key}/change/")
    assert shown.status_code == 200
    expected = {"launch": "vlatest-b", "order": "&quot;note&quot;:&quot;no onions&quot;"}
    assert expected[page] in shown.content.decode()


def test_percent_is_changed_in_the_admin_and_holds_from_the_next_order_on(
    admin_client: Client,
) -> None:
    launch = a_launch(candidate="100", baseline="0")
    rows = [(one.version, one.role, "0.00") for one in launch.dark_versions.all()]
    url = f"/admin/restaurant/launch/{launch.pk}/change/"
    assert admin_client.post(url, _form(launch, *rows)).status_code == 302
    assert set(DarkVersion.objects.values_list("percent", flat=True)) == {Decimal(0)}
    [order] = some_orders()
    assert order.sample == []
    change = LaunchChange.objects.get(launch=launch, kind="percent")
    assert (change.version, change.old, change.new) == ("vnext", "100 %", "0 %")
    assert (change.author, change.reason) == ("admin", "as agreed")


def test_a_version_of_a_started_launch_is_never_deleted(admin_client: Client) -> None:
    launch = a_launch()
    rows = [(one.version, one.role, "0") for one in launch.dark_versions.all()]
    deleted = {f"dark_versions-{number}-DELETE": "on" for number in range(len(rows))}
    url = f"/admin/restaurant/launch/{launch.pk}/change/"
    assert admin_client.post(url, _form(launch, *rows, **deleted)).status_code == 302
    percents = dict(DarkVersion.objects.values_list("version", "percent"))
    assert percents == {"vnext": 0, "vlatest-b": 0}
    with pytest.raises(ProtectedError):
        launch.delete()
    assert DarkVersion.objects.count() == 2


def test_a_change_without_a_reason_is_refused_at_the_field(admin_client: Client) -> None:
    launch = a_launch()
    rows = [(one.version, one.role, "0") for one in launch.dark_versions.all()]
    url = f"/admin/restaurant/launch/{launch.pk}/change/"
    refused = admin_client.post(url, _form(launch, *rows, reason=" "))
    assert refused.context["adminform"].form.errors["reason"] == ["Enter a reason."]
    assert set(DarkVersion.objects.values_list("percent", flat=True)) == {100, 20}


def test_a_page_opened_before_another_change_does_not_take_that_change_back(
    admin_client: Client,
) -> None:
    launch = a_launch()
    rows = [(one.version, one.role, str(one.percent)) for one in launch.dark_versions.all()]
    opened_before = _form(launch, *rows, name="renamed")
    set_percent(launch, "vnext", Decimal(0), author="ben", reason="stop it")
    url = f"/admin/restaurant/launch/{launch.pk}/change/"
    refused = admin_client.post(url, opened_before).content.decode()
    assert "Not saved: ben changed this launch meanwhile" in refused
    assert "(vnext 100 % \N{RIGHTWARDS ARROW} 0 %)" in refused
    launch.refresh_from_db()
    assert launch.name == "first"
    assert DarkVersion.objects.get(version="vnext").percent == 0


def test_a_refusal_during_saving_is_shown_and_nothing_is_saved(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise LaunchRefused("another launch was started at the same moment")

    monkeypatch.setattr(admin, "start_launch", refused)
    form = _form(None, ("vnext", "candidate", "5"))
    response = admin_client.post("/admin/restaurant/launch/add/", form, follow=True)
    assert "Not saved: another launch was started at the same moment" in response.content.decode()
    assert not Launch.objects.exists()


@pytest.mark.parametrize(
    ("version", "percent", "said"),
    [
        ("vlatest", "5", "vlatest is the control"),
        ("vnext", "101", "less than or equal to 100"),
        ("vnext", "-1", "greater than or equal to 0"),
        ("V!", "5", "Lower-case letters"),
    ],
)
def test_a_wrong_version_or_percent_is_refused(
    admin_client: Client, version: str, percent: str, said: str
) -> None:
    form = _form(None, (version, "candidate", percent))
    response = admin_client.post("/admin/restaurant/launch/add/", form)
    assert response.status_code == 200
    assert said in response.content.decode()
    assert not Launch.objects.exists()


def test_a_launch_is_started_and_ended_in_the_admin_one_at_a_time(admin_client: Client) -> None:
    form = _form(None, ("vnext", "candidate", "5"))
    assert admin_client.post("/admin/restaurant/launch/add/", form).status_code == 302
    again = admin_client.post("/admin/restaurant/launch/add/", form)
    assert "Another launch is running. End it first." in again.content.decode()
    launch = Launch.objects.get()
    change = LaunchChange.objects.get(launch=launch)
    assert (change.kind, change.author, change.reason) == ("started", "admin", "as agreed")
    action = {"action": "end", "_selected_action": str(launch.pk)}
    asked = admin_client.post("/admin/restaurant/launch/", action, follow=True)
    assert open_launch() == launch
    assert "This can't be undone" in asked.content.decode()
    url = f"/admin/restaurant/launch/{launch.pk}/end/"
    assert asked.redirect_chain == [(url, 302)]
    assert "Enter a reason." in admin_client.post(url, {"reason": ""}).content.decode()
    assert open_launch() == launch
    ended = admin_client.post(url, {"reason": "promoted"}, follow=True)
    assert "First has ended." in ended.content.decode()
    assert open_launch() is None
    change = LaunchChange.objects.get(launch=launch, kind="ended")
    assert (change.author, change.reason) == ("admin", "promoted")
    once_more = admin_client.post("/admin/restaurant/launch/", action, follow=True)
    assert "This launch has already ended." in once_more.content.decode()
    again = admin_client.post(url, {"reason": "twice"}, follow=True)
    assert "This launch has already ended." in again.content.decode()
    assert LaunchChange.objects.filter(kind="ended").count() == 1


def test_who_may_not_change_launches_may_not_end_one(client: Client) -> None:
    launch = a_launch()
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_launch"))
    client.force_login(viewer)
    shown = client.get(f"/admin/restaurant/launch/{launch.pk}/change/").content.decode()
    assert f"/admin/restaurant/launch/{launch.pk}/end/" not in shown
    assert client.post(f"/admin/restaurant/launch/{launch.pk}/end/").status_code == 403
    launch.refresh_from_db()
    assert launch.ended_at is None


def test_changes_of_launches_are_listed_and_never_written(admin_client: Client) -> None:
    launch = a_launch()
    [change] = LaunchChange.objects.all()
    listed = admin_client.get("/admin/restaurant/launchchange/", {"q": "a test"}).content.decode()
    assert "vlatest (control), vnext (candidate, 100 %)" in listed
    page = f"/admin/restaurant/launchchange/{change.pk}"
    assert admin_client.get(f"{page}/change/").status_code == 200
    assert admin_client.post(f"{page}/change/", {"reason": "mine"}).status_code == 403
    for act in (f"{page}/delete/", "/admin/restaurant/launchchange/add/"):
        assert admin_client.get(act).status_code == 403
    shown = admin_client.get(f"/admin/restaurant/launch/{launch.pk}/change/").content.decode()
    assert f'href="/dashboard/launches/{launch.pk}/changes/"' in shown


def _parts(launch: Launch) -> dict[str, tuple[str, Decimal]]:
    return {one.version: (one.role, one.percent) for one in launch.dark_versions.all()}


def test_the_parts_of_a_started_launch_stay_and_another_version_may_join(
    admin_client: Client,
) -> None:
    launch = a_launch(candidate="100", baseline="20")
    known = [("vother", "candidate", "1"), ("vother-b", "candidate", "2")]
    form = _form(launch, *known, ("vmine", "candidate", "3"), control="vnew")
    form |= {f"dark_versions-{number}-DELETE": "on" for number in (0, 1)}
    url = f"/admin/restaurant/launch/{launch.pk}/change/"
    assert admin_client.post(url, form).status_code == 302
    first, second = (one.version for one in launch.dark_versions.exclude(version="vmine"))
    roles = {"vnext": "candidate", "vlatest-b": "baseline"}
    assert _parts(launch) == {
        first: (roles[first], Decimal(1)),
        second: (roles[second], Decimal(2)),
        "vmine": ("candidate", Decimal(3)),
    }
    changes = LaunchChange.objects.filter(launch=launch).exclude(kind="started")
    assert [(one.kind, one.version, one.new) for one in changes.order_by("id")] == [
        ("percent", first, "1 %"),
        ("percent", second, "2 %"),
        ("added", "vmine", "candidate, 3 %"),
    ]
    launch.refresh_from_db()
    assert launch.control == "vlatest"


@pytest.mark.parametrize("version", ["vlatest", "vnext"])
def test_a_version_that_has_a_part_cannot_join_again(admin_client: Client, version: str) -> None:
    launch = a_launch()
    rows = [(one.version, one.role, "5") for one in launch.dark_versions.all()]
    form = _form(launch, *rows, (version, "candidate", "5"))
    url = f"/admin/restaurant/launch/{launch.pk}/change/"
    assert admin_client.post(url, form).status_code == 200
    assert set(_parts(launch)) == {"vnext", "vlatest-b"}


def test_an_ended_launch_is_only_looked_at(admin_client: Client) -> None:
    launch = a_launch()
    end_launch(launch)
    url = f"/admin/restaurant/launch/{launch.pk}/change/"
    shown = admin_client.get(url).content.decode()
    assert "vlatest-b" in shown
    assert 'name="name"' not in shown
    assert 'name="_save"' not in shown
    assert f'<a href="/dashboard/?launch={launch.pk}">Board</a>' in shown
    form = _form(launch, *[(one.version, one.role, "5") for one in launch.dark_versions.all()])
    assert admin_client.post(url, form).status_code == 403


def test_a_launchs_page_leads_to_its_board(admin_client: Client) -> None:
    launch = a_launch()
    shown = admin_client.get(f"/admin/restaurant/launch/{launch.pk}/change/").content.decode()
    assert f'<a href="/dashboard/?launch={launch.pk}">Board</a>' in shown
    assert shown.index("column-percent") < shown.index("column-role")


def test_facts_can_neither_be_added_nor_changed_nor_deleted(admin_client: Client) -> None:
    [order] = some_orders()
    for act in ("add/", f"{order.pk}/delete/"):
        assert admin_client.get(f"/admin/restaurant/order/{act}").status_code == 403
    url = f"/admin/restaurant/order/{order.pk}/change/"
    assert admin_client.post(url, {"note": "mine"}).status_code == 403
    assert Order.objects.get().note == ""


def test_an_order_is_found_by_number_and_by_id(admin_client: Client) -> None:
    first, second = some_orders(2)

    def found(text: str) -> set[int]:
        response = admin_client.get("/admin/restaurant/order/", {"q": text})
        assert response.status_code == 200
        return {row.pk for row in response.context["cl"].result_list}

    for text in (str(first.pk), f"#{first.pk}", str(first.uuid), str(first.uuid).upper()):
        assert found(text) == {first.pk}
    assert found("") == {first.pk, second.pk}
    for text in ("burger", str(uuid4()), "9" * 30, "#", "%"):
        assert found(text) in (set(), {first.pk, second.pk} if text == "#" else set())


def test_a_list_costs_a_fixed_number_of_bounded_statements(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "COUNTED", 60)
    some_orders(70)
    with CaptureQueriesContext(connection) as queries:
        response = admin_client.get("/admin/restaurant/order/")
    assert response.context["cl"].result_count == 60
    rows = [one["sql"] for one in queries if '"restaurant_order"' in one["sql"]]
    assert len(rows) == 2
    assert all("LIMIT" in sql for sql in rows)
