"""Every page of the dashboard is rendered once in each of its states."""

from __future__ import annotations

import html
import json
import shlex
import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from dashboard.board import wording
from dashboard.ingest.stream import read_roster
from dashboard.models import DeadLetter, DeadLetterTally
from dashboard.pages.board import COUNTERS
from dashboard.tests.factories import START, a_launch, an_event, an_order
from dashboard.tests.making import record_events
from kitchen_worker.contract.messages import EventKind, Failure
from local.settings import ROOT
from restaurant.launches import set_percent
from restaurant.models import Launch, Order

pytestmark = pytest.mark.django_db

BOARD = "/dashboard/"
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


def page(client: Client, path: str, **headers: str) -> str:
    response = client.get(path, headers=headers or None)
    assert response.status_code == 200
    return response.content.decode()


def handled(launch: Launch, order: Order, *versions: str) -> None:
    events = [an_event(launch, order.uuid, version) for version in versions]
    record_events(read_roster(launch), events, START)


def failed(launch: Launch, order: Order, message: str) -> None:
    control = an_event(launch, order.uuid, "vlatest")
    error = Failure(type="TooMany", message=message)
    candidate = an_event(launch, order.uuid, kind=EventKind.FAILED, error=error)
    record_events(read_roster(launch), [control, candidate], START)


def test_without_a_launch_the_board_says_how_to_start_one(client: Client) -> None:
    assert "manage.py launch start" in page(client, BOARD)


def test_without_orders_the_board_says_how_to_place_some(client: Client) -> None:
    a_launch()

    shown = page(client, BOARD)

    assert "No orders yet" in shown
    assert "make rush" in shown
    assert "No verdict yet" in shown


def test_a_control_that_works_alone_has_a_board(client: Client) -> None:
    launch = Launch.objects.create(name="Alone", started_at=START)
    an_order(launch, sample=())

    assert "runs alone" in page(client, BOARD)


def test_the_page_shows_what_both_versions_made_of_an_order(client: Client) -> None:
    launch = a_launch()
    order = an_order(launch)
    handled(launch, order, "vlatest", "vnext")

    shown = page(client, BOARD)

    assert f"/dashboard/orders/{order.uuid}/" in shown
    assert f"#{order.pk}<" in shown
    assert shown.count("150\N{NO-BREAK SPACE}ms") >= 2
    assert 'id="frame" type="application/json"' in shown


def test_what_a_kitchen_says_is_text_and_never_markup(client: Client) -> None:
    launch = a_launch()
    order = an_order(launch)
    failed(launch, order, "<script>alert(1)</script>")
    DeadLetter.objects.create(
        queue="dashboard.ingest.observer", reason="<img src=x>", seen_at=START
    )
    DeadLetterTally.objects.create(queue="dashboard.ingest.observer", count=1)

    for path in (BOARD, f"/dashboard/orders/{order.uuid}/"):
        shown = page(client, path)
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
        assert "&lt;script&gt;alert(1)" in shown


def test_the_board_does_not_break_the_content_policy(client: Client) -> None:
    launch = a_launch()
    handled(launch, an_order(launch), "vlatest", "vnext")

    shown = page(client, BOARD)

    assert " style=" not in shown
    assert "onclick" not in shown


def rows_of(shown: str) -> str:
    """The plain table of orders."""
    return shown.rsplit('<table class="plain">', maxsplit=1)[-1].split("</table>", maxsplit=1)[0]


def test_a_filter_and_another_version_can_be_asked_for_without_a_script(client: Client) -> None:
    launch = a_launch()
    failed(launch, an_order(launch, title="Sundae"), "too many")
    handled(launch, an_order(launch, title="Brownie"), "vlatest", "vnext")

    shown = rows_of(page(client, f"{BOARD}?filter=failed&version=vnext&q="))

    assert "2 sundae" in shown
    assert "failed: too many" in shown
    assert "2 brownie" not in shown


