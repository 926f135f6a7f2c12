"""A database that was filled by an earlier release."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from dashboard.models import Evidence
from dashboard.observing.evidence import whole_tally
from dashboard.verdict.rates import PairedRate

pytestmark = pytest.mark.django_db(transaction=True)

#: Two tallies as the first release stored them: one warms up, one is past that.
_RELEASE_1 = Path(__file__).with_name("evidence_of_release_1.json")
BEFORE = ("dashboard", "0001_initial")


def test_pairs_that_were_stored_before_results_were_compared_are_to_be_judged() -> None:
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes("dashboard")
    old = MigrationExecutor(connection)
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

    new = MigrationExecutor(connection)
    new.migrate(latest)

    apps = new.loader.project_state(latest).apps
    rejudging = apps.get_model("dashboard", "Rejudging").objects.get()
    tally = apps.get_model("dashboard", "Tally").objects.get()
    outcomes = apps.get_model("dashboard", "Comparison").objects.values_list("outcome", flat=True)
    assert (rejudging.launch, rejudging.cursor) == (launch, 0)
    assert tally.matrix == {"agree": 1, "handled/failed": 1, "handled/missing": 1}
    assert sorted(outcomes) == ["agree", "candidate_failed", "missing"]


def test_requirements_that_were_set_before_follow_one_another() -> None:
    before = ("dashboard", "0009_sweep_finished")
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes("dashboard")
    old = MigrationExecutor(connection)
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

    new = MigrationExecutor(connection)
    new.migrate(latest)

    apps = new.loader.project_state(latest).apps
    rows = apps.get_model("dashboard", "LaunchRequirements").objects.filter(launch=ours)
    assert dict(rows.values_list("pk", "follows")) == {first.pk: 0, second.pk: first.pk}


def test_evidence_of_the_first_release_is_still_read() -> None:
    before = ("dashboard", "0011_dead_letter_names")
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes("dashboard")
    old = MigrationExecutor(connection)
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

    MigrationExecutor(connection).migrate(latest)

    warming_up, testing = (whole_tally(row) for row in Evidence.objects.order_by("pk"))
    for read in (warming_up, testing):
        read.close(1100)
    assert warming_up.evidence().warm_up.timed == 8
    evidence = testing.evidence()
    assert (evidence.orders, evidence.pairs) == (40, 34)
    assert evidence.slow.counts == PairedRate(pos=7, neg=0, zero=27)
