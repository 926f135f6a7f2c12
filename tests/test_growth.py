"""What is grown is what the product would have recorded, and the same for the same seed."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections

from bench.growth.copying import GROWING, table_of
from bench.growth.growing import NotEmpty, grow
from bench.growth.names import Period, name_of
from bench.growth.places import CannotGrow, Grown, grown_before, new_database, note, url_of_file
from bench.growth.sizes import sizes
from dashboard.domain.sketch import LogHistogram
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
from dashboard.observing.evidence import coverage_of, whole_tally
from dashboard.observing.recording import record_events
from dashboard.observing.rosters import read_roster
from dashboard.observing.sweep import sweep
from dashboard.tests.making import recount, stand
from dashboard.verdict.closing import close_blocks
from kitchen_worker.contract.messages import Event, EventKind, Failure, Role, decode_order
from restaurant.models import Launch, Letter, Order

PERIOD, PERIODS = Period(orders=400), 3
A_PERIOD = PERIOD.orders
#: What is counted, and what follows from it.
COUNTED = ("orders", "handled", "failed", "missing", "late", "pairs", "matrix", "sketch")
DARK = ("vnext", "vlatest-b")


def _quiet(what: str, share: float) -> None:
    pass


@pytest.fixture(scope="module")
def launch(django_db_setup: None, django_db_blocker: Any) -> Iterator[Launch]:
    """A launch of three periods, grown once for all tests that do not grow their own."""
    with django_db_blocker.unblock():
        _empty()
        orders = A_PERIOD * PERIODS
        assert grow(orders, seed=5, period=PERIOD, say=_quiet) == orders
        yield Launch.objects.get()
        _empty()


def _empty() -> None:
    """Nothing is in the database, numbers begin with 1, and nobody else has it open: other tests'
    calls from asyncio keep the connection of their thread, and ended threads leave theirs."""
    asyncio.run(sync_to_async(connections.close_all)())
    gc.collect()
    with connection.constraint_checks_disabled():
        call_command("flush", interactive=False, verbosity=0)


def _recorded() -> dict[str, Any]:
    """All that the dashboard keeps of a launch, by names that are the same wherever it is kept."""
    groups = {row.pk: f"{row.version} {row.kind} {row.path}" for row in Discrepancy.objects.all()}
    shown = {
        row.pk: [sorted(groups[pk] for pk in row.counted), row.pairs]
        for row in Signature.objects.all()
    }
    pairs = Comparison.objects.values_list(
        "order", "version", "outcome", "control_ms", "version_ms", "slower", "signature"
    )
    return {
        "tallies": {
            row.version: [getattr(row, name) for name in (*COUNTED, "ended_until")]
            for row in Tally.objects.all()
        },
        "discrepancies": Counter({groups[row.pk]: row.count for row in Discrepancy.objects.all()}),
        "signatures": sorted(shown.values()),
        "pairs": {pair[:-1]: shown[pair[-1]] if pair[-1] else None for pair in pairs},
        "slices": {
            (row.version, row.start): (row.handled, row.failed, row.p50, row.p99, row.sketch)
            for row in TimeSlice.objects.all()
        },
        "observations": set(
            Observation.objects.values_list(
                "order", "version", "role", "state", "late", "build", "worker", "placed_at",
                "received_at", "finished_at", "queue_ms", "handling_ms", "result", "error_type",
                "error_message",
            )
        ),
    }  # fmt: skip


def _weighed() -> dict[str, Any]:
    """The evidence of each version: its counts, and how often each shape was seen."""
    found = {}
    for row in Evidence.objects.all():
        evidence, tally = whole_tally(row).evidence(), whole_tally(row)
        found[row.version] = {
            "orders": (evidence.warm_up.orders, evidence.orders, evidence.pairs),
            "sides": (evidence.faster, evidence.slower, evidence.handled, evidence.compared),
            "missing": (evidence.missing.pos, evidence.missing.neg, evidence.missing_both),
            "effect": evidence.effect.to_json(),
            "threshold": evidence.threshold,
            "closed": (row.closed_until, row.settled_until, row.late, row.lost, row.bad),
            "open": {number: sums.orders for number, sums in tally.blocks.items()},
            "coverage": coverage_of(row).seen,
        }
    return found


def _said(row: Observation, kind: EventKind) -> Event:
    """The event of which an observation was recorded."""
    ended = kind is not EventKind.RECEIVED
    assert row.received_at is not None
    return Event(
        event_id=f"{row.pk}-{kind}",
        kind=kind,
        order_id=str(row.order),
        launch=str(row.launch),
        version=row.version,
        role=Role(row.role),
        build=row.build,
        worker=row.worker,
        placed_at=row.placed_at,
        received_at=row.received_at,
        finished_at=row.finished_at if ended else None,
        queue_ms=row.queue_ms if ended else None,
        handling_ms=row.handling_ms if ended else None,
        result=json.loads(row.result) if kind is EventKind.HANDLED else None,
        error=Failure(type=row.error_type, message=row.error_message)
        if kind is EventKind.FAILED
        else None,
    )


def _record_anew(launch: Launch) -> None:
    """Forget all that was observed, and let the observer hear the same once more."""
    rows = list(Observation.objects.order_by("id"))
    heard = [(row, row.received_at, EventKind.RECEIVED) for row in rows if row.received_at]
    heard += [
        (row, row.finished_at, EventKind(row.state)) for row in rows if row.finished_at is not None
    ]
    events = [(row.late, _said(row, kind)) for row, _, kind in heard]
    for model in (Example, Evidence, Sweep, Tally, TimeSlice, Comparison, Observation, Signature):
        model.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM dashboard_review")
    Discrepancy.objects.all().delete()
    roster, end = read_roster(launch), PERIOD.start(PERIODS)
    deadline = timedelta(seconds=settings.ENVIRONMENT.deadline_s)
    record_events(roster, [event for late, event in events if not late], end)
    sweep(end + deadline, deadline)
    record_events(roster, [event for late, event in events if late], end)
    close_blocks(end + deadline)


@pytest.mark.django_db
def test_what_is_grown_is_what_the_observer_records_of_the_same_orders(launch: Launch) -> None:
    grown, weighed = _recorded(), _weighed()
    assert grown["discrepancies"]
    assert all(weighed[version]["orders"][1] for version in DARK)

    _record_anew(launch)

    for name, found in _recorded().items():
        assert found == grown[name], name
    assert _weighed() == weighed


@pytest.mark.django_db
def test_all_counts_are_those_of_a_recount(launch: Launch) -> None:
    assert stand(launch.id) == recount(launch.id, [])
    for tally in Tally.objects.all():
        seen = Observation.objects.filter(version=tally.version)
        times = seen.filter(state="handled").values_list("handling_ms", flat=True)
        assert tally.orders == seen.count()
        assert (
            LogHistogram.from_json(tally.sketch).counts
            == LogHistogram.of(one for one in times if one).counts
        )


@pytest.mark.django_db
def test_letters_say_what_their_orders_are(launch: Launch) -> None:
    letters = list(Letter.objects.select_related("order").prefetch_related("order__lines"))
    assert len(letters) == A_PERIOD * PERIODS
    for letter in letters:
        order, said = letter.order, decode_order(bytes(letter.body))
        assert order.uuid == name_of(5, order.pk)
        assert (said.id, said.number) == (str(order.uuid), order.pk)
        assert (said.placed_at, said.total_price) == (order.placed_at, order.total_price)
        assert [item.name for item in said.items] == [line.name for line in order.lines.all()]
        period = (order.pk - 1) // A_PERIOD
        assert PERIOD.start(period) <= order.placed_at < PERIOD.start(period + 1)
        assert letter.sent_at is not None
        assert letter.sent_at - order.placed_at < timedelta(seconds=PERIOD.seconds)


def _members(pair: Comparison) -> list[int]:
    assert pair.signature is not None
    members: list[int] = Signature.objects.get(pk=pair.signature).counted
    return members


@pytest.mark.django_db
def test_each_example_shows_its_discrepancy(launch: Launch) -> None:
    examples = list(Example.objects.select_related("discrepancy"))
    periods = {(Order.objects.get(uuid=one.order).pk - 1) // A_PERIOD for one in examples}
    assert periods == set(range(PERIODS))
    for one in examples:
        pair = Comparison.objects.get(order=one.order, version=one.discrepancy.version)
        assert one.discrepancy_id in _members(pair)


@pytest.mark.django_db
def test_growing_leaves_every_index_and_goes_on_from_the_last_id(launch: Launch) -> None:
    with connection.cursor() as cursor:
        for model in GROWING:
            made = connection.introspection.get_constraints(cursor, table_of(model))
            wanted = {one.name for one in (*model._meta.indexes, *model._meta.constraints)}
            assert wanted <= made.keys()
            assert any(one["primary_key"] for one in made.values())
    newest = Order.objects.order_by("-pk")[0]
    order = Order.objects.create(placed_at=newest.placed_at, total_price=1, total_prep_time=1)
    assert order.pk == newest.pk + 1


@pytest.mark.django_db
def test_sizes_add_up_to_what_the_database_takes(launch: Launch) -> None:
    found = sizes()
    assert {"restaurant_order", "dashboard_observation"} <= {one.name for one in found}
    whole = sum(one.size for one in found)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
            assert 0 < whole <= cursor.fetchone()[0]
        else:
            cursor.execute(
                "SELECT (page_count - freelist_count) * page_size"
                " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
            )
            used = cursor.fetchone()[0]
            # The schema's own pages are no table's.
            assert used - 10 * 4096 <= whole <= used


@pytest.mark.django_db
def test_a_database_in_which_there_is_a_launch_is_left_alone(launch: Launch) -> None:
    with pytest.raises(NotEmpty):
        grow(10, seed=5, period=PERIOD, say=_quiet)
    assert Order.objects.count() == A_PERIOD * PERIODS


@pytest.mark.django_db(transaction=True)
def test_the_same_seed_gives_the_same_rows() -> None:
    _empty()
    found = []
    for seed in (5, 5, 6):
        grow(100, seed=seed, period=Period(orders=50), say=_quiet)
        found.append(_recorded() | {"weighed": _weighed()})
        _empty()
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "grown.sqlite3"
    path.write_text("of somebody")
    with pytest.raises(CannotGrow, match="delete it"), new_database(url_of_file(path), 1):
        pass
    assert path.read_text() == "of somebody"


def test_more_than_the_disk_holds_is_refused(tmp_path: Path) -> None:
    url = url_of_file(tmp_path / "grown.sqlite3")
    with pytest.raises(CannotGrow, match="GB of disk"), new_database(url, 10**12):
        pass


def test_what_is_interrupted_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "grown.sqlite3"

    def interrupted() -> None:
        with new_database(url_of_file(path), 1):
            path.write_text("half of it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not path.exists()


def test_what_was_grown_is_known_by_engine_and_to_nobody_else(tmp_path: Path) -> None:
    assert grown_before(tmp_path) == {}
    note(tmp_path, "sqlite", Grown("sqlite:////a", 1, 100))
    note(tmp_path, "postgresql", Grown("postgres://b", 2, 100))
    assert grown_before(tmp_path) == {
        "sqlite": Grown("sqlite:////a", 1, 100),
        "postgresql": Grown("postgres://b", 2, 100),
    }
    assert (tmp_path / "grown.json").stat().st_mode & 0o077 == 0
