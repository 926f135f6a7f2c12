"""Batches of events and silences, recorded in a real database."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections

from dashboard.comparison.outcome import Outcome, State
from dashboard.ingest.recorder import NotTheRecorder, Recorder
from dashboard.ingest.stream import Roster, read_roster
from dashboard.models import Evidence, EvidenceBlock, Observation, Participant, TimeSlice
from dashboard.tests.factories import START, a_launch, an_event, an_order, as_message, observed
from dashboard.tests.making import record_events, sweep
from kitchen_worker.contract.messages import EventKind
from restaurant.models import Launch
from restaurant.tests.making import impatient, some_orders

pytestmark = pytest.mark.django_db

NOW = START + timedelta(seconds=1)


@pytest.fixture
def roster() -> Roster:
    return read_roster(a_launch())


def counts(roster: Roster, version: str) -> dict[str, int]:
    fields = ("orders", "handled", "failed", "missing", "late", "repeats", "pairs")
    return {
        name: number
        for name, number in Participant.objects.filter(launch=roster.launch, version=version)
        .values(*fields)
        .get()
        .items()
        if number
    }


def of(version: str) -> Observation:
    return Observation.objects.get(participant__version=version)


def say(roster: Roster, order: UUID, version: str, kind: EventKind, **fields: object) -> None:
    event = an_event(roster.launch, order, version, kind, **fields)
    record_events(roster, [event], NOW)


def test_two_ends_make_two_observations_and_one_pair(roster: Roster) -> None:
    order = uuid4()
    say(roster, order, "vlatest", EventKind.HANDLED, handling_ms=200.0)
    say(roster, order, "vnext", EventKind.HANDLED, handling_ms=150.0)
    assert Observation.objects.count() == 2
    assert of("vlatest").judged_at is None
    pair = of("vnext")
    assert (pair.judged_at, pair.exception, pair.slower) == (NOW, None, False)
    assert counts(roster, "vlatest") == {"orders": 1, "handled": 1}
    assert counts(roster, "vnext") == {"orders": 1, "handled": 1, "pairs": 1}


def test_a_received_order_becomes_handled_and_keeps_one_row(roster: Roster) -> None:
    order = uuid4()
    say(roster, order, "vnext", EventKind.RECEIVED)
    assert Observation.objects.get().state == State.RECEIVED
    say(roster, order, "vnext", EventKind.HANDLED)
    observation = Observation.objects.get()
    assert observation.state == State.HANDLED
    assert bytes(observation.result) == b'{"total_price":"7.00"}'
    assert counts(roster, "vnext") == {"orders": 1, "handled": 1}


@pytest.mark.parametrize("at_once", [1, 2, 4, 8])
def test_a_start_told_beside_its_end_leaves_what_both_leave_apart(
    roster: Roster, at_once: int
) -> None:
    order, other = uuid4(), uuid4()
    told = [
        (order, "vlatest", EventKind.RECEIVED),
        (order, "vlatest", EventKind.HANDLED),
        (order, "vnext", EventKind.RECEIVED),
        (order, "vnext", EventKind.FAILED),
        (order, "vnext", EventKind.RECEIVED),
        (order, "vnext", EventKind.FAILED),
        (other, "vnext", EventKind.RECEIVED),
        (other, "vlatest", EventKind.HANDLED),
    ]
    events = [an_event(roster.launch, *one) for one in told]
    for start in range(0, len(events), at_once):
        record_events(roster, events[start : start + at_once], NOW)

    assert counts(roster, "vlatest") == {"orders": 2, "handled": 2}
    assert counts(roster, "vnext") == {"orders": 2, "failed": 1, "repeats": 1, "pairs": 1}
    rows = Observation.objects.values_list(
        "order__order_id", "participant__version", "state", "received_at"
    )
    assert set(rows) == {
        (str(order), "vlatest", State.HANDLED, events[0].received_at),
        (str(order), "vnext", State.FAILED, events[0].received_at),
        (str(other), "vnext", State.RECEIVED, events[0].received_at),
        (str(other), "vlatest", State.HANDLED, events[0].received_at),
    }


def test_a_repeat_is_counted_and_the_first_answer_stays(roster: Roster) -> None:
    order = uuid4()
    say(roster, order, "vnext", EventKind.HANDLED, handling_ms=150.0)
    say(roster, order, "vnext", EventKind.HANDLED, handling_ms=9.0)
    assert Observation.objects.get().handling_ms == 150.0
    assert counts(roster, "vnext") == {"orders": 1, "handled": 1, "repeats": 1}


def everything_stored() -> dict[str, list[Any]]:
    return {
        model.__name__: sorted(model.objects.values_list(), key=str)
        for model in (Observation, Participant, TimeSlice, Evidence, EvidenceBlock)
    }


def test_events_that_are_delivered_again_change_nothing(roster: Roster) -> None:
    orders = [uuid4() for _ in range(5)]
    events = [an_event(roster.launch, one, v) for one in orders for v in ("vlatest", "vnext")]
    repeats = [an_event(roster.launch, one) for one in orders[:2]]
    record_events(roster, events, NOW)
    record_events(roster, repeats, NOW)
    assert counts(roster, "vnext") == {"orders": 5, "handled": 5, "repeats": 2, "pairs": 5}
    before = everything_stored()
    record_events(roster, [*events, *repeats], NOW)
    record_events(roster, [*repeats, *repeats], NOW)
    assert everything_stored() == before


def test_of_a_repeat_only_its_id_is_kept(roster: Roster) -> None:
    order = uuid4()
    say(roster, order, "vnext", EventKind.HANDLED, event_id="first")
    before = Observation.objects.values().get()
    say(roster, order, "vnext", EventKind.FAILED, event_id="second")
    assert Observation.objects.values().get() == {**before, "event_ids": '["first","second"]'}


def test_a_failure_is_data_with_its_type_and_message(roster: Roster) -> None:
    order = uuid4()
    say(roster, order, "vlatest", EventKind.HANDLED)
    say(roster, order, "vnext", EventKind.FAILED)
    observation = of("vnext")
    assert (observation.error_type, observation.error_message) == ("TooMany", "too many")
    assert observation.exception == Outcome.CANDIDATE_FAILED


def test_text_that_the_database_cannot_keep_is_kept_without_it(roster: Roster) -> None:
    order = uuid4()
    say(roster, order, "vnext", EventKind.HANDLED, build="git\x00", result={"a": "\x00 \U0001f354"})
    observation = Observation.objects.get()
    assert observation.build == "git\ufffd"
    assert json.loads(bytes(observation.result)) == {"a": "\x00 \U0001f354"}


def test_silence_is_missing_and_a_late_answer_mends_it(roster: Roster) -> None:
    order = uuid4()
    observed(roster.launch, str(order))
    say(roster, order, "vlatest", EventKind.HANDLED)
    say(roster, order, "vnext", EventKind.RECEIVED, worker="host-9")
    assert sweep(NOW, timedelta(0)) == 1
    observation = of("vnext")
    assert (observation.state, observation.worker) == (State.MISSING, "host-9")
    assert observation.exception == Outcome.MISSING
    assert counts(roster, "vnext") == {"orders": 1, "missing": 1}
    say(roster, order, "vnext", EventKind.HANDLED)
    observation = of("vnext")
    assert (observation.state, observation.late) == (State.HANDLED, True)
    assert (observation.judged_at, observation.exception) == (NOW, None)
    assert counts(roster, "vnext") == {"orders": 1, "handled": 1, "late": 1, "pairs": 1}


def test_silence_of_a_version_that_has_answered_changes_nothing(roster: Roster) -> None:
    order = uuid4()
    observed(roster.launch, str(order))
    say(roster, order, "vnext", EventKind.HANDLED)
    say(roster, order, "vlatest", EventKind.HANDLED)
    assert sweep(NOW, timedelta(0)) == 0
    assert {one.state for one in Observation.objects.all()} == {State.HANDLED}


def test_handling_times_go_to_the_sketch_and_to_their_slice(roster: Roster) -> None:
    for milliseconds in (100.0, 200.0, 300.0):
        say(roster, uuid4(), "vnext", EventKind.HANDLED, handling_ms=milliseconds)
    say(roster, uuid4(), "vnext", EventKind.FAILED)
    (one,) = TimeSlice.objects.all()
    assert (one.version, one.handled, one.failed) == ("vnext", 3, 1)
    assert one.start == int(START.timestamp()) // 2 * 2
    assert one.p50 == pytest.approx(200, rel=0.01)
    assert sum(Participant.objects.get(version="vnext").times.values()) == 3


def test_a_kitchen_with_a_wrong_clock_makes_no_slice_of_its_own(roster: Roster) -> None:
    say(roster, uuid4(), "vnext", EventKind.HANDLED, finished_at=START + timedelta(days=9000))
    assert TimeSlice.objects.get().start == int(NOW.timestamp()) // 2 * 2


@pytest.mark.django_db(transaction=True)
def test_observers_that_take_over_from_each_other_lose_nothing_and_count_nothing_twice() -> None:
    roster = read_roster(a_launch())
    orders = [uuid4() for _ in range(60)]
    for order in orders:
        observed(roster.launch, str(order))
    events = [
        as_message(an_event(roster.launch, order, version))
        for order in orders
        for version in ("vlatest", "vnext")
    ]

    def observe(mine: list[int]) -> None:
        try:
            recorder = Recorder.take_over()
            for start in mine:
                batch = events[start : start + 10]
                while True:
                    try:
                        recorder.record([], batch, NOW)
                        break
                    except NotTheRecorder:
                        recorder = Recorder.take_over()
        finally:
            connections.close_all()

    starts = list(range(0, len(events), 10))
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(observe, starts[half::2] + starts[:3]) for half in (0, 1)]
        for one in both:
            one.result(30)
    assert Observation.objects.count() == 120
    assert Observation.objects.exclude(judged_at=None).count() == 60
    assert counts(roster, "vlatest") == {"orders": 60, "handled": 60}
    assert counts(roster, "vnext") == {"orders": 60, "handled": 60, "pairs": 60}


@pytest.mark.django_db(transaction=True)
def test_the_observer_and_the_site_never_find_the_database_locked(roster: Roster) -> None:
    orders = [an_order(Launch.objects.get(), sample=()) for _ in range(10)]
    is_over = threading.Event()

    def place() -> None:
        with impatient():
            while not is_over.is_set():
                some_orders()

    def observe() -> None:
        with impatient():
            for order in orders:
                say(roster, order.uuid, "vlatest", EventKind.HANDLED)
                sweep(START + timedelta(minutes=5), timedelta(seconds=30))

    with ThreadPoolExecutor(2) as threads:
        placing = threads.submit(place)
        try:
            threads.submit(observe).result(30)
        finally:
            is_over.set()
        placing.result(30)
    assert counts(roster, "vlatest")["handled"] == 10
