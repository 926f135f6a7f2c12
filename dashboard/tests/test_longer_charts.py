"""The charts over longer ranges, at a cost that does not grow, and the marks of what changed."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from dashboard.board.charts import POINTS, Range, longer_series, marks
from dashboard.board.filters import Filter
from dashboard.board.frame import board_state
from dashboard.comparison.outcome import Decision
from dashboard.models import Evidence, TimeSlice
from dashboard.review.reviews import SeenRevision, review
from dashboard.review.thresholds import set_requirements
from dashboard.tests.factories import START, a_launch
from dashboard.tests.making import a_discrepancy
from dashboard.verdict.quantiles import LogHistogram
from dashboard.verdict.thresholds import Requirements
from restaurant.launches import set_percent
from restaurant.tests.making import all_statements

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

DAY = timedelta(days=1)


def some_slices(launch_id: UUID, count: int, *, every: int = 2) -> None:
    """Slices from the launch's start on, of two orders each: one of 100 ms and one of 200 ms."""
    times = LogHistogram.of([100.0, 200.0]).to_json()
    start = int(START.timestamp())
    TimeSlice.objects.bulk_create(
        TimeSlice(
            launch=launch_id, version="vlatest", start=start + every * n, handled=2, times=times
        )
        for n in range(count)
    )


def test_an_hour_has_the_rates_and_the_percentiles_of_all_its_orders() -> None:
    launch = a_launch(ended_at=START + timedelta(hours=2))
    some_slices(launch.id, 3600)
    series = longer_series(launch, Range.HOUR, timezone.now())
    lines = series["versions"]["vlatest"]

    assert len(series["t"]) == POINTS
    assert series["t"][0] == int(START.timestamp()) + 3600
    assert set(lines["handled"]) == {1.0}
    assert lines["p50"][0] == pytest.approx(100, rel=0.011)
    assert lines["p99"][-1] == pytest.approx(200, rel=0.011)


def test_a_launch_shorter_than_an_hour_is_shown_from_its_start() -> None:
    launch = a_launch(ended_at=START + timedelta(minutes=10))
    some_slices(launch.id, 300)
    series = longer_series(launch, Range.HOUR, timezone.now())

    assert START.timestamp() - 8 < series["t"][0] <= START.timestamp()
    assert len(series["t"]) <= POINTS
    assert sum(series["versions"]["vlatest"]["handled"][1:]) > 0


def test_however_long_a_launch_runs_as_many_slices_are_read() -> None:
    launch = a_launch(ended_at=START + 30 * DAY)
    some_slices(launch.id, 900, every=2880)
    with all_statements() as captured:
        series = longer_series(launch, Range.LAUNCH, timezone.now())

    assert len(series["t"]) <= POINTS
    assert any(number for number in series["versions"]["vlatest"]["handled"])
    (read,) = [one for one in captured if "dashboard_timeslice" in one]
    assert read.count(",") < POINTS * 13


def test_what_changed_is_marked_in_order() -> None:
    launch = a_launch()
    set_percent(launch, "vnext", Decimal(25), author="ada", reason="looks good")
    set_requirements(
        launch.id, Requirements(), author="grace", reason="as before", now=timezone.now(), seen=0
    )
    review([SeenRevision(a_discrepancy(launch.id).pk, 0)], Decision.BUG, note="", author="ada")
    for minute, build in enumerate(("one", "two")):
        at = timezone.now() + timedelta(minutes=minute)
        Evidence.objects.create(
            launch=launch.id, version="vnext", key=build, version_build=build, control_build="old",
            timing={}, started_at=at, newest_at=at,
        )  # fmt: skip
    found = marks(launch, "vnext", list(launch.changes.all()))

    assert [one["label"] for one in found] == ["vnext 25 %", "thresholds", "bug", "build"]
    assert found[0]["text"] == "vnext 100 % \N{RIGHTWARDS ARROW} 25 %"
    assert found[1]["text"] == "thresholds set by grace"
    assert found[2]["text"].endswith(": bug by ada")
    assert found[3]["text"] == "build of vnext: two; of vlatest: old"
    assert [one["at"] for one in found] == sorted(one["at"] for one in found)
    state = json.loads(json.dumps(board_state(launch, Filter.ALL)["series"]["marks"]))
    assert state == found


def test_the_points_are_served_to_who_may_watch(client: Client, settings: Settings) -> None:
    launch = a_launch()
    address = f"/dashboard/launches/{launch.pk}/series"
    settings.BOARD_PUBLIC = False
    assert client.get(f"{address}/hour/").status_code == 302
    settings.BOARD_PUBLIC = True
    assert set(client.get(f"{address}/launch/").json()) == {"t", "versions"}
    assert client.get(f"{address}/week/").status_code == 404
