"""What pruning takes away, and what it leaves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.models import (
    Comparison,
    Discrepancy,
    Evidence,
    Example,
    Observation,
    Signature,
    Sweep,
    Tally,
    TimeSlice,
)
from dashboard.observing.pruning import first_to_keep, prune_orders, prune_slices
from dashboard.observing.recording import record_events
from dashboard.observing.rosters import Rosters, read_roster
from dashboard.tests.factories import START, a_launch, an_event, an_order
from dashboard.tests.making import a_replay, sweep
from kitchen_worker.contract.messages import EventKind, utc_now
from restaurant.models import Launch, Letter, Order, OrderLine
from restaurant.tests.making import end_launch

pytestmark = pytest.mark.django_db

LATER = START + timedelta(days=1)


@pytest.fixture
def launch() -> Launch:
    """An open launch that was swept just now."""
    launch = a_launch()
    Sweep.objects.create(launch=launch.id, swept_until=LATER + timedelta(days=1))
    return launch


def _observed(launch: Launch, placed_at: Any = START, *, differs: bool = False) -> Order:
    """An order that both versions have handled."""
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
    return order


def _known_of() -> dict[str, set[UUID]]:
    """The orders of which each table knows something."""
    return {
        "observations": set(Observation.objects.values_list("order", flat=True)),
        "pairs": set(Comparison.objects.values_list("order", flat=True)),
        "letters": set(Letter.objects.values_list("order__uuid", flat=True)),
        "orders": set(Order.objects.values_list("uuid", flat=True)),
        "lines": set(OrderLine.objects.values_list("order__uuid", flat=True)),
    }


def _counted() -> list[Any]:
    return [
        list(model.objects.order_by("pk").values())
        for model in (Tally, Discrepancy, Signature, Example, Evidence)
    ]


def test_what_was_observed_of_old_orders_goes_and_the_orders_stay(launch: Launch) -> None:
    old, new = _observed(launch), _observed(launch, LATER)
    counted = _counted()

    pruned = prune_orders(first_to_keep(LATER))

    assert (pruned.orders, pruned.rows, pruned.more) == (1, 2 + 1 + 1, False)
    assert _known_of() == {
        "observations": {new.uuid},
        "pairs": {new.uuid},
        "letters": {new.uuid},
        "orders": {old.uuid, new.uuid},
        "lines": {old.uuid, new.uuid},
    }
    assert _counted() == counted


def test_examples_and_orders_that_were_sent_again_stay(launch: Launch) -> None:
    example = _observed(launch, differs=True)
    again, gone = _observed(launch), _observed(launch)
    replay = a_replay(Discrepancy.objects.get(), orders=1)
    replay.replayed_orders.update(order=again.uuid)

    prune_orders(first_to_keep(LATER))

    assert _known_of()["observations"] == {example.uuid, again.uuid}
    assert _known_of()["letters"] == {example.uuid, again.uuid}
    assert not Letter.objects.filter(order=gone).exists()


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
    assert _known_of()["observations"] == {kept.uuid}
    assert prune_orders(until).orders == 0


def test_a_letter_that_waits_stays(launch: Launch) -> None:
    order = an_order(launch, placed_at=START, sent_at=None)
    prune_orders(first_to_keep(LATER))
    assert Letter.objects.get().order_id == order.pk


def test_what_was_not_swept_yet_stays_after_its_launch_has_ended_too(launch: Launch) -> None:
    _observed(launch, START + timedelta(hours=1))
    Sweep.objects.update(swept_until=START)
    assert prune_orders(first_to_keep(LATER)).orders == 0
    Sweep.objects.all().delete()
    assert prune_orders(first_to_keep(LATER)).orders == 0
    end_launch(launch, at=LATER)
    assert prune_orders(first_to_keep(LATER)).orders == 0
    sweep(LATER + timedelta(days=1), timedelta(seconds=30))
    assert prune_orders(first_to_keep(LATER)).orders == 1


def test_pruning_first_takes_the_lock_under_which_events_are_recorded(launch: Launch) -> None:
    _observed(launch)
    until = first_to_keep(LATER)
    with CaptureQueriesContext(connection) as captured:
        prune_orders(until)
    said = [one["sql"] for one in captured]
    lock = next(n for n, sql in enumerate(said) if '"dashboard_tally"' in sql)
    deletions = [n for n, sql in enumerate(said) if sql.startswith("DELETE")]
    assert deletions
    assert lock < min(deletions)
    assert connection.vendor == "sqlite" or said[lock].endswith("FOR UPDATE")


def test_what_is_said_of_a_pruned_order_counts_no_more(launch: Launch) -> None:
    order = _observed(launch)
    prune_orders(first_to_keep(LATER))
    (admission,) = Rosters().admit([an_event(launch, order.uuid)])
    assert admission.reason == f"nobody placed an order {order.uuid}"


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
    Sweep.objects.update(swept_until=now)
    old, new = (_observed(launch, now - timedelta(days=days)) for days in (31, 29))

    call_command("prune", days=30)

    assert _known_of()["observations"] == {new.uuid}
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
    Example.objects.all().delete()
    prune_orders(first_to_keep(LATER))
    found = Discrepancy.objects.get()
    for url in (
        reverse("board"),
        reverse("board_order", args=[order.uuid]),
        reverse("discrepancies"),
        reverse("discrepancy", args=[found.pk]),
        reverse("discrepancy_orders", args=[found.pk]),
        reverse("admin:restaurant_order_change", args=[order.pk]),
        reverse("admin:dashboard_comparison_changelist"),
    ):
        assert admin_client.get(url).status_code == 200
