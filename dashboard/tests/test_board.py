"""Frames: what a board shows is what is stored, at a cost that does not grow."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.board.frame import build_frame
from dashboard.board.frames import Json
from dashboard.board.lenses import ROWS, Lens
from dashboard.board.rows import find_rows, read_rows
from dashboard.board.series import POINTS
from dashboard.board.stories import order_story
from dashboard.models import TimeSlice
from dashboard.observing.dead_letters import record_dead_letters
from dashboard.observing.recording import Silence, record_events, record_silences
from dashboard.observing.rosters import read_roster
from dashboard.tests.factories import START, a_launch, an_event, an_order
from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.contract.messages import EventKind
from kitchen_worker.contract.topology import OBSERVER_QUEUE
from restaurant.launches import newest_launch
from restaurant.models import Again, BrokerProblem, Launch, Letter, Order

pytestmark = pytest.mark.django_db


@pytest.fixture
def launch() -> Launch:
    return a_launch()


def say(
    launch: Launch,
    order: Order,
    version: str,
    kind: EventKind = EventKind.HANDLED,
    *,
    heard_at: datetime | None = None,
    **fields: object,
) -> None:
    event = an_event(launch, order.uuid, version, kind, **fields)
    record_events(read_roster(launch), [event], heard_at or timezone.now())


def frame(launch: Launch, lens: Lens = Lens.ALL) -> Json:
    built = build_frame(launch, lens, with_series=True)
    return json.loads(json.dumps(built, allow_nan=False))  # type: ignore[no-any-return]


def test_without_a_launch_there_is_no_newest_one() -> None:
    assert newest_launch() is None


def test_the_open_launch_is_the_newest_even_if_an_ended_one_began_later(launch: Launch) -> None:
    later = START + timedelta(days=1)
    a_launch(name="over", started_at=later, ended_at=later)
    assert newest_launch() == launch


def test_an_idle_board_is_whole() -> None:
    built = frame(a_launch())
    assert built["feed"]["state"] == "idle"
    assert built["feed"]["age_s"] is None
    assert [one["name"] for one in built["versions"]] == ["vlatest", "vnext", "vlatest-b"]
    assert [one["percent"] for one in built["versions"]] == [None, 100.0, 20.0]
    assert built["rows"] == []
    assert len(built["series"]["t"]) == POINTS


def test_a_row_shows_the_control_and_the_version_beside_it(launch: Launch) -> None:
    order = an_order(launch, sample=("vnext",))
    say(launch, order, "vlatest", handling_ms=214.2)
    (row,) = frame(launch)["rows"]
    assert (row["number"], row["items"]) == (order.pk, "2 burger")
    assert row["cells"]["vlatest"] == {
        "state": "handled",
        "ms": 214.2,
        "error": None,
        "late": False,
        "pair": None,
    }
    assert row["cells"]["vnext"]["state"] == "waiting"
    assert "vlatest-b" not in row["cells"]
    built = build_frame(launch, Lens.ALL, version="vlatest-b", with_series=False)
    assert built["rows"][0]["cells"]["vlatest-b"]["state"] == "unsampled"


@pytest.mark.parametrize("known", ["received", "missing", None])
def test_what_comes_while_a_row_is_read_is_shown_whole_or_not_at_all(
    launch: Launch, known: str | None
) -> None:
    order = an_order(launch)
    say(launch, order, "vlatest", result={"total_price": "7.00"})
    if known == "received":
        say(launch, order, "vnext", EventKind.RECEIVED)
    elif known == "missing":
        silence = Silence(order.uuid, "vnext", order.placed_at)
        record_silences(read_roster(launch), [silence], timezone.now())
    roster = read_roster(launch)
    reads: list[str] = []

    def end_between(execute: Any, sql: str, *rest: Any) -> Any:
        if re.search('FROM "dashboard_(observation|comparison)"', sql):
            reads.append(sql)
            if len(reads) == 2:
                say(launch, order, "vnext", result={"total_price": "6.99"})
        return execute(sql, *rest)

    with connection.execute_wrapper(end_between):
        (row,) = read_rows(roster, [order.uuid], ["vlatest", "vnext"])
    cell = row["cells"]["vnext"]
    outcome = cell["pair"] and cell["pair"]["outcome"]
    assert len(reads) >= 2
    assert (cell["state"], outcome) in [
        ("waiting", None), ("received", None), ("missing", None), ("missing", "missing"),
        ("handled", None), ("handled", "differ"),
    ]  # fmt: skip


def test_the_newest_rows_come_first_and_no_more_than_fit(launch: Launch) -> None:
    orders = [an_order(launch) for _ in range(ROWS + 5)]
    numbers = [row["number"] for row in frame(launch)["rows"]]
    assert numbers == [order.pk for order in reversed(orders[5:])]


def test_lenses_let_through_what_they_say(launch: Launch) -> None:
    failed, missing, slower, fine = (an_order(launch) for _ in range(4))
    for order in (failed, missing, slower, fine):
        say(launch, order, "vlatest", handling_ms=100.0)
    say(launch, failed, "vnext", EventKind.FAILED)
    record_silences(read_roster(launch), [Silence(missing.uuid, "vnext", START)], timezone.now())
    say(launch, slower, "vnext", handling_ms=150.0)
    say(launch, fine, "vnext", handling_ms=50.0)
    shown = {lens: [row["number"] for row in frame(launch, lens)["rows"]] for lens in Lens}
    assert shown == {
        Lens.ALL: [fine.pk, slower.pk, missing.pk, failed.pk],
        Lens.DIFFERING: [],
        Lens.FAILED: [failed.pk],
        Lens.MISSING: [missing.pk],
        Lens.SLOWER: [slower.pk],
    }
    assert frame(launch, Lens.FAILED)["rows"][0]["cells"]["vnext"]["error"] == "too many"


def test_a_lens_looks_at_the_pairs_of_the_version_beside_the_control(launch: Launch) -> None:
    order = an_order(launch, sample=("vnext", "vlatest-b"))
    say(launch, order, "vlatest", handling_ms=100.0)
    say(launch, order, "vnext", handling_ms=50.0)
    say(launch, order, "vlatest-b", handling_ms=150.0)
    for version, shown in (("vlatest-b", [order.pk]), ("vnext", []), ("vlatest", []), ("", [])):
        built = build_frame(launch, Lens.SLOWER, version=version, with_series=False)
        assert [row["number"] for row in built["rows"]] == shown
        assert built["version"] == ("vlatest-b" if version == "vlatest-b" else "vnext")


def test_at_speed_the_lanes_show_what_has_ended_and_a_few_that_wait(launch: Launch) -> None:
    ended = [an_order(launch) for _ in range(50)]
    for order in ended:
        for version in ("vlatest", "vnext"):
            say(launch, order, version)
    waiting = [an_order(launch, placed_at=START + timedelta(seconds=1)) for _ in range(30)]
    numbers = [order.pk for order in reversed([*ended, *waiting])]
    TimeSlice.objects.all().delete()
    assert [row["number"] for row in frame(launch)["rows"]] == numbers[:ROWS]
    now = int(timezone.now().timestamp()) // 2 * 2
    for start in range(now - 12, now + 2, 2):
        TimeSlice.objects.create(launch=launch.id, version="vlatest", start=start, handled=200)
    shown = [row["number"] for row in frame(launch)["rows"]]
    assert shown == [*numbers[:4], *numbers[30 : 30 + ROWS - 4]]


def test_counters_are_those_of_the_database(launch: Launch) -> None:
    for number in range(7):
        order = an_order(launch)
        say(launch, order, "vlatest")
        say(launch, order, "vnext", EventKind.FAILED if number == 3 else EventKind.HANDLED)
    built = frame(launch)
    control, candidate, _ = built["versions"]
    assert built["orders"] == control["orders"] == 7
    assert (candidate["handled"], candidate["failed"], candidate["pairs"]) == (6, 1, 7)
    assert candidate["p50"] == pytest.approx(150, rel=0.011)


def test_silence_while_orders_wait_is_stale_and_without_any_it_is_idle(launch: Launch) -> None:
    say(launch, an_order(launch), "vlatest", heard_at=START)
    assert frame(launch)["feed"]["state"] == "idle"
    an_order(launch, sent_at=None)
    feed = frame(launch)["feed"]
    assert (feed["unsent"], feed["state"]) == (1, "stale")
    say(launch, an_order(launch), "vlatest")
    assert frame(launch)["feed"]["state"] == "fresh"


def test_what_waits_is_counted_whoever_keeps_it_and_the_oldest_has_its_age(launch: Launch) -> None:
    say(launch, an_order(launch), "vlatest", heard_at=START)
    feed = frame(launch)["feed"]
    assert (feed["behind"], feed["oldest_s"], feed["state"]) == (0, None, "idle")
    for seconds in (30, 20, 10):
        an_order(launch, placed_at=timezone.now() - timedelta(seconds=seconds))
    feed = frame(launch)["feed"]
    assert (feed["behind"], feed["state"]) == (3, "stale")
    assert feed["oldest_s"] == pytest.approx(30, abs=5)


def test_a_kitchen_with_a_wrong_clock_is_as_fresh_as_we_heard_it(launch: Launch) -> None:
    wrong = timezone.now() - timedelta(hours=1)
    say(launch, an_order(launch), "vlatest", finished_at=wrong, received_at=wrong)
    assert frame(launch)["feed"]["state"] == "fresh"


def test_dead_letters_are_counted_and_the_newest_say_why(launch: Launch) -> None:
    letters = [
        Delivery(
            tag=n, queue="dashboard.dead", routing_key=OBSERVER_QUEUE, body=b"?",
            headers={"x-reason": f"reason {n}"},
        )
        for n in range(5)
    ]  # fmt: skip
    record_dead_letters(letters, uuid4(), timezone.now())
    feed = frame(launch)["feed"]
    assert feed["dead_letters"] == 5
    assert [one["reason"] for one in feed["dead_reasons"]] == ["reason 4", "reason 3", "reason 2"]


def test_orders_sent_again_and_refused_queues_say_why(launch: Launch) -> None:
    for why, count in ((Again.UNANSWERED, 2), (Again.UNROUTED, 1)):
        for _ in range(count):
            letters = Letter.objects.filter(order=an_order(launch))
            letters.update(times_again=1, again_reason=why)
    other = an_order(a_launch(name="over", ended_at=START))
    Letter.objects.filter(order=other).update(times_again=1, again_reason=Again.UNROUTED)
    BrokerProblem.objects.create(queue="kitchen.vnext", reason="other", since=timezone.now())
    feed = frame(launch)["feed"]
    assert (feed["again"], feed["problems"]) == (3, 1)
    assert [(one["queue"], one["reason"]) for one in feed["again_reasons"]] == [
        ("kitchen.vnext", "other"),
        ("2", "no answer in time"),
        ("1", "the control's queue was missing"),
    ]


def test_the_rate_is_that_of_the_last_whole_seconds(launch: Launch) -> None:
    now = int(timezone.now().timestamp()) // 2 * 2
    for start in (now - 10, now - 8, now - 6, now - 4, now - 2):
        TimeSlice.objects.create(
            launch=launch.id, version="vlatest", start=start, handled=200, p50=1.0
        )
    built = frame(launch)
    assert built["rate"] == pytest.approx(100, abs=21)  # the clock may turn meanwhile
    series = built["series"]["versions"]["vlatest"]
    assert series["handled"][-1] in (100.0, 0.0)


def test_orders_are_found_by_number_and_by_the_start_of_their_id(launch: Launch) -> None:
    order, other = an_order(launch), an_order(launch)
    assert [row["id"] for row in find_rows(launch, f"#{order.pk}")] == [str(order.uuid)]
    assert [row["id"] for row in find_rows(launch, str(other.uuid)[:13])] == [str(other.uuid)]
    for nothing in ("", "x", "zz%", "99999999", "9" * 30, "\x00", "--------"):
        assert find_rows(launch, nothing) == []


def test_the_story_of_an_order_has_the_control_first(launch: Launch) -> None:
    order = an_order(launch)
    say(launch, order, "vnext")
    say(launch, order, "vlatest")
    story = order_story(order.uuid)
    assert story is not None
    assert [one.version for one in story["observations"]] == ["vlatest", "vnext"]
    assert order_story(uuid4()) is None


@pytest.mark.parametrize("lens", [Lens.ALL, Lens.DIFFERING])
def test_a_frame_takes_as_many_queries_at_fifty_orders_as_at_five(
    launch: Launch, lens: Lens
) -> None:
    def queries() -> int:
        build_frame(newest_launch() or launch, lens, with_series=True)
        with CaptureQueriesContext(connection) as captured:
            build_frame(newest_launch() or launch, lens, with_series=True)
        return len(captured)

    def place(number: int) -> None:
        for nth in range(number):
            order = an_order(launch)
            say(launch, order, "vlatest", heard_at=START)
            say(launch, order, "vnext", heard_at=START, result={"total_price": f"{nth}.00"})

    place(5)
    few = queries()
    place(45)
    assert queries() == few <= 40
