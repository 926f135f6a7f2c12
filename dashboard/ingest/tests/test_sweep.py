"""Orders that nobody answered in time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dashboard.comparison.outcome import State
from dashboard.ingest import recorder
from dashboard.ingest.recorder import Recorder
from dashboard.ingest.stream import read_roster
from dashboard.models import Observation
from dashboard.tests.factories import START, a_launch, an_event, an_order, observed
from dashboard.tests.making import record_events, sweep
from restaurant.tests.making import all_statements, end_launch

pytestmark = pytest.mark.django_db

DEADLINE = timedelta(seconds=30)


def missing() -> set[tuple[str, str]]:
    rows = Observation.objects.filter(state=State.MISSING)
    return set(rows.values_list("order__order_id", "participant__version"))


def test_before_the_deadline_nothing_is_missing() -> None:
    an_order(a_launch(), sent_at=START + timedelta(seconds=1))
    assert sweep(START + DEADLINE, DEADLINE) == 0
    assert missing() == set()


def test_after_the_deadline_every_version_that_owes_an_answer_is_missing() -> None:
    launch = a_launch()
    order = an_order(launch, sample=("vnext",), sent_at=START + timedelta(seconds=1))
    record_events(read_roster(launch), [an_event(launch, order.uuid, "vlatest")], START + DEADLINE)
    assert sweep(START + DEADLINE + timedelta(seconds=2), DEADLINE) == 1
    assert missing() == {(str(order.uuid), "vnext")}


def test_the_deadline_runs_from_the_arrival_at_the_observer() -> None:
    """However long an order was on its way, each version has the whole of it."""
    order = observed(a_launch().id, "1", sent_at=START, arrived_at=START + timedelta(hours=1))
    assert sweep(START + timedelta(hours=1), DEADLINE) == 0
    assert sweep(order.arrived_at + DEADLINE, DEADLINE) == 2


def test_what_arrived_after_an_order_that_is_not_due_waits_with_it() -> None:
    launch = a_launch()
    observed(launch.id, "1", arrived_at=START + timedelta(hours=1))
    observed(launch.id, "2", arrived_at=START)
    assert sweep(START + DEADLINE, DEADLINE) == 0
    assert sweep(START + timedelta(hours=2), DEADLINE) == 4


def test_a_second_sweep_finds_nothing_new() -> None:
    an_order(a_launch(), sent_at=START + timedelta(seconds=1))
    assert sweep(START + timedelta(minutes=5), DEADLINE) == 2
    assert sweep(START + timedelta(minutes=6), DEADLINE) == 0


def test_a_launch_that_ended_while_the_observer_was_away_is_swept_long_after() -> None:
    launch = a_launch()
    an_order(launch, sent_at=START + timedelta(minutes=1))
    assert sweep(START + timedelta(seconds=1), DEADLINE) == 0
    end_launch(launch, at=START + timedelta(minutes=2))
    assert sweep(START + timedelta(days=3), DEADLINE) == 2


def test_orders_that_were_sent_long_after_their_launch_had_ended_are_swept() -> None:
    launch = a_launch()
    end_launch(launch, at=START + timedelta(minutes=2))
    assert sweep(START + timedelta(days=1), DEADLINE) == 0
    observed(launch.id, "1", sent_at=START + timedelta(days=2))
    assert sweep(START + timedelta(days=3), DEADLINE) == 2


def test_launches_that_are_swept_to_their_end_cost_nothing_more() -> None:
    def statements() -> int:
        sweep(START + timedelta(days=300), DEADLINE)
        with all_statements() as captured:
            sweep(START + timedelta(days=300), DEADLINE)
        return len(captured)

    def ended_launches(number: int) -> None:
        for _ in range(number):
            launch = a_launch()
            an_order(launch, sent_at=START + timedelta(minutes=1))
            end_launch(launch, at=START + timedelta(minutes=2))

    ended_launches(1)
    few = statements()
    ended_launches(10)
    assert statements() == few


def test_a_step_looks_through_a_bounded_number_of_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "SWEPT_AT_ONCE", 3)
    launch, now = a_launch(), START + timedelta(minutes=5)
    for n in range(14):
        an_order(launch, sent_at=START + timedelta(seconds=1 + n))
    sweeping = Recorder.take_over()
    swept = [sweeping.sweep(now, DEADLINE) for _ in range(5)]
    assert [one.missing for one in swept] == [6, 6, 6, 6, 4]
    assert [one.is_done for one in swept] == [False] * 4 + [True]
    assert sweeping.sweep(now, DEADLINE).missing == 0


def test_a_long_backlog_is_swept_in_steps_and_wholly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "SWEPT_AT_ONCE", 3)
    launch = a_launch()
    orders = [an_order(launch, sent_at=START + timedelta(seconds=1 + n // 4)) for n in range(14)]
    assert sweep(START + timedelta(minutes=5), DEADLINE) == 28
    assert len({order for order, _ in missing()}) == len(orders)