@pytest.mark.parametrize("by", ["all", "differing", "failed", "missing", "slower", "nonsense"])
def test_an_empty_filter_says_that_there_is_nothing(client: Client, by: str) -> None:
    a_launch()

    assert "None." in rows_of(page(client, f"{BOARD}?filter={by}"))


def test_an_order_is_found_by_its_number(client: Client) -> None:
    launch = a_launch()
    wanted, other = an_order(launch, title="Sundae"), an_order(launch, title="Brownie")

    shown = rows_of(page(client, f"{BOARD}?q=%23{wanted.pk}"))

    assert "2 sundae" in shown
    assert f"#{other.pk}<" not in shown
    assert "None." in rows_of(page(client, f"{BOARD}?q=99999999"))


def test_an_earlier_launch_can_be_looked_at(client: Client) -> None:
    earlier = a_launch(name="October", ended_at=START + timedelta(hours=2))
    Launch.objects.create(name="November", started_at=START + timedelta(days=1))

    shown = page(client, f"{BOARD}?launch={earlier.id}")

    assert "October" in shown
    assert "handled" in shown


@pytest.mark.parametrize("asked", ["nonsense", str(uuid.UUID(int=1))])
def test_a_launch_that_does_not_exist_is_not_found(client: Client, asked: str) -> None:
    a_launch()
    assert client.get(f"{BOARD}?launch={asked}").status_code == 404


def test_an_order_shows_its_timeline_and_both_results(client: Client) -> None:
    launch = a_launch()
    order = an_order(launch)
    handled(launch, order, "vlatest", "vnext")

    shown = page(client, f"/dashboard/orders/{order.uuid}/")

    assert shown.count('class="worked"') == 2
    assert "total_price" in shown
    assert "curl -X POST http://testserver/orders" in shown
    assert "dark.vnext: 1" in shown
    assert "not sampled" in shown
    assert "every 1s" not in shown


def test_an_order_is_ordered_again_with_its_note(client: Client) -> None:
    order = an_order(a_launch(), note="no 'onions'")

    shown = html.unescape(page(client, f"/dashboard/orders/{order.uuid}/"))

    [body] = [part for part in shlex.split(_command(shown, "curl")) if part.startswith("{")]
    assert json.loads(body) == {"menuItems": ["burger", "burger"], "note": "no 'onions'"}
    assert '--url "${AMQP_URL%/}"' in _command(shown, "amqp")


def _command(shown: str, name: str) -> str:
    return (
        shown.split(f'id="again-{name}"><code>')[1]
        .split("</code>", maxsplit=1)[0]
        .replace("\\\n", "")
    )


def test_waiting_is_measured_from_placed_however_late_the_broker_confirmed(client: Client) -> None:
    launch = a_launch()
    order = an_order(launch, sent_at=START + timedelta(milliseconds=90))
    handled(launch, order, "vlatest", "vnext")

    shown = page(client, f"/dashboard/orders/{order.uuid}/")

    assert shown.count(f'<span class="waited">waited {wording.duration(3.0)}</span>') == 2


def test_an_order_that_nobody_has_answered_asks_again(client: Client) -> None:
    order = an_order(a_launch(), title="Caviar")

    shown = page(client, f"/dashboard/orders/{order.uuid}/")

    assert "every 1s" in shown
    assert "no answer yet" in shown
    assert "not on the menu" in shown


def test_an_order_that_a_version_failed_says_the_error(client: Client) -> None:
    launch = a_launch()
    order = an_order(launch)
    failed(launch, order, "too many of one item")

    shown = page(client, f"/dashboard/orders/{order.uuid}/")

    assert "too many of one item" in shown
    assert "vnext failed and returned no result" in shown


def test_an_order_outside_any_launch_has_no_page(client: Client) -> None:
    order = an_order(None)

    assert client.get(f"/dashboard/orders/{order.uuid}/").status_code == 404


