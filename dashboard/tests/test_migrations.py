"""A database that was filled by an earlier release."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from dashboard.database import connection
from dashboard.ingest.evidence import whole_tally
from dashboard.ingest.recorder import Recorder
from dashboard.models import (
    Evidence,
    FormerComparison,
    FormerObservation,
    Observation,
    ObservedOrder,
    ObserverState,
    Rejudging,
)
from dashboard.tests.factories import START, a_launch, an_order
from dashboard.verdict.rates import PairedRate
from restaurant.models import Launch, Order

pytestmark = pytest.mark.django_db(transaction=True)

#: Two tallies as the first release stored them: one warms up, one is past that.
_RELEASE_1 = Path(__file__).with_name("evidence_of_release_1.json")
BEFORE = ("dashboard", "0001_initial")


def test_pairs_that_were_stored_before_results_were_compared_are_to_be_judged() -> None:
    latest = MigrationExecutor(connection()).loader.graph.leaf_nodes("dashboard")
    old = MigrationExecutor(connection())
    old.migrate([BEFORE])
    apps = old.loader.project_state([BEFORE]).apps
    launch = uuid4()
    apps.get_model("dashboard", "Tally").objects.create(
        launch=launch, version="vnext", role="candidate"
    )
    times = {"handled": (1.0, 2.0), "candidate_failed": (1.0, 2.0), "missing": (1.0, None)}
    for outcome, (control_ms, version_ms) in times.items():
        apps.get_model("dashboard", "Comparison").objects.create(
            launch=launch,
            order=uuid4(),
            version="vnext",
            outcome=outcome,
            control_ms=control_ms,
            version_ms=version_ms,
            compared_at=timezone.now(),
        )

    new = MigrationExecutor(connection())
    new.migrate(latest)

    apps = new.loader.project_state(latest).apps
    rejudging = apps.get_model("dashboard", "Rejudging").objects.get()
    tally = apps.get_model("dashboard", "Participant").objects.get()
    pairs = apps.get_model("dashboard", "FormerComparison")
    outcomes = pairs.objects.values_list("outcome", flat=True)
    assert (rejudging.launch, rejudging.cursor) == (launch, 0)
    assert tally.matrix == {"agree": 1, "handled/failed": 1, "handled/missing": 1}
    assert sorted(outcomes) == ["agree", "candidate_failed", "missing"]


def test_requirements_that_were_set_before_follow_one_another() -> None:
    before = ("dashboard", "0009_sweep_finished")
    latest = MigrationExecutor(connection()).loader.graph.leaf_nodes("dashboard")
    old = MigrationExecutor(connection())
    old.migrate([before])
    apps = old.loader.project_state([before]).apps
    ours, theirs = uuid4(), uuid4()
    lines = ("speed", "failures", "slow", "differences")
    first, _, second = (
        apps.get_model("dashboard", "LaunchRequirements").objects.create(
            launch=launch, author="ada", reason="why", set_at=timezone.now(), most_missing=0.01,
            most_behind_s=10, **{f"{line}_margin": 0.01 for line in lines},
        )
        for launch in (ours, theirs, ours)
    )  # fmt: skip

    new = MigrationExecutor(connection())
    new.migrate(latest)

    apps = new.loader.project_state(latest).apps
    rows = apps.get_model("dashboard", "LaunchRequirements").objects.filter(launch=ours)
    assert dict(rows.values_list("pk", "follows")) == {first.pk: 0, second.pk: first.pk}


def test_evidence_of_the_first_release_is_still_read() -> None:
    before = ("dashboard", "0011_dead_letter_names")
    latest = MigrationExecutor(connection()).loader.graph.leaf_nodes("dashboard")
    old = MigrationExecutor(connection())
    old.migrate([before])
    apps = old.loader.project_state([before]).apps
    for one in json.loads(_RELEASE_1.read_text()):
        tally, now = one["tally"], timezone.now()
        row = apps.get_model("dashboard", "Evidence").objects.create(
            launch=uuid4(), version="vnext", key="", timing=one["timing"], started_at=now,
            newest_at=now, settled=json.dumps(tally["settled"]),
            threshold=tally["settled"]["threshold"], closed_until=tally["closed_until"],
            settled_until=tally["settled_until"],
        )  # fmt: skip
        for number, sums in tally["blocks"].items():
            row.blocks.create(number=number, sums=json.dumps(sums))

    MigrationExecutor(connection()).migrate(latest)

    warming_up, testing = (whole_tally(row) for row in Evidence.objects.order_by("pk"))
    for read in (warming_up, testing):
        read.close(1100)
    assert warming_up.evidence().warm_up.timed == 8
    evidence = testing.evidence()
    assert (evidence.orders, evidence.pairs) == (40, 34)
    assert evidence.slow.counts == PairedRate(pos=7, neg=0, zero=27)


#: The last release's tables.
LAST_RELEASE = ("dashboard", "0017_requirements_that_passed")
DEADLINE = timedelta(seconds=30)


def of_the_last_release(orders: int, swept: int, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """A launch of so many orders in the last release's tables, one a second, and then migrated; the
    sweep had come to one of them, and each third differs. The migration copies two swept ones."""
    kept = import_module("dashboard.migrations.0019_one_record_kept")
    monkeypatch.setattr(kept, "_RECENT", 2)
    monkeypatch.setattr(kept, "_AT_ONCE", 1)
    monkeypatch.setattr(kept, "_OVERLAP", timedelta())
    latest = MigrationExecutor(connection()).loader.graph.leaf_nodes("dashboard")
    launch = a_launch()
    times = [START + timedelta(seconds=number) for number in range(orders)]
    placed = [an_order(launch, sent_at=at, placed_at=at) for at in times]
    ObservedOrder.objects.all().delete()
    old = MigrationExecutor(connection())
    old.migrate([LAST_RELEASE])
    apps = old.loader.project_state([LAST_RELEASE]).apps

    def make(model: str, **fields: Any) -> None:
        apps.get_model("dashboard", model).objects.create(launch=launch.id, **fields)

    make("Tally", version="vlatest", role="control", handled=orders)
    make("Tally", version="vnext", role="candidate", handled=orders - 1, missing=1)
    make("Sweep", swept_until=times[swept - 1])
    make("Rejudging", requested_by="ada", requested_at=START, cursor=17, until=1000, judged=5)
    for number, (order, at) in enumerate(zip(placed, times, strict=True)):
        ended = {"received_at": at, "finished_at": at, "handling_ms": 5.5, "build": "git:1"}
        result = '{"cook":"Zoë","n":1}'
        make(
            "Observation", order=order.uuid, version="vlatest", role="control", state="handled",
            result=result, event_ids='["c1"]', placed_at=at, **ended,
        )  # fmt: skip
        if number == 0:
            make(
                "Observation", order=order.uuid, version="vnext", role="candidate",
                state="missing", placed_at=at,
            )  # fmt: skip
        else:
            make(
                "Observation", order=order.uuid, version="vnext", role="candidate",
                state="handled", result=result, event_ids='["n1","n2"]', late=number == 1, **ended,
            )  # fmt: skip
        outcome = "missing" if number == 0 else "agree" if number % 3 else "differ"
        make(
            "Comparison", order=order.uuid, version="vnext", outcome=outcome, compared_at=at,
            signature=None if outcome == "agree" else 7, slower=bool(number % 2),
            members="[[1],[]]" if outcome == "differ" else "",
        )  # fmt: skip
    MigrationExecutor(connection()).migrate(latest)
    return launch


def test_orders_that_may_still_be_answered_are_there_once_migrated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launch = of_the_last_release(9, 6, monkeypatch)
    ids = list(Order.objects.order_by("id").values_list("id", flat=True))

    assert list(ObservedOrder.objects.order_by("id").values_list("id", flat=True)) == ids[4:]
    state = ObserverState.objects.get()
    assert (state.history_until, state.swept_until) == (ids[3], ids[5])
    assert (state.first_order, FormerObservation.objects.count()) == (ids[-1] + 1, 8)
    again = Rejudging.objects.get()
    assert (again.cursor, again.until, again.judged) == (0, ids[-1], 0)

    recorder = Recorder.take_over()
    assert recorder.rejudge(START, 100) is None, "it waits for the history"
    Observation.objects.filter(order_id=ids[7], participant__version="vnext").delete()
    swept = recorder.sweep(START + timedelta(seconds=8) + DEADLINE, DEADLINE)
    assert (swept.missing, swept.launches, swept.is_done) == (1, {launch.id}, True)
    assert ObserverState.objects.get().swept_until == ids[-1]


def test_the_history_is_carried_over_as_it_was_and_at_any_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launch = of_the_last_release(12, 12, monkeypatch)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    command = import_module("dashboard.management.commands.carry_over")
    monkeypatch.setattr(command, "_FIRST", 3)
    monkeypatch.setattr(command, "_MOST", 3)
    outside = an_order(None)
    orders = {one.pk: one for one in Order.objects.exclude(pk=outside.pk)}
    out = StringIO()

    call_command("carry_over", at_most=1, stdout=out)
    part = ObservedOrder.objects.count()
    call_command("carry_over", stdout=out)
    call_command("carry_over", stdout=out)

    assert part == 2 + 3
    assert "all done" in out.getvalue().splitlines()[-1]
    assert not FormerObservation.objects.exists()
    assert not FormerComparison.objects.exists()
    assert ObserverState.objects.get().history_until == 0
    for row in ObservedOrder.objects.all():
        order = orders.pop(row.pk)
        assert (row.order_id, row.launch, row.number) == (str(order.uuid), launch.id, order.pk)
        assert (row.placed_at, row.sent_at, row.arrived_at) == (order.sent_at,) * 3
        assert (bytes(row.body), row.label, row.size) == (bytes(order.body), "2 burger", 2)
        assert (row.sample, row.categories) == (["vnext"], ["note:no", "item:burger"])
    assert not orders
    control = Observation.objects.filter(participant__version="vlatest").first()
    assert control is not None
    assert bytes(control.result).decode() == '{"cook":"Zoë","n":1}'
    assert (control.judged_at, control.handling_ms, control.build) == (None, 5.5, "git:1")
    rows = Observation.objects.filter(participant__version="vnext").order_by("order")
    first, second, *_, last = rows
    assert (first.state, first.exception, first.received_at) == ("missing", "missing", None)
    assert (second.exception, second.judged_at) == (None, START + timedelta(seconds=1))
    assert (second.late, second.slower, second.event_ids) == (True, True, '["n1","n2"]')
    assert (last.exception, rows[9].exception, rows[9].members) == (None, "differ", "[[1],[]]")
    assert [one.signature for one in rows] == [7, None, None] * 4
    assert (rows.count(), Observation.objects.count()) == (12, 24)


def test_orders_that_were_pruned_or_sent_since_are_not_carried_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_the_last_release(6, 6, monkeypatch)
    pruned, sent_since, *kept = Order.objects.order_by("id")
    FormerObservation.objects.filter(order__in=[pruned.uuid, sent_since.uuid]).delete()

    call_command("carry_over", stdout=StringIO())

    ids = ObservedOrder.objects.order_by("id").values_list("id", flat=True)
    assert list(ids) == [one.pk for one in kept]


def test_an_order_whose_message_is_gone_or_cannot_be_read_has_no_label(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_the_last_release(4, 4, monkeypatch)
    oldest = Order.objects.order_by("id")[:2]
    for order, body in zip(oldest, (b"", b"{}"), strict=True):
        Order.objects.filter(pk=order.pk).update(body=body)

    call_command("carry_over", stdout=StringIO())

    labels = ObservedOrder.objects.order_by("id").values_list("label", flat=True)
    assert list(labels) == ["", "", "2 burger", "2 burger"]
