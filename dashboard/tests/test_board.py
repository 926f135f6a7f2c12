"""Frames: what a board shows is what is stored, at a cost that does not grow."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from dashboard.board.charts import POINTS
from dashboard.board.filters import ROWS, Filter
from dashboard.board.frame import board_state
from dashboard.board.rows import find_rows, order_detail, read_rows
from dashboard.board.wording import Json
from dashboard.ingest.dead_letters import record_dead_letters
from dashboard.ingest.stream import read_roster
from dashboard.models import ObservedOrder, TimeSlice
from dashboard.tests.factories import START, a_launch, an_event, an_order
from dashboard.tests.making import record_events, sweep
from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.contract.messages import EventKind
from kitchen_worker.contract.topology import STREAM_QUEUE
from restaurant.launches import newest_launch
from restaurant.models import BrokerProblem, Launch, Order, ResendReason
from restaurant.tests.making import all_statements

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


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


def frame(launch: Launch, by: Filter = Filter.ALL) -> Json:
    built = board_state(launch, by)
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
    assert (int(row["name"][1:]), row["items"]) == (order.pk, "2 burger")
    assert row["cells"]["vlatest"] == {
        "state": "handled",
        "ms": 214.2,
        "error": None,
        "late": False,
        "pair": None,
    }
    assert row["cells"]["vnext"]["state"] == "waiting"
    assert "vlatest-b" not in row["cells"]
    built = board_state(launch, Filter.ALL, version="vlatest-b")
    assert built["rows"][0]["cells"]["vlatest-b"]["state"] == "unsampled"


def test_what_a_version_did_and_what_its_pair_shows_are_read_at_once(launch: Launch) -> None:
    order = an_order(launch)
    say(launch, order, "vlatest", result={"total_price": "7.00"})
    say(launch, order, "vnext", result={"total_price": "6.99"})
    (seen,) = ObservedOrder.objects.all()
    with all_statements() as captured:
        (row,) = read_rows(read_roster(launch), [seen.pk], ["vlatest", "vnext"])
    reads = [one for one in captured if 'FROM "dashboard_observation"' in one]
    assert len(reads) == 1
    assert [cell["pair"] and cell["pair"]["outcome"] for cell in row["cells"].values()] == [
        None,
        "differ",
    ]


def test_the_newest_rows_come_first_and_no_more_than_fit(launch: Launch) -> None:
    orders = [an_order(launch) for _ in range(ROWS + 5)]
    numbers = [int(row["name"][1:]) for row in frame(launch)["rows"]]
    assert numbers == [order.pk for order in reversed(orders[5:])]


def test_filters_let_through_what_they_say(launch: Launch) -> None:
    failed, missing, slower, fine = (an_order(launch) for _ in range(4))
    for order in (failed, missing, slower, fine):
        say(launch, order, "vlatest", handling_ms=100.0)
    say(launch, failed, "vnext", EventKind.FAILED)
    say(launch, slower, "vnext", handling_ms=150.0)
    say(launch, fine, "vnext", handling_ms=50.0)
    sweep(timezone.now(), timedelta())
    shown = {by: [int(row["name"][1:]) for row in frame(launch, by)["rows"]] for by in Filter}
    assert shown == {
        Filter.ALL: [fine.pk, slower.pk, missing.pk, failed.pk],
        Filter.DIFFERING: [],
        Filter.FAILED: [failed.pk],
        Filter.MISSING: [missing.pk],
        Filter.SLOWER: [slower.pk],
    }
    assert frame(launch, Filter.FAILED)["rows"][0]["cells"]["vnext"]["error"] == "too many"


def test_a_filter_looks_at_the_pairs_of_the_version_beside_the_control(launch: Launch) -> None:
    order = an_order(launch, sample=("vnext", "vlatest-b"))
    say(launch, order, "vlatest", handling_ms=100.0)
    say(launch, order, "vnext", handling_ms=50.0)
    say(launch, order, "vlatest-b", handling_ms=150.0)
    for version, shown in (("vlatest-b", [order.pk]), ("vnext", []), ("vlatest", []), ("", [])):
        built = board_state(launch, Filter.SLOWER, version=version)
        assert [int(row["name"][1:]) for row in built["rows"]] == shown
        assert built["version"] == ("vlatest-b" if version == "vlatest-b" else "vnext")


def test_at_speed_the_lanes_show_what_has_ended_and_a_few_that_wait(launch: Launch) -> None:
    ended = [an_order(launch) for _ in range(50)]
    for order in ended:
        for version in ("vlatest", "vnext"):
            say(launch, order, version)
    waiting = [an_order(launch, placed_at=START + timedelta(seconds=1)) for _ in range(30)]
    numbers = [order.pk for order in reversed([*ended, *waiting])]
    TimeSlice.objects.all().delete()
    assert [int(row["name"][1:]) for row in frame(launch)["rows"]] == numbers[:ROWS]
    now = int(timezone.now().timestamp()) // 2 * 2
    for start in range(now - 12, now + 2, 2):
        TimeSlice.objects.create(launch=launch.id, version="vlatest", start=start, handled=200)
    shown = [int(row["name"][1:]) for row in frame(launch)["rows"]]
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
    assert (feed["unsent"], feed["behind"], feed["state"]) == (1, 1, "stale")
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


def test_an_order_that_the_observer_holds_and_has_not_recorded_waits(launch: Launch) -> None:
    say(launch, an_order(launch), "vlatest", heard_at=START)
    held = an_order(launch, placed_at=timezone.now() - timedelta(seconds=30))
    ObservedOrder.objects.filter(number=held.pk).delete()
    feed = frame(launch)["feed"]
    assert (feed["unsent"], feed["behind"], feed["state"]) == (0, 1, "stale")
    assert feed["oldest_s"] == pytest.approx(30, abs=5)


def test_what_the_broker_has_not_taken_waits_since_it_was_placed(launch: Launch) -> None:
    for seconds, sent_at in ((20, START), (30, None)):
        an_order(launch, placed_at=timezone.now() - timedelta(seconds=seconds), sent_at=sent_at)
    feed = frame(launch)["feed"]
    assert (feed["unsent"], feed["behind"]) == (1, 2)
    assert feed["oldest_s"] == pytest.approx(30, abs=5)
    Launch.objects.update(ended_at=timezone.now())
    launch.refresh_from_db()
    feed = frame(launch)["feed"]
    assert (feed["unsent"], feed["behind"]) == (1, 1)
    assert feed["oldest_s"] == pytest.approx(20, abs=5)


def test_a_kitchen_with_a_wrong_clock_is_as_fresh_as_we_heard_it(launch: Launch) -> None:
    wrong = timezone.now() - timedelta(hours=1)
    say(launch, an_order(launch), "vlatest", finished_at=wrong, received_at=wrong)
    assert frame(launch)["feed"]["state"] == "fresh"


def test_dead_letters_are_counted_and_the_newest_say_why(launch: Launch) -> None:
    letters = [
        Delivery(
            tag=n, queue="dashboard.dead", routing_key=STREAM_QUEUE, body=b"?",
            headers={"x-reason": f"reason {n}"},
        )
        for n in range(5)
    ]  # fmt: skip
    record_dead_letters(letters, uuid4(), timezone.now())
    feed = frame(launch)["feed"]
    assert feed["dead_letters"] == 5
    assert [one["reason"] for one in feed["dead_reasons"]] == ["reason 4", "reason 3", "reason 2"]


def test_orders_sent_again_and_refused_queues_say_why(launch: Launch) -> None:
    for why, count in ((ResendReason.UNANSWERED, 2), (ResendReason.UNROUTED, 1)):
        for _ in range(count):
            orders = Order.objects.filter(pk=an_order(launch).pk)
            orders.update(times_again=1, again_reason=why)
    other = an_order(a_launch(name="over", ended_at=START))
    Order.objects.filter(pk=other.pk).update(times_again=1, again_reason=ResendReason.UNROUTED)
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
    _call(order, "0190b1a2-c3d4-7e5f-8a9b-0123456789ab")
    _call(other, "0190b1a2-c3d5-7e5f-8a9b-0123456789ab")
    found = {
        f"#{order.pk}": [order.pk],
        "0190B1A2-C3D5": [other.pk],
        "0190b1a2c3d4": [order.pk],
        "0190b1a2c3d47e5f8a9b0123456789ab": [order.pk],
        "0190b1a2": [other.pk, order.pk],
    }
    for text, numbers in found.items():
        assert [int(row["name"][1:]) for row in find_rows(launch, text)] == numbers, text
    for nothing in ("", "x", "zz%", "0190_", "99999999", "9" * 30, "\x00", "--------"):
        assert find_rows(launch, nothing) == []


def test_an_order_of_another_system_is_found_by_the_start_of_its_own_id(launch: Launch) -> None:
    orders = [an_order(launch) for _ in range(3)]
    for order, order_id in zip(orders, ("Shop/2026-1", "Shop/2026-10", "20261"), strict=True):
        _call(order, order_id)
    for text, wanted in (("Shop/2026-1", [1, 0]), ("Shop/2026-10", [1]), ("2026", [2])):
        numbers = [int(row["name"][1:]) for row in find_rows(launch, text)]
        assert numbers == [orders[one].pk for one in wanted], text
    assert find_rows(launch, "shop") == []


def test_an_order_of_another_launch_is_not_found(launch: Launch) -> None:
    order = an_order(a_launch(name="over", ended_at=START))
    assert find_rows(launch, f"#{order.pk}") == find_rows(launch, str(order.uuid)) == []


def _call(order: Order, order_id: str) -> None:
    ObservedOrder.objects.filter(order_id=str(order.uuid)).update(order_id=order_id)


def test_the_story_of_an_order_has_the_control_first(launch: Launch) -> None:
    order = an_order(launch)
    say(launch, order, "vnext")
    say(launch, order, "vlatest")
    story = order_detail(str(order.uuid))
    assert story is not None
    versions = [one.participant.version for one in story["observations"]]
    assert versions == ["vlatest", "vnext"]
    assert order_detail(str(uuid4())) is None


@pytest.mark.parametrize("by", [Filter.ALL, Filter.DIFFERING])
def test_a_frame_takes_as_many_queries_at_fifty_orders_as_at_five(
    launch: Launch, by: Filter
) -> None:
    def queries() -> int:
        board_state(newest_launch() or launch, by)
        with all_statements() as captured:
            board_state(newest_launch() or launch, by)
        return len(captured)

    def place(number: int) -> None:
        for nth in range(number):
            order = an_order(launch)
            say(launch, order, "vlatest", heard_at=START)
            say(launch, order, "vnext", heard_at=START, result={"total_price": f"{nth}.00"})

    place(5)
    few = queries()
    place(45)
    assert queries() == few <= 41
