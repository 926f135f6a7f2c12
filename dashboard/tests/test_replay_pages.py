"""The pages of replays: asking for one, and seeing what it shows and what is missing."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import Settings

from dashboard.comparison.outcome import Decision
from dashboard.models import Discrepancy, Replay, ReplayedOrder, ReplayState
from dashboard.pages.replays import panel, poll_s
from dashboard.review.replaying import give_up_overdue
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.factories import a_launch, an_order
from dashboard.tests.test_replays import (
    DEADLINE,
    NOW,
    RIGHT,
    WRONG,
    answered,
    asked,
    disagreed,
    sent,
)
from kitchen_worker.contract.messages import Failure
from restaurant.models import Launch
from restaurant.tests.making import end_launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


@pytest.fixture
def launch() -> Launch:
    return a_launch()


@pytest.fixture
def ada(client: Client) -> Client:
    """A reviewer who is logged in."""
    user = User.objects.create_user("ada")
    names = ("add_review", "add_replay")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


def shown(client: Client, replay: Replay, part: str = "") -> str:
    """The page of a replay as its text."""
    response = client.get(f"/dashboard/replays/{replay.pk}/", {"show": part} if part else {})
    assert response.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def ask(client: Client, about: Discrepancy, **fields: Any) -> Any:
    known = {"revision": about.revision, "close": "1"}
    return client.post(f"/dashboard/discrepancies/{about.pk}/replay/", {**known, **fields})


def test_a_reviewer_asks_and_is_led_to_what_becomes_of_it(ada: Client, launch: Launch) -> None:
    about = disagreed(launch)
    response = ask(ada, about)
    replay = Replay.objects.get()
    assert (response.status_code, response["Location"]) == (303, f"/dashboard/replays/{replay.pk}/")
    assert (replay.requested_by, replay.close_when_agreed) == ("ada", True)
    assert ask(ada, about)["Location"] == response["Location"]
    assert Replay.objects.count() == 1


def test_without_the_check_mark_it_is_not_closed(ada: Client, launch: Launch) -> None:
    about = disagreed(launch)
    ada.post(f"/dashboard/discrepancies/{about.pk}/replay/", {"revision": 0})
    assert not Replay.objects.get().close_when_agreed


def test_nobody_sends_orders_again_who_may_not(
    client: Client, launch: Launch, settings: Settings
) -> None:
    settings.BOARD_PUBLIC = True
    about = disagreed(launch)
    assert "/login/" in ask(client, about)["Location"]
    client.force_login(User.objects.create_user("bob"))
    assert ask(client, about).status_code == 403
    assert ask(client, about, close="").status_code == 403
    assert client.get(f"/dashboard/discrepancies/{about.pk}/replay/").status_code == 405
    assert not Replay.objects.exists()


@pytest.mark.parametrize("revision", ["", "1", "-1", "x", "²", "9" * 30])
def test_what_was_not_seen_as_it_is_now_is_refused(
    ada: Client, launch: Launch, revision: str
) -> None:
    response = ask(ada, disagreed(launch), revision=revision)
    assert response.status_code == 409
    assert "No order was sent again" in response.content.decode()
    assert not Replay.objects.exists()


def test_without_an_open_launch_the_reason_is_shown(ada: Client, launch: Launch) -> None:
    about = disagreed(launch)
    end_launch(launch)
    response = ask(ada, about)
    assert response.status_code == 409
    assert "No launch is" in response.content.decode()
    assert "No launch is" in panel(about).refusal


def test_a_discrepancy_or_replay_that_is_not_there_is_not_found(ada: Client) -> None:
    assert ada.get("/dashboard/replays/7/").status_code == 404
    assert ada.post("/dashboard/discrepancies/7/replay/").status_code == 404


def test_a_page_that_waits_asks_again_until_all_is_answered(ada: Client, launch: Launch) -> None:
    about = disagreed(launch)
    replay = asked(about, launch)
    rows = sent(replay)
    answered(launch, rows[:1], RIGHT)
    raw = ada.get(f"/dashboard/replays/{replay.pk}/").content.decode()
    assert 'hx-trigger="every 1s"' in raw
    assert "Under way: 1 of 3 answered." in shown(ada, replay)
    answered(launch, rows[1:], RIGHT, build="git:mended")
    raw = ada.get(f"/dashboard/replays/{replay.pk}/").content.decode()
    assert "every 1s" not in raw


def test_evidence_is_said_with_who_closed_it_and_both_values(ada: Client, launch: Launch) -> None:
    about = disagreed(launch)
    replay = asked(about, launch)
    answered(launch, sent(replay), {**RIGHT, "minutes": 7}, build="git:mended")
    page = shown(ada, replay)
    assert "Closed as fixed: 3 of 3 orders agree there in build git:mended." in page
    assert "Fixed by ada" in page
    assert "control vnext then vnext now differs elsewhere" in page
    assert page.count('"7.00" "6.99" "7.00" minutes') == 3
    assert "These answers don't count in the launch's numbers." in page


@pytest.mark.parametrize(
    ("said", "sentence", "part", "line"),
    [
        ([WRONG, RIGHT], "1 order still shows it", "still", '"7.00" "6.99" "6.99"'),
        (
            [{**RIGHT, "total_price": 7.5}, RIGHT],
            "1 order still shows it",
            "still",
            '"7.00" "6.99" 7.5',
        ),
        ([{"minutes": 10}, RIGHT], "1 order still shows it", "still", '"7.00" "6.99" –'),
        (
            [Failure(type="Burnt", message="<b>oh</b>"), RIGHT],
            "1 order now fails",
            "failed",
            '"7.00" "6.99" Burnt: <b>oh</b>',
        ),
        ([WRONG, Failure(type="Burnt", message="")], "1 order still shows it, 2 orders now fail",
         "failed", '"7.00" "6.99" Burnt:'),
    ],
)  # fmt: skip
def test_what_is_missing_for_evidence_is_said(
    ada: Client, launch: Launch, said: Sequence[Any], sentence: str, part: str, line: str
) -> None:
    about = disagreed(launch)
    replay = asked(about, launch)
    answered(launch, sent(replay), *said)
    page = shown(ada, replay, part)
    assert f"Not fixed: {sentence}." in page
    assert line in page
    assert "Close as fixed" not in page


def test_orders_that_nobody_answered_are_listed_as_such(ada: Client, launch: Launch) -> None:
    about = disagreed(launch)
    replay = asked(about, launch)
    sent(replay)
    give_up_overdue(NOW + DEADLINE, DEADLINE)
    page = shown(ada, replay)
    assert "3 orders were not answered" in page
    assert '"7.00" "6.99" missing' in page


def test_a_failure_that_is_gone_shows_what_was_and_what_is(ada: Client, launch: Launch) -> None:
    about = disagreed(launch, version=Failure(type="TooMany", message="21 of 'fries'"))
    replay = asked(about, launch)
    answered(launch, sent(replay), RIGHT)
    assert "– TooMany: 21 of 'fries' handled" in shown(ada, replay)


def test_a_reviewer_closes_by_hand_what_was_not_closed_by_itself(
    ada: Client, launch: Launch
) -> None:
    about = disagreed(launch)
    replay = asked(about, launch)
    review([SeenRevision(about.pk, 0)], Decision.BUG, note="a cent", author="bob")
    answered(launch, sent(replay), RIGHT)
    raw = ada.get(f"/dashboard/replays/{replay.pk}/").content.decode()
    assert "because someone reviewed it in the meantime" in raw
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', raw))
    ada.post("/dashboard/discrepancies/review/", fields)
    about.refresh_from_db()
    assert about.state == Decision.FIXED
    assert about.reviews.first().replay == replay  # type: ignore[union-attr]


def test_who_may_not_review_sees_the_evidence_without_the_button(
    client: Client, launch: Launch, settings: Settings
) -> None:
    settings.BOARD_PUBLIC = True
    about = disagreed(launch)
    replay = asked(about, launch, close_when_agreed=False)
    answered(launch, sent(replay), RIGHT)
    page = shown(client, replay)
    assert "3 of 3 orders agree" in page
    assert "Close as fixed" not in page


def test_a_panel_tells_of_the_past_replays_and_their_numbers(launch: Launch) -> None:
    about = disagreed(launch)
    first = asked(about, launch)
    answered(launch, sent(first), WRONG, RIGHT)
    second = asked(about, launch)
    told = panel(about)
    assert (told.orders, told.more, told.refusal) == (3, False, "")
    assert [(one, found.still_shows) for one, found in told.replays] == [(second, 0), (first, 1)]


def test_the_cost_of_a_page_does_not_grow_with_the_replay(
    ada: Client, launch: Launch, django_assert_max_num_queries: Any
) -> None:
    about = disagreed(launch, count=12)
    replay = asked(about, launch)
    answered(launch, sent(replay), WRONG)
    with django_assert_max_num_queries(16):
        assert "12 orders still show it" in shown(ada, replay)
    assert ReplayedOrder.objects.filter(state=ReplayState.HANDLED).count() == 12


def test_an_order_is_copied_for_the_dark_queue_of_each_version_that_had_it(
    ada: Client, launch: Launch
) -> None:
    order = an_order(launch, sample=("vnext", "vlatest-b"))
    page = html.unescape(ada.get(f"/dashboard/orders/{order.uuid}/").content.decode())
    for version, other in (("vnext", "vlatest-b"), ("vlatest-b", "vnext")):
        command = page.split(f'id="again-dark-{version}"><code>')[1].split("</code>")[0]
        assert "--exchange orders.dark " in command
        assert f"dark.{version}: 1" in command
        assert f"dark.{other}" not in command


def test_the_page_looks_on_slowly_while_a_late_answer_can_come(ada: Client, launch: Launch) -> None:
    replay = asked(disagreed(launch), launch)
    assert poll_s(replay, NOW) == 1
    messages = sent(replay)
    give_up_overdue(NOW + 2 * DEADLINE, DEADLINE)
    replay.refresh_from_db()
    assert poll_s(replay, NOW + 2 * DEADLINE) == 10
    assert poll_s(replay, NOW + timedelta(days=1)) is None, "its messages are gone by then"
    page = shown(ada, replay)
    assert "Unanswered orders prove nothing." in page
    assert "Mend vnext" not in page
    answered(launch, messages, RIGHT)
    replay.refresh_from_db()
    assert poll_s(replay, NOW + 2 * DEADLINE) is None


def test_what_was_never_sent_is_not_waited_for(launch: Launch) -> None:
    replay = asked(disagreed(launch), launch)
    end_launch(launch)
    give_up_overdue(NOW, DEADLINE)
    replay.refresh_from_db()
    assert replay.finished_at is not None
    assert poll_s(replay, NOW) is None
