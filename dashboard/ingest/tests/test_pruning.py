"""What pruning takes away, and what it leaves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse
from msgspec.structs import replace

from dashboard.database import connection
from dashboard.fold.admission import OrderMessage
from dashboard.fold.records import OrderRecord
from dashboard.ingest.pruning import first_from, first_to_keep, prune_orders, prune_slices
from dashboard.ingest.recorder import Recorder
from dashboard.ingest.stream import read_roster
from dashboard.models import (
    Discrepancy,
    Evidence,
    Observation,
    ObservedOrder,
    ObserverState,
    Participant,
    Signature,
    StubOrder,
    TimeSlice,
)
from dashboard.tests.factories import START, a_launch, an_event, an_order, as_message
from dashboard.tests.making import a_replay, record_events, sweep
from kitchen_worker.contract.messages import EventKind, utc_now
from restaurant.models import Launch, Order, OrderLine
from restaurant.tests.making import all_statements

pytestmark = pytest.mark.django_db

LATER = START + timedelta(days=1)


@pytest.fixture
def launch() -> Launch:
    """An open launch; the orders of the next days count as swept."""
    return a_launch()


def _observed(launch: Launch, placed_at: Any = START, *, differs: bool = False) -> Order:
    """An order that both versions have handled, and that was swept."""
    order = an_order(launch, placed_at=placed_at, sent_at=placed_at)
    events = [
        an_event(
            launch,
            order.uuid,
            version,
            EventKind.HANDLED,
            placed_at=placed_at,
            result={"total_price": "6.99" if differs and version == "vnext" else "7.00"},
        )
        for version in ("vlatest", "vnext")
    ]
    record_events(read_roster(launch), events, placed_at)
    _swept_until(ObservedOrder.objects.latest("pk").pk)
    return order


def _swept_until(order: int) -> None:
    assert ObserverState.objects.update(swept_until=order) == 1


def _known_of() -> dict[str, set[str]]:
    """The orders of which each table knows something."""
    lines = OrderLine.objects.values_list("order__uuid", flat=True)
    return {
        "observed orders": set(ObservedOrder.objects.values_list("order_id", flat=True)),
        "observations": set(Observation.objects.values_list("order__order_id", flat=True)),
        "orders": {str(uuid) for uuid in Order.objects.values_list("uuid", flat=True)},
        "lines": {str(uuid) for uuid in lines},
    }


def _counted() -> list[Any]:
    return [
        list(model.objects.order_by("pk").values())
        for model in (Participant, Discrepancy, Signature, Evidence)
    ]


def test_what_was_observed_of_old_orders_goes_and_the_orders_stay(launch: Launch) -> None:
    old, new = _observed(launch), _observed(launch, LATER)
    counted = _counted()

    pruned = prune_orders(first_to_keep(LATER))

    assert (pruned.orders, pruned.rows, pruned.more) == (1, 1 + 2, False)
    assert _known_of() == {
        "observed orders": {str(new.uuid)},
        "observations": {str(new.uuid)},
        "orders": {str(old.uuid), str(new.uuid)},
        "lines": {str(old.uuid), str(new.uuid)},
    }
    assert _counted() == counted


def test_examples_and_orders_that_were_sent_again_stay(launch: Launch) -> None:
    example = _observed(launch, differs=True)
    again, _ = _observed(launch), _observed(launch)
    replay = a_replay(Discrepancy.objects.get(), orders=1)
    replay.replayed_orders.update(order=again.uuid)

    prune_orders(first_to_keep(LATER))

    assert _known_of()["observations"] == {str(example.uuid), str(again.uuid)}
    assert _known_of()["observed orders"] == {str(example.uuid), str(again.uuid)}


def test_it_goes_on_where_it_ended_in_bounded_steps(launch: Launch) -> None:
    kept = _observed(launch, differs=True)
    for _ in range(4):
        _observed(launch)
    until, after, steps = first_to_keep(LATER), 0, []
    while True:
        step = prune_orders(until, after, at_most=2)
        steps.append(step.orders)
        after = step.after
        if not step.more:
            break

    assert steps == [1, 2, 1]
    assert _known_of()["observations"] == {str(kept.uuid)}
    assert prune_orders(until).orders == 0


def test_what_was_not_swept_yet_stays(launch: Launch) -> None:
    first, second = (_observed(launch, START + timedelta(hours=1)) for _ in range(2))
    _swept_until(0)
    assert prune_orders(first_to_keep(LATER)).orders == 0
    _swept_until(ObservedOrder.objects.get(order_id=first.uuid).pk)
    assert prune_orders(first_to_keep(LATER)).orders == 1
    assert _known_of()["observed orders"] == {str(second.uuid)}
    sweep(LATER, timedelta(seconds=30))
    assert prune_orders(first_to_keep(LATER)).orders == 1


def test_the_first_order_of_a_moment_is_found_whatever_is_missing_in_between(
    launch: Launch,
) -> None:
    def first(minutes: float) -> int:
        return first_from(START + timedelta(minutes=minutes))

    assert first(0) == 0
    for one in range(40):
        an_order(launch, sent_at=START + timedelta(minutes=one))
    ids = list(ObservedOrder.objects.order_by("pk").values_list("pk", flat=True))
    ObservedOrder.objects.filter(pk__in=ids[3:20]).delete()
    for at, expected in ((0, 0), (1, 1), (3, 20), (19.5, 20), (20, 20), (39, 39)):
        assert first(at) <= ids[expected]
        assert ObservedOrder.objects.filter(pk__gte=first(at)).earliest("pk").pk == ids[expected]
    assert first(40) > ids[39]


def test_pruning_first_takes_the_lock_under_which_events_are_recorded(launch: Launch) -> None:
    _observed(launch)
    until = first_to_keep(LATER)
    with all_statements() as captured:
        prune_orders(until)
    said = captured
    lock = next(n for n, sql in enumerate(said) if '"dashboard_observerstate"' in sql)
    deletions = [n for n, sql in enumerate(said) if sql.startswith("DELETE")]
    assert deletions
    assert lock < min(deletions)
    assert connection().vendor == "sqlite" or said[lock].endswith("FOR UPDATE")


def test_what_is_said_of_a_pruned_order_counts_no_more(launch: Launch) -> None:
    order = OrderRecord(
        id=0,
        order_id="an order at hand",
        launch=launch.id,
        arrived_at=START,
        sent_at=START,
        placed_at=START,
        sample=frozenset({"vnext"}),
    )
    said = as_message(an_event(launch, UUID(int=1), "vlatest"))
    said = replace(said, report=replace(said.report, order_id=order.order_id))
    recorder = Recorder.take_over()
    recorder.record([OrderMessage(record=order, launch=launch.id)], [said], START)
    _swept_until(ObservedOrder.objects.latest("pk").pk)
    before = _counted()
    assert prune_orders(first_to_keep(LATER)).orders == 1

    recorder.record([], [replace(said, report=replace(said.report, event_id="again"))], LATER)

    assert StubOrder.objects.get().order_id == order.order_id
    assert (_counted(), _known_of()["observations"]) == (before, set())


def test_an_order_that_comes_after_all_others_are_gone_has_an_id_of_its_own(
    launch: Launch,
) -> None:
    _observed(launch)
    last = ObservedOrder.objects.latest("pk").pk
    prune_orders(first_to_keep(LATER))
    order = OrderRecord(
        id=0,
        order_id="later",
        launch=launch.id,
        arrived_at=LATER,
        sent_at=LATER,
        placed_at=LATER,
    )
    Recorder.take_over().record([OrderMessage(record=order, launch=launch.id)], [], LATER)
    assert ObservedOrder.objects.get().pk == last + 1
    assert sweep(LATER + timedelta(minutes=1), timedelta(seconds=30)) == 1


def test_points_of_the_charts_go_in_bounded_steps(launch: Launch) -> None:
    _observed(launch)
    _observed(launch, START + timedelta(hours=1))
    _observed(launch, LATER)
    left = TimeSlice.objects.filter(start__gte=LATER.timestamp())
    expected = set(left.values_list("pk", flat=True))
    steps = []
    while points := prune_slices(LATER, at_most=2):
        steps.append(points)
    assert all(points <= 2 for points in steps)
    assert set(TimeSlice.objects.values_list("pk", flat=True)) == expected


def test_the_command_prunes_by_days(capsys: pytest.CaptureFixture[str], launch: Launch) -> None:
    now = utc_now()
    old, new = (_observed(launch, now - timedelta(days=days)) for days in (31, 29))

    call_command("prune", days=30)

    assert _known_of()["observations"] == {str(new.uuid)}
    assert "Of 1 orders" in capsys.readouterr().out
    assert Order.objects.filter(uuid=old.uuid).exists()


@pytest.mark.parametrize("days", ["0", "-1", "many"])
def test_days_are_from_one_on(days: str) -> None:
    with pytest.raises(CommandError):
        call_command("prune", f"--days={days}")


def test_every_page_bears_an_order_without_observations(
    launch: Launch, admin_client: Client
) -> None:
    order = _observed(launch, differs=True)
    Discrepancy.objects.update(examples=[])
    assert prune_orders(first_to_keep(LATER)).orders == 1
    found = Discrepancy.objects.get()
    assert admin_client.get(reverse("board_order", args=[order.uuid])).status_code == 404
    for url in (
        reverse("board"),
        reverse("discrepancies"),
        reverse("discrepancy", args=[found.pk]),
        reverse("discrepancy_orders", args=[found.pk]),
        reverse("admin:restaurant_order_change", args=[order.pk]),
    ):
        assert admin_client.get(url).status_code == 200
