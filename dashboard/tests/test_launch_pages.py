"""The pages of launches, and what people do on them."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from dashboard.comparison.outcome import Decision
from dashboard.launches.ramp import PRESET, pause, set_plan
from dashboard.models import (
    FinalVerdict,
    GuardAction,
    LaunchChoice,
    LaunchDecision,
    LaunchRequirements,
    Participant,
)
from dashboard.models.review import AppendOnlyError
from dashboard.tests.factories import START, observed
from dashboard.tests.making import a_discrepancy
from dashboard.tests.test_discrepancy_pages import shown
from kitchen_worker.contract.messages import Role
from restaurant.launches import (
    end_launch,
    purges_wanted,
    record_purge,
    set_percent,
    start_launch,
)
from restaurant.models import Launch, LaunchChange

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

LIST = "/dashboard/launches/"
NEW = f"{LIST}new/"
AS_TYPED = {
    "name": "December",
    "control": "vlatest",
    "rows": "1",
    "candidate-0": "vnext",
    "percent-0": "5",
    "baseline": "vlatest-b",
    "baseline_percent": "20",
    "ends_at": "",
    "ends_after": "",
    "reason": "",
}


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


@pytest.fixture
def ada(client: Client) -> User:
    """An operator who is logged in."""
    return an_operator(client, "ada")


def an_operator(client: Client, name: str) -> User:
    user = User.objects.create_user(name)
    codenames = ["add_launch", "change_launch", "add_launchdecision"]
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return user


def begin(name: str = "November", *, percent: str = "25") -> Launch:
    dark = [("vnext", Role.CANDIDATE, Decimal(percent)), ("vlatest-b", Role.BASELINE, Decimal(20))]
    return start_launch(name, "vlatest", dark, author="bo", reason="a try")


def page_of(launch: Launch) -> str:
    return f"{LIST}{launch.pk}/"


def text(page: Any) -> str:
    """What a person reads of a page, in one line."""
    written = page if isinstance(page, str) else page.content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", written)).split())


def problems(response: Any) -> dict[str, str]:
    """What is wrong, by field."""
    found = re.findall(r'id="problem-([\w-]+)">([^<]+)<', response.content.decode())
    return {name: html.unescape(said) for name, said in found}


def percents(launch: Launch) -> dict[str, Decimal]:
    return dict(launch.dark_versions.values_list("version", "percent"))


def final(launch: Launch, word: str, version: str = "vnext") -> None:
    FinalVerdict.objects.create(
        launch=launch.pk,
        version=version,
        word=word,
        at=timezone.now(),
        orders=900,
        verdict={"word": word, "sentence": f"{version} is {word}.", "requirements": []},
    )


def test_an_empty_list_says_how_to_start_a_launch(client: Client) -> None:
    page = text(shown(client, LIST))
    assert "No launch yet" in page
    assert "manage.py launch start" in page


def test_a_launch_is_listed_with_its_versions_word_decision_orders_and_discrepancies(
    client: Client,
) -> None:
    launch = begin()
    Participant.objects.create(launch=launch.pk, version="vlatest", role="control", orders=1234)
    Participant.objects.create(launch=launch.pk, version="vnext", role="candidate", orders=310)
    a_discrepancy(launch.pk)
    a_discrepancy(launch.pk, "note", state=Decision.NOISE)
    a_discrepancy(launch.pk, "cook", version="vlatest-b")
    end_launch(launch, author="bo", reason="over")
    final(launch, "worse")
    decide_as("abandon", launch)
    page = text(shown(client, LIST))
    for expected in ("November", "vnext candidate, 25", "worse", "final", "abandoned", "1,234"):
        assert expected in page, expected
    assert "open discrepancies 1" in page


def decide_as(choice: str, launch: Launch, **fields: Any) -> LaunchDecision:
    return LaunchDecision.objects.create(
        **{
            "launch": launch.pk,
            "version": "vnext",
            "choice": choice,
            "step": "decided",
            "author": "bo",
            "reason": "enough",
            "at": timezone.now(),
            "opposed": False,
            **fields,
        }
    )


def test_the_list_reads_as_much_for_twenty_launches_as_for_one(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(25):
        end_launch(begin(f"launch {number}"), author="bo", reason="over", at=START)
    with django_assert_max_num_queries(20):
        first = shown(client, LIST)
    assert "launch 24" in first
    assert "launch 4" not in re.findall(r">(launch \d+)<", first)
    assert "launch 4" in re.findall(r">(launch \d+)<", shown(client, f"{LIST}?page=2"))


def test_a_launch_is_started_with_the_versions_and_percents_that_were_typed(
    client: Client, ada: User
) -> None:
    response = client.post(NEW, AS_TYPED, follow=True)
    launch = Launch.objects.get()
    assert response.redirect_chain == [(page_of(launch), 302)]
    assert percents(launch) == {"vnext": 5, "vlatest-b": 20}
    assert "December has started" in text(response)
    assert LaunchChange.objects.get().author == "ada"


def test_the_form_is_filled_with_the_last_launchs_versions_under_a_new_name(
    client: Client, ada: User
) -> None:
    end_launch(begin("vnext vs. vlatest", percent="0"), author="bo", reason="over")
    page = shown(client, NEW)
    values = dict(re.findall(r'name="([\w-]+)"[^>]*?value="([^"]*)"', page))
    assert values["name"] == "vnext vs. vlatest 2"
    assert (values["candidate-0"], values["percent-0"]) == ("vnext", "5")
    assert (values["baseline"], values["baseline_percent"]) == ("vlatest-b", "20")


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"name": ""}, {"name": "Enter a name."}),
        ({"candidate-0": "V Next"}, {"candidate-0": "Use lower-case letters"}),
        ({"candidate-0": ""}, {"candidate-0": "Name a version."}),
        ({"percent-0": ""}, {"percent-0": "Enter a percentage."}),
        ({"percent-0": "101"}, {"percent-0": "Enter a percentage from 0 to 100"}),
        ({"candidate-0": "vlatest"}, {"candidate-0": "Vlatest is the control"}),
        ({"baseline": "vnext"}, {"baseline": "A dark version is named twice"}),
        ({"control": "events"}, {"control": "A version cannot be called events"}),
        ({"ends_after": "0"}, {"ends_after": "Enter at least one order."}),
        ({"ends_at": "2020-01-01 10:00"}, {"ends_at": "This time has passed."}),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    client: Client, ada: User, typed: dict[str, str], wrong: dict[str, str]
) -> None:
    response = client.post(NEW, {**AS_TYPED, "reason": "for fun", **typed})
    assert response.status_code == 422
    found = problems(response)
    assert {name: said[: len(wrong[name])] for name, said in found.items()} == wrong
    assert 'value="for fun"' in response.content.decode()
    assert not Launch.objects.exists()


def test_another_candidate_is_added_and_keeps_what_was_typed(client: Client, ada: User) -> None:
    page = client.post(NEW, {**AS_TYPED, "more": "1"}).content.decode()
    values = dict(re.findall(r'name="([\w-]+)"[^>]*?value="([^"]*)"', page))
    assert (values["rows"], values["candidate-0"], values["candidate-1"]) == ("2", "vnext", "")
    assert re.search(r'name="candidate-1"[^>]* autofocus', page)
    more = {**AS_TYPED, "rows": "2", "candidate-1": "vmine", "percent-1": "0,5 %"}
    client.post(NEW, more)
    assert percents(Launch.objects.get())["vmine"] == Decimal("0.5")


def test_a_second_launch_is_not_started_beside_a_running_one(client: Client, ada: User) -> None:
    begin()
    assert "November is running" in text(shown(client, NEW))
    response = client.post(NEW, AS_TYPED)
    assert "Another launch is running; end it first." in text(response)
    assert Launch.objects.count() == 1


def test_thresholds_are_set_with_the_start_by_those_who_may(client: Client, ada: User) -> None:
    given = {
        "speed_margin": "5", "failures_margin": "0.5", "slow_margin": "1",
        "differences_margin": "0.5", "most_missing": "1", "most_behind_s": "10",
    }  # fmt: skip
    client.post(NEW, AS_TYPED | given)
    assert not LaunchRequirements.objects.exists()
    end_launch(Launch.objects.get(), author="bo", reason="over")
    ada.user_permissions.add(Permission.objects.get(codename="add_launchrequirements"))
    client.post(NEW, AS_TYPED | given)
    assert LaunchRequirements.objects.get().speed_margin == 0.05


def test_percents_are_changed_with_one_reason(client: Client, ada: User) -> None:
    launch = begin()
    typed = {"percent-0": "50", "percent-1": "20", "reason": "calm", "seen": newest(launch)}
    response = client.post(f"{page_of(launch)}percent/", typed, follow=True)
    assert percents(launch) == {"vnext": 50, "vlatest-b": 20}
    said = text(response)
    assert "vnext 25 % \N{RIGHTWARDS ARROW} 50 %. It applies from the next order on." in said
    assert LaunchChange.objects.filter(kind="percent").count() == 1


def newest(launch: Launch) -> str:
    return str(LaunchChange.objects.filter(launch=launch).values_list("pk", flat=True)[0])


def test_a_percent_without_a_reason_or_of_an_old_page_is_refused_at_its_field(
    client: Client, ada: User
) -> None:
    launch = begin()
    typed = {"percent-0": "200", "percent-1": "20", "reason": "", "seen": newest(launch)}
    response = client.post(f"{page_of(launch)}percent/", typed)
    assert (response.status_code, set(problems(response))) == (422, {"percent-0", "reason"})
    assert 'value="200"' in response.content.decode()
    set_percent(launch, "vnext", Decimal(1), author="bo", reason="slow")
    stale = {**typed, "percent-0": "50", "reason": "calm"}
    response = client.post(f"{page_of(launch)}percent/", stale)
    assert "changed by someone else" in text(response)
    assert percents(launch)["vnext"] == 1
    assert f'name="seen" value="{newest(launch)}"' in response.content.decode()


def test_a_version_is_stopped_after_a_question_with_a_reason(client: Client, ada: User) -> None:
    launch = begin()
    stop = f"{page_of(launch)}stop/vnext/"
    assert "From the next order on it gets 0 % instead of 25" in text(shown(client, stop))
    assert problems(client.post(stop, {"reason": " "})) == {"reason": "Enter a reason."}
    assert percents(launch)["vnext"] == 25
    response = client.post(stop, {"reason": "it fails"}, follow=True)
    assert "Stopped: vnext gets no orders." in text(response)
    assert percents(launch) == {"vnext": 0, "vlatest-b": 20}


def test_a_purge_that_waits_for_the_relay_is_said_until_it_is_done(
    client: Client, ada: User
) -> None:
    launch = begin()
    given = {"reason": "it fails", "purge": "on"}
    response = client.post(f"{page_of(launch)}stop/vnext/", given, follow=True)
    assert "The relay purges its queue within seconds" in text(response)
    assert "Its queue is yet to be purged, by the relay." in text(response)
    (wanted,) = purges_wanted()
    record_purge(wanted, 312)
    page = text(shown(client, page_of(launch)))
    assert "yet to be purged" not in page
    assert "queue purged: vnext, 312 orders dropped ada: asked for with the stop" in page


def test_the_last_order_after_a_stop_and_how_long_it_took_are_shown(client: Client) -> None:
    launch = begin()
    set_percent(launch, "vnext", Decimal(0), author="bo", reason="it fails")
    at = LaunchChange.objects.filter(kind="percent").get().at
    for number in range(-30, 30):
        sent_at = at + timedelta(milliseconds=20 * number + 5)
        order = observed(
            launch.pk,
            f"order-{number + 30}",
            sample=["vnext"] if number <= 10 else [],
            sent_at=sent_at,
            arrived_at=sent_at,
        )
        assert order.pk
    page = text(shown(client, page_of(launch)))
    assert "took hold in 205 ms, order order-40 was the last" in page.replace("\xa0", " ")
    assert "none of the 19 orders since went to it" in page


def test_a_launch_is_ended_after_a_question(client: Client, ada: User) -> None:
    launch = begin()
    end = f"{page_of(launch)}end/"
    assert "can't be undone" in text(shown(client, end))
    assert client.post(end, {"reason": ""}).status_code == 422
    response = client.post(end, {"reason": "done"}, follow=True)
    launch.refresh_from_db()
    assert launch.ended_at is not None
    assert "November has ended" in text(response)
    again = client.post(end, {"reason": "done"}, follow=True)
    assert "already ended" in text(again)


def test_a_decision_is_kept_with_the_word_of_its_time(client: Client, ada: User) -> None:
    launch = begin()
    end_launch(launch, author="bo", reason="over")
    final(launch, "worse")
    decide = f"{page_of(launch)}decide/vnext/"
    page = text(shown(client, decide))
    assert "To promote it would be against the verdict" in page
    assert problems(client.post(decide, {"reason": "why not"})) == {"act": "Choose a decision."}
    response = client.post(decide, {"reason": "it fails", "act": "abandon"}, follow=True)
    made = LaunchDecision.objects.get()
    assert (made.word, made.opposed, made.author) == ("worse", False, "ada")
    assert "Decided to abandon vnext." in text(response)
    again = client.post(decide, {"reason": "no", "act": "promote"})
    assert "a decision is final" in text(again)
    assert LaunchDecision.objects.count() == 1


def test_a_decision_against_the_verdict_is_marked_on_every_page(client: Client, ada: User) -> None:
    launch = begin()
    final(launch, "worse")
    end_launch(launch, author="bo", reason="over")
    given = {"reason": "we know better", "act": LaunchChoice.PROMOTE.value}
    client.post(f"{page_of(launch)}decide/vnext/", given)
    for path in (LIST, page_of(launch)):
        assert "promoted against the verdict" in text(shown(client, path)), path
    assert "decided to promote against the verdict" in text(shown(client, page_of(launch)))


def test_a_second_person_confirms_what_opposes_the_verdict(
    client: Client, ada: User, settings: Settings
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, decision_needs_second_person=True)
    launch = begin()
    decide = f"{page_of(launch)}decide/vnext/"
    client.post(decide, {"reason": "we know better", "act": "promote"})
    assert "promote proposed" in text(shown(client, page_of(launch)))
    own = client.post(decide, {"reason": "yes", "act": "confirm"})
    assert "A second person must confirm it." in text(own)
    other = Client()
    an_operator(other, "bo")
    response = other.post(decide, {"reason": "seen it", "act": "confirm"}, follow=True)
    assert "Decided to promote vnext against the verdict." in text(response)
    steps = list(LaunchDecision.objects.values_list("step", "author", "opposed"))
    assert steps == [("decided", "bo", True), ("proposed", "ada", True)]


def test_a_proposal_is_withdrawn_and_leaves_its_rows(
    client: Client, ada: User, settings: Settings
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, decision_needs_second_person=True)
    launch = begin()
    decide = f"{page_of(launch)}decide/vnext/"
    client.post(decide, {"reason": "we know better", "act": "promote"})
    client.post(decide, {"reason": "not so sure", "act": "withdraw"})
    page = text(shown(client, page_of(launch)))
    assert "promote proposed" not in page
    assert "withdrew the proposal to promote against the verdict" in page
    client.post(decide, {"reason": "it fails", "act": "abandon"})
    assert [one.step for one in LaunchDecision.objects.all()] == [
        "decided",
        "withdrawn",
        "proposed",
    ]


@pytest.mark.parametrize("path", ["percent/", "stop/vnext/", "end/", "decide/vnext/"])
def test_users_without_the_permission_can_do_nothing(client: Client, path: str) -> None:
    launch = begin()
    given = {"reason": "mischief", "act": "abandon", "percent-0": "0", "percent-1": "0"}
    assert client.post(f"{page_of(launch)}{path}", given).status_code == 302
    client.force_login(User.objects.create_user("eve"))
    assert client.post(f"{page_of(launch)}{path}", given).status_code == 403
    assert client.post(NEW, AS_TYPED).status_code == 403
    page = shown(client, page_of(launch))
    assert "<form" not in page.partition("<main")[2]
    launch.refresh_from_db()
    assert launch.ended_at is None
    assert percents(launch)["vnext"] == 25


def test_the_timeline_is_newest_first_and_pages_without_losing_an_event(client: Client) -> None:
    launch = begin()
    for number in range(120):
        set_percent(launch, "vnext", Decimal(number % 50 + 1), author="bo", reason=f"step-{number}")
    found: list[str] = []
    path = page_of(launch)
    while path:
        page = shown(client, path)
        found += re.findall(r"step-\d+", page)
        older = re.search(r'href="(\?before=[^"]+)#timeline">Older', page)
        path = page_of(launch) + older[1] if older else ""
    changed = LaunchChange.objects.filter(kind="percent").values_list("reason", flat=True)
    assert found == list(changed)


def test_the_timeline_holds_acts_and_events_of_every_kind(client: Client) -> None:
    launch = begin()
    moment = timezone.now().timestamp()
    Participant.objects.create(
        launch=launch.pk,
        version="vnext",
        role="candidate",
        builds=[("git:1a2b3c", moment, moment)],
    )
    LaunchRequirements.objects.create(
        launch=launch.pk, speed_margin=0.05, failures_margin=0.005, slow_margin=0.01,
        differences_margin=0.005, most_missing=0.01, most_behind_s=10, author="ada",
        reason="rush", set_at=timezone.now(),
    )  # fmt: skip
    decide_as("abandon", launch)
    final(launch, "worse")
    now = timezone.now()
    plan = set_plan(launch, "vnext", PRESET, author="ada", reason="slowly", now=now)
    pause(plan, author="bo", reason="lunch", now=now)
    GuardAction.objects.create(
        launch=launch.pk, version="vnext", guard="worse", why="slow", at=now, percent=25,
        acknowledged_by="cy", acknowledged_at=now, acknowledged_reason="known",
    )  # fmt: skip
    page = text(shown(client, page_of(launch)))
    for expected in (
        "first report of git:1a2b3c",
        "changed: speed margin ada: rush",
        "vnext: decided to abandon bo: enough",
        "final on vnext: WORSE",
        "launch started: vlatest (control)",
        "vnext: set ada: slowly",
        "vnext: paused bo: lunch",
        "vnext: acknowledged that the guard “worse” stopped it cy: known",
    ):
        assert expected in page, expected


def test_two_launches_are_compared_side_by_side(client: Client) -> None:
    first, second = begin("first"), None
    Participant.objects.create(launch=first.pk, version="vnext", role="candidate", orders=111)
    a_discrepancy(first.pk, "gone")
    a_discrepancy(first.pk, "stays")
    end_launch(first, author="bo", reason="over")
    second = begin("second", percent="50")
    Participant.objects.create(launch=second.pk, version="vnext", role="candidate", orders=222)
    a_discrepancy(second.pk, "stays")
    a_discrepancy(second.pk, "new")
    page = text(shown(client, f"{LIST}compare/?a={first.pk}&b={second.pk}"))
    assert "orders 111 222" in page
    assert "share at the end 25 % 50 %" in page
    assert "u00a0" not in page
    only_a, only_b, both = re.split("Only in A|Only in B|In both", page)[1:]
    assert ("gone" in only_a, "new" in only_b, "stays" in both) == (True, True, True)
    assert "stays" not in only_a + only_b
    assert text(shown(client, f"{LIST}compare/")).count("second") >= 1
    assert client.get(f"{LIST}compare/?a=nothing").status_code == 404


def test_an_unknown_launch_or_version_is_not_found(client: Client, ada: User) -> None:
    launch = begin()
    assert client.get(f"{LIST}00000000-0000-0000-0000-000000000000/").status_code == 404
    assert client.get(f"{page_of(launch)}stop/nobody/").status_code == 404
    assert client.get(f"{page_of(launch)}decide/vlatest-b/").status_code == 404


def links(page: str) -> list[str]:
    """The names of the links in the navigation."""
    nav = page.partition("<nav")[2].partition("</nav>")[0]
    return [name.strip() for name in re.findall(r"<a [^>]*>([^<]+)<", nav)]


@pytest.mark.parametrize("path", ["/", "/login/"])
def test_customers_see_no_engineers_pages_unless_the_board_is_public(
    client: Client, settings: Settings, path: str
) -> None:
    engineers = {"Board", "Launches", "Discrepancies", "Rules"}
    assert engineers <= set(links(shown(client, path)))
    settings.BOARD_PUBLIC = False
    assert not engineers & set(links(shown(client, path)))
    client.force_login(User.objects.create_user("eve"))
    assert engineers <= set(links(shown(client, path)))


def test_staff_find_the_admin_which_has_the_products_name(
    client: Client, admin_client: Client
) -> None:
    assert "Admin" not in links(shown(client, LIST))
    assert "Admin" in links(shown(admin_client, LIST))
    page = shown(admin_client, "/admin/")
    assert "Django administration" not in page
    assert "Dark Kitchen" in text(page.partition('id="header"')[2])


def test_decisions_are_read_only_in_the_admin(admin_client: Client) -> None:
    launch = begin()
    made = decide_as("promote", launch, opposed=True)
    page = text(shown(admin_client, "/admin/dashboard/launchdecision/"))
    assert "promote" in page
    change = f"/admin/dashboard/launchdecision/{made.pk}/change/"
    assert 'name="_save"' not in shown(admin_client, change)
    assert admin_client.post(change, {"choice": "abandon"}).status_code == 403
    with pytest.raises(AppendOnlyError):
        made.save()
