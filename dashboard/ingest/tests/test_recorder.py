"""The recorder: what it stores of a batch, what it keeps in memory, and who may record."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError

from dashboard.comparison.outcome import State
from dashboard.fold.admission import MAX_PENDING, EventMessage, OrderMessage, overdue
from dashboard.fold.records import OrderRecord
from dashboard.ingest import stored
from dashboard.ingest.recorder import NotTheRecorder, Recorder
from dashboard.ingest.stored import changing
from dashboard.ingest.stream import read_roster
from dashboard.models import (
    Discrepancy,
    Evidence,
    Observation,
    ObservedOrder,
    ObserverState,
    Participant,
    RelaySession,
    Signature,
    StubOrder,
    TimeSlice,
)
from dashboard.tests.factories import START, a_launch, an_event, as_message
from kitchen_worker.contract.messages import EventKind
from restaurant.models import Launch
from restaurant.tests.making import all_statements

pytestmark = pytest.mark.django_db

SOON = START + timedelta(seconds=1)
DEADLINE = timedelta(seconds=30)


def an_order(
    launch: Launch | None, order_id: str = "", *, sample: tuple[str, ...] = ("vnext",)
) -> OrderMessage:
    """An order as its message has it."""
    record = OrderRecord(
        id=0,
        order_id=order_id or str(uuid4()),
        launch=launch.id if launch else UUID(int=0),
        arrived_at=START,
        sent_at=START,
        placed_at=START,
        size=2,
        categories=("note:no", "item:burger"),
        sample=frozenset(sample),
    )
    return OrderMessage(record=record, launch=launch.id if launch else None)


def an_end(
    launch: Launch | None, order: OrderMessage, version: str = "vnext", **fields: Any
) -> EventMessage:
    """An event of an order."""
    return as_message(an_event(launch, UUID(order.record.order_id), version, **fields))


def stand(launch: Launch) -> dict[str, Any]:
    """All that is stored of a launch, by natural keys."""
    roster = read_roster(launch)
    state = stored.load(roster).state
    orders = dict(ObservedOrder.objects.values_list("id", "order_id"))
    names = {one.pk: one.version for one in Participant.objects.filter(launch=launch.id)}
    keys = {pk: (one.version, one.group) for pk, one in state.discrepancies.items()}

    def named(members: Any) -> Any:
        return sorted(str(keys[pk]) for pk in members)

    return {
        "participants": state.participants,
        "discrepancies": {
            keys[pk]: (one.count, one.ignored, one.control_value, one.version_value, one.examples)
            for pk, one in state.discrepancies.items()
        },
        "signatures": {
            (one.version, *named(one.members.counted)): one.pairs
            for one in state.signatures.values()
        },
        "evidence": {
            one.epoch: (
                one.tally.late,
                one.tally.lost,
                {number: block.orders for number, block in one.tally.blocks.items()},
                one.coverage.seen,
            )
            for one in state.evidence.values()
        },
        "observations": {
            (orders[one.order_id], names[one.participant_id]): (
                one.state,
                bytes(one.result),
                one.exception,
                one.judged_at,
                one.slower,
            )
            for one in Observation.objects.all()
        },
        "slices": sorted(
            TimeSlice.objects.values_list("version", "start", "handled", "failed", "p50")
        ),
        "stubs": StubOrder.objects.count(),
    }


def test_an_order_and_its_ends_are_one_row_each_and_the_pair_is_compared() -> None:
    launch = a_launch()
    order = an_order(launch)
    recorder = Recorder.take_over()

    recorder.record(
        [order],
        [
            an_end(launch, order, "vlatest", result={"total_price": "7.00"}),
            an_end(launch, order, "vnext", result={"total_price": "7.50"}, handling_ms=200.0),
        ],
        SOON,
    )

    row = ObservedOrder.objects.get()
    assert (row.order_id, row.size, row.categories) == (
        order.record.order_id,
        2,
        ["note:no", "item:burger"],
    )
    control, version = Observation.objects.order_by("participant__role")[::-1]
    assert (control.participant.version, control.judged_at) == ("vlatest", None)
    assert (version.exception, version.slower, version.judged_at) == ("differ", True, SOON)
    found = Discrepancy.objects.get()
    assert (found.count, found.control_value, found.version_value) == (1, '"7.00"', '"7.50"')
    assert [order_id for _, order_id in found.examples] == [order.record.order_id]
    assert Participant.objects.get(version="vnext").pairs == 1
    assert Evidence.objects.get().blocks.count() == 1


def test_a_pair_that_agrees_names_no_outcome() -> None:
    launch = a_launch()
    order = an_order(launch)
    ends = [an_end(launch, order, version) for version in ("vlatest", "vnext")]

    Recorder.take_over().record([order], ends, SOON)

    version = Observation.objects.get(participant__version="vnext")
    assert (version.judged_at, version.exception, version.signature) == (SOON, None, None)


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_messages_in_any_batches_gives_the_same_tables(seed: int) -> None:
    launch = a_launch()
    messages: list[OrderMessage | EventMessage] = []
    for number in range(12):
        order = an_order(launch, str(UUID(int=number)), sample=("vnext", "vlatest-b"))
        messages += [
            order,
            an_end(launch, order, "vlatest", event_id=f"c{number}"),
            an_end(launch, order, "vnext", event_id=f"n{number}",
                   result={"total_price": f"7.{number % 3}0"}),
            an_end(launch, order, "vnext", event_id=f"r{number}", kind=EventKind.RECEIVED),
        ]  # fmt: skip
        if number % 2:
            messages.append(an_end(launch, order, "vlatest-b", event_id=f"b{number}"))

    def play(several: list[Any], at_most: int) -> dict[str, Any]:
        for model in (ObservedOrder, Observation, StubOrder, TimeSlice, Evidence, Discrepancy):
            model.objects.all().delete()
        Signature.objects.all().delete()
        Participant.objects.all().delete()
        recorder = Recorder.take_over()
        for start in range(0, len(several), at_most):
            batch = several[start : start + at_most]
            recorder.record(
                [one for one in batch if isinstance(one, OrderMessage)],
                [one for one in batch if isinstance(one, EventMessage)],
                SOON,
            )
        return stand(launch)

    whole = play(messages, len(messages))
    mixed = random.Random(seed).sample(messages, len(messages))

    assert whole["stubs"] == 0
    assert play(mixed, 1 + seed * 3) == whole


def test_events_that_come_before_their_order_wait_for_it_in_a_stub() -> None:
    launch = a_launch()
    order = an_order(launch)
    recorder = Recorder.take_over()

    recorder.record([], [an_end(launch, order, "vlatest"), an_end(launch, order)], SOON)
    assert (StubOrder.objects.count(), Observation.objects.count()) == (1, 0)

    recorder.record([order], [], SOON)
    assert (StubOrder.objects.count(), Observation.objects.count()) == (0, 2)
    assert Participant.objects.get(version="vnext").pairs == 1


def test_orders_outside_a_launch_are_dropped_and_their_events_counted() -> None:
    order = an_order(None)
    recorder = Recorder.take_over()

    recorder.record([order], [an_end(None, order, "vlatest")], SOON)
    recorder.record([], [an_end(None, order, "vlatest", event_id="second")], SOON)

    assert not ObservedOrder.objects.exists()
    assert not StubOrder.objects.exists()
    assert ObserverState.objects.get().events_outside == 2


def test_an_order_of_a_launch_that_nobody_knows_is_outside_any() -> None:
    order = OrderMessage(record=an_order(None).record, launch=uuid4())

    admitted = Recorder.take_over().record([order], [], SOON)

    assert admitted.outside == [order.record.order_id]
    assert not ObservedOrder.objects.exists()


def test_events_of_orders_that_never_come_are_given_up_after_the_deadline() -> None:
    launch = a_launch()
    order, elsewhere = an_order(launch), an_order(None)
    recorder = Recorder.take_over()
    recorder.record([], [an_end(launch, order), an_end(None, elsewhere, "vlatest")], SOON)

    early = recorder.overdue_stubs(SOON - timedelta(seconds=1))
    late = recorder.overdue_stubs(SOON)
    recorder.give_up(late)

    assert (len(early), len(late)) == (0, 2)
    assert [one.reason for one in overdue(late).refused] == [
        f"no order {order.record.order_id} came"
    ]
    assert ObserverState.objects.get().events_outside == 1
    assert recorder.overdue_stubs(SOON) == []


def test_answers_that_do_not_come_are_missing_once_the_deadline_is_over() -> None:
    launch = a_launch()
    orders = [an_order(launch) for _ in range(3)]
    recorder = Recorder.take_over()
    recorder.record(orders, [an_end(launch, orders[0], one) for one in ("vlatest", "vnext")], START)

    early = recorder.sweep(START + DEADLINE - timedelta(seconds=1), DEADLINE)
    late = recorder.sweep(START + DEADLINE, DEADLINE)
    again = recorder.sweep(START + 2 * DEADLINE, DEADLINE)

    assert [early.missing, late.missing, again.missing] == [0, 4, 0]
    assert Observation.objects.filter(state=State.MISSING).count() == 4
    assert ObserverState.objects.get().swept_until == ObservedOrder.objects.latest("id").id


def test_a_version_that_joins_a_launch_later_is_taken_in() -> None:
    launch = a_launch()
    recorder = Recorder.take_over()
    order = an_order(launch)
    recorder.record([order], [an_end(launch, order)], SOON)
    launch.dark_versions.create(version="vnew", role="candidate", percent=100)
    second = an_order(launch, sample=("vnew",))

    admitted = recorder.record([second], [an_end(launch, second, "vnew")], SOON)

    assert admitted.refused == []
    assert Participant.objects.get(version="vnew").handled == 1


def test_a_version_that_joins_later_and_never_answers_misses_its_orders() -> None:
    launch = a_launch()
    recorder = Recorder.take_over()
    recorder.record([an_order(launch)], [], START)
    launch.dark_versions.create(version="vnew", role="candidate", percent=100)
    recorder.record([an_order(launch, sample=("vnew",))], [], START)

    recorder.sweep(START + DEADLINE, DEADLINE)

    assert Participant.objects.get(version="vnew").missing == 1


def test_an_observer_that_another_one_has_taken_over_from_records_no_more() -> None:
    launch = a_launch()
    first = Recorder.take_over()
    second = Recorder.take_over()

    with pytest.raises(NotTheRecorder):
        first.record([an_order(launch)], [], SOON)

    second.record([an_order(launch)], [], SOON)
    assert ObservedOrder.objects.count() == 1


def test_what_others_change_is_read_again() -> None:
    launch = a_launch()
    recorder = Recorder.take_over()
    order = an_order(launch)
    recorder.record([order], [an_end(launch, order)], SOON)
    with changing():
        Participant.objects.filter(version="vnext").update(handled=41)
    second = an_order(launch)

    recorder.record([second], [an_end(launch, second)], SOON)

    assert Participant.objects.get(version="vnext").handled == 42


def test_a_batch_that_fails_leaves_nothing_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = a_launch()
    recorder = Recorder.take_over()
    order, second = an_order(launch), an_order(launch)
    recorder.record([order], [an_end(launch, order)], SOON)

    def fail(*_: object) -> None:
        raise DatabaseError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(stored, "write_stubs", fail)
        with pytest.raises(DatabaseError):
            recorder.record([second], [an_end(launch, second)], SOON)

    assert Participant.objects.get(version="vnext").handled == 1
    recorder.record([second], [an_end(launch, second)], SOON)
    assert Participant.objects.get(version="vnext").handled == 2


def test_numbers_of_orders_that_did_not_come_are_known() -> None:
    launch = a_launch()
    recorder = Recorder.take_over()

    recorder.record([], [], SOON, numbers={("relay-1", launch.id): [1, 2, 5]})
    recorder.record([], [], SOON, numbers={("relay-1", launch.id): [5, 4, 9]})

    row = RelaySession.objects.get()
    assert (row.launch, row.ranges, row.lost) == (launch.id, [[1, 2], [4, 5], [9, 9]], 0)


def test_a_relay_that_numbers_two_launches_together_is_one_session() -> None:
    launch, other = a_launch(), uuid4()

    numbers = {("relay-1", launch.id): [1, 4], ("relay-1", other): [2]}
    Recorder.take_over().record([], [], SOON, numbers=numbers)

    assert RelaySession.objects.get().ranges == [[1, 2], [4, 4]]


def test_a_batch_of_a_launch_that_is_known_takes_a_fixed_number_of_statements() -> None:
    launch = a_launch()
    recorder = Recorder.take_over()

    def batch(size: int) -> int:
        orders = [an_order(launch) for _ in range(size)]
        ends = [
            an_end(launch, order, version, result={"total_price": version})
            for order in orders
            for version in ("vlatest", "vnext")
        ]
        with all_statements() as captured:
            recorder.record(orders, ends, SOON)
        return len(captured)

    batch(10)
    small, large = batch(10), batch(100)

    assert small == large <= 16


def test_an_event_that_comes_again_waits_for_its_order_once() -> None:
    launch = a_launch()
    order = an_order(launch)
    recorder, event = Recorder.take_over(), an_end(launch, order)
    for _ in range(MAX_PENDING + 1):
        recorder.record([], [event], SOON)

    admitted = recorder.record([], [an_end(launch, order, "vlatest")], SOON)

    assert admitted.refused == []
    [stub] = recorder.overdue_stubs(SOON)
    assert len(stub.pending) == 2


def test_what_waits_for_an_order_is_bounded_in_bytes() -> None:
    launch = a_launch()
    order = an_order(launch)
    recorder, large = Recorder.take_over(), {"text": "x" * 200_000}

    ends = [an_end(launch, order, result=large) for _ in range(6)]
    admitted = recorder.record([], ends, SOON)

    assert [one.reason for one in admitted.refused] == [
        f"4 other reports wait for order {order.record.order_id}"
    ] * 2


def test_stubs_that_are_given_up_twice_count_once() -> None:
    order, second = an_order(None), an_order(None)
    recorder = Recorder.take_over()
    recorder.record([], [an_end(None, order, "vlatest")], SOON)
    stubs = recorder.overdue_stubs(SOON)
    recorder.give_up(stubs)
    recorder.record([], [an_end(None, second, "vlatest")], SOON)

    recorder.give_up(stubs)

    assert ObserverState.objects.get().events_outside == 1
    assert len(recorder.overdue_stubs(SOON)) == 1
