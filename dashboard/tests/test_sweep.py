"""Orders that nobody answered in time."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.domain.outcome import State
from dashboard.models import Observation
from dashboard.observing import sweep as sweeping
from dashboard.observing.recording import record_events
from dashboard.observing.rosters import read_roster
from dashboard.observing.sweep import Sweeping
from dashboard.tests.factories import START, a_launch, an_event, an_order
from dashboard.tests.making import sweep
from restaurant.models import Letter
from restaurant.tests.making import end_launch

pytestmark = pytest.mark.django_db

DEADLINE = timedelta(seconds=30)


def missing() -> set[tuple[str, str]]:
    return {
        (str(order), version)
        for order, version in Observation.objects.filter(state=State.MISSING).values_list(
            "order", "version"
        )
    }


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


def test_an_order_that_was_never_sent_is_not_missing() -> None:
    an_order(a_launch(), sent_at=None)
    assert sweep(START + timedelta(days=1), DEADLINE) == 0


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
    order = an_order(launch, sent_at=None)
    end_launch(launch, at=START + timedelta(minutes=2))
    assert sweep(START + timedelta(days=1), DEADLINE) == 0
    Letter.objects.filter(order=order).update(sent_at=START + timedelta(days=2))
    assert sweep(START + timedelta(days=3), DEADLINE) == 2


def test_launches_that_are_swept_to_their_end_cost_nothing_more() -> None:
    def statements() -> int:
        sweep(START + timedelta(days=300), DEADLINE)
        with CaptureQueriesContext(connection) as captured:
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


def test_a_step_looks_through_a_bounded_number_and_may_be_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "STEP", 3)
    launch, now = a_launch(), START + timedelta(minutes=5)
    for n in range(14):
        an_order(launch, sent_at=START + timedelta(seconds=1 + n))
    sweep_of_all, marked = Sweeping(now - DEADLINE), []
    while not sweep_of_all.is_done:
        assert copy.deepcopy(sweep_of_all).step(now) <= 2 * 4
        marked.append(sweep_of_all.step(now))
    assert marked == [0] * 4
    assert len(missing()) == 28


def test_a_long_backlog_is_swept_in_steps_and_wholly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "STEP", 3)
    launch = a_launch()
    orders = [an_order(launch, sent_at=START + timedelta(seconds=1 + n // 4)) for n in range(14)]
    assert sweep(START + timedelta(minutes=5), DEADLINE) == 28
    assert len({order for order, _ in missing()}) == len(orders)