def test_an_order_that_does_not_exist_is_not_found(client: Client) -> None:
    assert client.get(f"/dashboard/orders/{uuid.uuid4()}/").status_code == 404


@pytest.mark.parametrize("path", [BOARD, f"/dashboard/orders/{uuid.UUID(int=1)}/"])
def test_who_may_not_watch_is_sent_to_the_login(
    client: Client, settings: Settings, path: str
) -> None:
    settings.BOARD_PUBLIC = False

    assert client.get(path).headers["Location"] == f"/login/?next={path}"
    part = client.get(path, headers=HTMX)
    assert (part.content, part.headers["HX-Redirect"]) == (b"", "/login/?next=/dashboard/")


def test_who_is_logged_in_may_watch(client: Client, settings: Settings) -> None:
    settings.BOARD_PUBLIC = False
    client.force_login(User.objects.create_user("ada"))

    assert "manage.py launch start" in page(client, BOARD)


def test_a_long_history_costs_no_more_queries(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    launch = a_launch()
    for _ in range(45):
        handled(launch, an_order(launch), "vlatest", "vnext")

    page(client, BOARD)
    with django_assert_max_num_queries(38):
        page(client, BOARD)


def test_the_board_shows_the_newest_changes_and_leads_to_all(client: Client) -> None:
    launch = a_launch()
    for percent in (50, 25, 5, 0):
        set_percent(launch, "vnext", Decimal(percent), author="ada", reason=f"down to {percent}")

    shown = page(client, BOARD).split('id="launch-changes"')[1].split("</section>")[0]

    assert [f"down to {percent}" in shown for percent in (50, 25, 5, 0)] == [
        False, True, True, True,
    ]  # fmt: skip
    assert "5 % \N{RIGHTWARDS ARROW} 0 %" in shown
    assert "ada: down to 0" in shown
    every = page(client, f"/dashboard/launches/{launch.pk}/changes/")
    assert f'href="/dashboard/launches/{launch.pk}/changes/"' in shown
    assert every.index("down to 0") < every.index("down to 50")


def test_a_launch_without_changes_says_so(client: Client) -> None:
    launch = a_launch()

    assert "No changes yet." in page(client, BOARD)
    assert "No changes yet." in page(client, f"/dashboard/launches/{launch.pk}/changes/")
    assert client.get(f"/dashboard/launches/{uuid.uuid4()}/changes/").status_code == 404


def test_a_frame_says_which_change_is_the_newest(client: Client) -> None:
    launch = a_launch()
    change = set_percent(launch, "vnext", Decimal(5), author="ada", reason="slow")

    assert change is not None
    assert f'"change": {change.pk}' in page(client, BOARD)


def test_on_a_phone_the_counters_have_a_row_for_each_column_and_for_the_versions() -> None:
    css = (ROOT / "static" / "css" / "standing.css").read_text()
    assert f"grid-template-rows: repeat({len(COUNTERS) + 1}, auto)" in css


@pytest.mark.parametrize(("is_superuser", "may"), [(True, True), (False, False)])
def test_the_links_to_change_a_launch_show_for_users_who_may(
    client: Client, is_superuser: bool, may: bool
) -> None:
    launch = a_launch()
    user = User.objects.create_user("ada", is_superuser=is_superuser)
    client.force_login(user)
    shown = page(client, BOARD)
    assert f'class="may-launch" href="/dashboard/launches/{launch.pk}/"' in shown
    assert ("data-may-launch" in shown) is may


def test_an_ended_launch_has_no_link_to_change_it(client: Client) -> None:
    launch = a_launch(ended_at=START + timedelta(hours=1))
    assert f'href="/dashboard/launches/{launch.pk}/"' not in page(client, BOARD)


def test_the_charts_are_hidden_until_the_first_order(client: Client) -> None:
    a_launch()
    assert 'aria-label="Charts" aria-busy="true" hidden>' in page(client, BOARD)
