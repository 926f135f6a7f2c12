"""The requirements of a launch: read, set with a reason, and never overwritten unseen."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import Settings

from dashboard.models import LaunchRequirements
from dashboard.review import thresholds
from dashboard.review.thresholds import current_revision, set_requirements
from dashboard.tests.factories import START, a_launch
from dashboard.tests.test_discrepancy_pages import shown, text
from dashboard.verdict.evaluation import requirements_of
from dashboard.verdict.thresholds import THRESHOLDS, Requirements
from restaurant.models import Launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

AS_TYPED = {
    "speed_margin": "5",
    "failures_margin": "0,25 %",
    "slow_margin": "1",
    "differences_margin": "0.5",
    "most_missing": "0",
    "most_behind_s": "30",
    "reason": "a lunch rush may wait",
    "seen": "0",
}


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


@pytest.fixture
def launch() -> Launch:
    return a_launch()


@pytest.fixture
def ada(client: Client) -> User:
    """Who may set requirements, and is logged in."""
    user = User.objects.create_user("ada")
    user.user_permissions.add(Permission.objects.get(codename="add_launchrequirements"))
    client.force_login(user)
    return user


def page_of(launch: Launch) -> str:
    return f"/dashboard/launches/{launch.id}/requirements/"


def problems(response: Any) -> dict[str, str]:
    """What is wrong, by field."""
    found = re.findall(r'id="problem-(\w+)">([^<]+)<', response.content.decode())
    return dict(found)


def set_by(author: str, launch: UUID, **lines: float) -> LaunchRequirements:
    return set_requirements(
        launch,
        Requirements(**lines),
        author=author,
        reason="why",
        now=START,
        seen=current_revision(launch),
    )


def test_every_line_but_how_sure_a_verdict_is_can_be_set() -> None:
    columns = {field.name for field in LaunchRequirements._meta.get_fields()}
    assert set(THRESHOLDS) <= columns
    assert set(AS_TYPED) == {*THRESHOLDS, "reason", "seen"}


def test_the_defaults_hold_until_somebody_sets_them(client: Client, launch: Launch) -> None:
    page = text(client.get(page_of(launch)))
    assert "Speed slower by at most 2 %" in page
    assert "Keeping up lag at most 10 s" in page
    assert "No changes; defaults apply." in page
    assert "Change thresholds" not in page


def test_the_form_holds_the_lines_as_percentages(client: Client, launch: Launch, ada: User) -> None:
    set_by("bo", launch.id, failures_margin=0.0025, slow_margin=0.007)
    page = shown(client, page_of(launch))
    values = dict(re.findall(r'name="(\w+)"[^>]* value="([^"]*)"', page))
    assert values | {"csrfmiddlewaretoken": ""} == {
        "csrfmiddlewaretoken": "",
        "speed_margin": "2",
        "failures_margin": "0.25",
        "slow_margin": "0.7",
        "differences_margin": "0.5",
        "most_missing": "1",
        "most_behind_s": "10",
        "reason": "",
        "seen": str(current_revision(launch.id)),
    }


def test_what_a_person_types_holds_from_then_on_with_who_when_and_why(
    client: Client, launch: Launch, ada: User
) -> None:
    response = client.post(page_of(launch), AS_TYPED)
    assert response.status_code == 302
    assert requirements_of(launch.id) == Requirements(
        speed_margin=0.05, failures_margin=0.0025, most_missing=0.0, most_behind_s=30.0
    )
    page = text(client.get(page_of(launch)))
    assert "ada , " in page
    assert "Speed 2 % → 5 %, Failures 0.5 pp → 0.25 pp" in page
    assert "Keeping up 10 s → 30 s a lunch rush may wait" in page


def test_the_history_holds_each_setting_against_the_one_before(
    client: Client, launch: Launch
) -> None:
    set_by("bo", launch.id, speed_margin=0.05)
    set_by("cy", launch.id, speed_margin=0.03)
    set_by("bo", uuid4(), speed_margin=0.5)
    page = text(client.get(page_of(launch)))
    assert page.index("Speed 5 % → 3 %") < page.index("Speed 2 % → 5 %")
    assert "50 %" not in page


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("speed_margin", "", "Enter a number"),
        ("speed_margin", "two", "Enter a number"),
        ("speed_margin", "nan", "Enter a number"),
        ("speed_margin", "0", "Enter a percentage from 0.1 to 100."),
        ("failures_margin", "-1", "Enter a percentage from 0.01 to 100."),
        ("slow_margin", "101", "Enter a percentage from 0.01 to 100."),
        ("differences_margin", "inf", "Enter a number"),
        ("most_missing", "-0.1", "Enter a percentage from 0 to 100."),
        ("most_behind_s", "0", "Enter at least one second."),
        ("most_behind_s", "1e9", "Enter at most 86,400 seconds"),
        ("reason", " ", "Enter a reason"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    client: Client, launch: Launch, ada: User, field: str, typed: str, said: str
) -> None:
    response = client.post(page_of(launch), AS_TYPED | {field: typed})
    assert response.status_code == 422
    found = problems(response)
    assert list(found) == [field]
    assert said in found[field]
    page = response.content.decode()
    assert [one for one in AS_TYPED.values() if f'value="{one}"' not in page] in (
        [],
        [AS_TYPED[field]],
    )
    assert not LaunchRequirements.objects.exists()


def test_who_was_slower_is_told_and_can_set_them_all_the_same(
    client: Client, launch: Launch, ada: User
) -> None:
    set_by("bo", launch.id, speed_margin=0.03)
    response = client.post(page_of(launch), AS_TYPED)
    assert response.status_code == 422
    assert "Not saved: changed by someone else" in text(response)
    assert requirements_of(launch.id).speed_margin == 0.03
    (seen,) = re.findall(r'name="seen" value="(\d+)"', response.content.decode())
    assert client.post(page_of(launch), AS_TYPED | {"seen": seen}).status_code == 302
    assert requirements_of(launch.id).speed_margin == 0.05


def test_of_two_who_set_them_at_once_the_second_is_told(
    client: Client, launch: Launch, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find that nobody has set them, and then both do."""

    def then_bo_sets_them(of: UUID) -> int:
        found = current_revision(of)
        monkeypatch.setattr(thresholds, "current_revision", current_revision)
        set_by("bo", of, speed_margin=0.03)
        return found

    monkeypatch.setattr(thresholds, "current_revision", then_bo_sets_them)
    response = client.post(page_of(launch), AS_TYPED)
    assert response.status_code == 422
    assert "Not saved: changed by someone else" in text(response)
    assert requirements_of(launch.id).speed_margin == 0.03


def test_only_who_may_can_set_them(client: Client, launch: Launch) -> None:
    assert client.post(page_of(launch), AS_TYPED)["Location"].startswith("/login/")
    client.force_login(User.objects.create_user("bo"))
    assert client.post(page_of(launch), AS_TYPED).status_code == 403
    assert "Change thresholds" not in text(client.get(page_of(launch)))
    assert not LaunchRequirements.objects.exists()


def test_a_board_that_is_not_public_asks_for_a_login(
    client: Client, launch: Launch, settings: Settings
) -> None:
    settings.BOARD_PUBLIC = False
    assert client.get(page_of(launch))["Location"].startswith("/login/")


def test_there_is_no_page_for_a_launch_that_is_not_there(client: Client) -> None:
    assert client.get(f"/dashboard/launches/{uuid4()}/requirements/").status_code == 404


def test_in_the_admin_they_are_read_and_never_written(admin_client: Client, launch: Launch) -> None:
    row = set_by("bo", launch.id, speed_margin=0.03)
    home = "/admin/dashboard/launchrequirements/"
    assert "bo" in text(admin_client.get(home, {"q": "bo"}))
    assert admin_client.get(f"{home}{row.pk}/change/").status_code == 200
    assert admin_client.get(f"{home}add/").status_code == 403
    assert admin_client.post(f"{home}{row.pk}/delete/", {"post": "yes"}).status_code == 403
