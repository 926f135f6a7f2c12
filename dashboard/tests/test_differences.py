"""What a frame says of differences: the matrix, what counts, the discrepancies, the rows' pairs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard.board import filters, parts
from dashboard.board.filters import Filter
from dashboard.board.frame import board_state
from dashboard.board.wording import Json
from dashboard.comparison.outcome import Decision
from dashboard.ingest.stream import read_roster
from dashboard.models import Discrepancy, Rule
from dashboard.tests.factories import START, a_launch, an_event, an_order
from dashboard.tests.making import record_events, sweep
from kitchen_worker.contract.messages import EventKind, Failure
from restaurant.models import Launch, Order
from restaurant.tests.making import end_launch

pytestmark = pytest.mark.django_db

RESULT = {"total_price": "7.00", "note": "none", "cook": "Esi", "minutes": 10}


@pytest.fixture
def launch() -> Launch:
    return a_launch()


def pair(launch: Launch, version: str = "vnext", /, **changed: Any) -> Order:
    """An order that both handled, the dark version with these fields changed."""
    order = an_order(launch, sample=(version,))
    events = [
        an_event(launch, order.uuid, "vlatest", result=RESULT),
        an_event(launch, order.uuid, version, result={**RESULT, **changed}),
    ]
    record_events(read_roster(launch), events, timezone.now())
    return order


def failed(launch: Launch) -> Order:
    order = an_order(launch)
    events = [
        an_event(launch, order.uuid, "vlatest", result=RESULT),
        an_event(
            launch, order.uuid, kind=EventKind.FAILED, error=Failure(type="Burnt", message="black")
        ),
    ]
    record_events(read_roster(launch), events, timezone.now())
    return order


def frame(launch: Launch, by: Filter = Filter.ALL, version: str = "") -> Json:
    built = board_state(launch, by, version=version)
    return json.loads(json.dumps(built, allow_nan=False))  # type: ignore[no-any-return]


def decide(path: str, decision: Decision) -> None:
    changed = Discrepancy.objects.filter(path=path, version="vnext").update(state=decision)
    assert changed == 1


def cell(built: Json, order: Order, version: str = "vnext") -> Json:
    (row,) = [row for row in built["rows"] if int(row["name"][1:]) == order.pk]
    found: Json = row["cells"][version]["pair"]
    return found


def test_without_orders_nothing_differs(launch: Launch) -> None:
    built = frame(launch)
    assert (built["matrix"], built["against"], built["discrepancies"]) == ({}, 0, [])
    assert (built["newest"], built["open"]) == ([], 0)


def test_a_control_that_works_alone_has_no_differences() -> None:
    alone = Launch.objects.create(name="Alone", control="vlatest", started_at=START)
    built = frame(alone)
    assert (built["version"], built["matrix"], built["against"]) == ("", {}, 0)


def test_the_matrix_is_that_of_the_version_beside(launch: Launch) -> None:
    pair(launch)
    pair(launch, total_price="6.99")
    failed(launch)
    gone = an_order(launch)
    record_events(read_roster(launch), [an_event(launch, gone.uuid, "vlatest")], timezone.now())
    sweep(timezone.now(), timedelta())
    pair(launch, "vlatest-b", cook="Farid")

    built = frame(launch)
    assert built["matrix"] == {"agree": 1, "differ": 1, "handled/failed": 1, "handled/missing": 1}
    assert frame(launch, version="vlatest-b")["matrix"] == {"differ": 1}


def test_what_counts_against_a_version_follows_a_decision_at_once(launch: Launch) -> None:
    pair(launch, minutes=9)
    pair(launch, minutes=9, total_price="6.99")
    failed(launch)
    assert frame(launch)["against"] == 3

    decide("minutes", Decision.BY_DESIGN)
    assert frame(launch)["against"] == 2
    decide("total_price", Decision.BUG)
    assert frame(launch)["against"] == 2


def test_a_discrepancy_says_how_often_beside_the_noise_and_shows_an_example(launch: Launch) -> None:
    first = pair(launch, cook="Farid")
    pair(launch)
    pair(launch, "vlatest-b", cook="Dmitri")

    (found,) = frame(launch)["discrepancies"]
    stored = Discrepancy.objects.get(version="vnext")
    assert found == {
        "id": stored.pk,
        "revision": 0,
        "kind": "value",
        "path": "cook",
        "count": 1,
        "ignored": 0,
        "rate": 0.5,
        "noise_rate": 1.0,
        "state": "open",
        "carried": False,
        "first": stored.first_seen_at.timestamp(),
        "last": stored.last_seen_at.timestamp(),
        "control_value": '"Esi"',
        "version_value": '"Farid"',
        "example": str(first.uuid),
    }


def test_the_weightiest_come_first_and_what_is_accepted_last(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        pair(launch, minutes=9)
    for _ in range(2):
        pair(launch, note="")
    pair(launch, total_price="6.99")
    decide("minutes", Decision.BY_DESIGN)

    built = frame(launch)
    assert [one["path"] for one in built["discrepancies"]] == ["note", "total_price", "minutes"]
    assert built["kinds"] == {"counting": 2, "carried": 0, "decided": 1}
    assert built["open"] == 2
    monkeypatch.setattr(parts, "SHOWN", 1)
    built = frame(launch)
    assert [one["path"] for one in built["discrepancies"]] == ["note"]
    assert [one["path"] for one in built["newest"]] == ["total_price", "note", "minutes"]


def test_a_row_names_what_counts_the_rarest_first_and_counts_the_rest(launch: Launch) -> None:
    for _ in range(2):
        pair(launch, cook="Farid", minutes=9)
    order = pair(launch, cook="Farid", minutes=9, note="", total_price="6.99", extra=1)
    decide("minutes", Decision.BY_DESIGN)

    built = frame(launch)
    shown = cell(built, order)
    assert shown["outcome"] == "differ"
    assert set(shown["differs"]) == {"note", "total_price", "extra"}
    assert (shown["more"], shown["accepted"]) == (1, 1)
    decide("cook", Decision.NOISE)
    assert cell(frame(launch), order)["accepted"] == 2


def test_what_a_rule_ignores_is_accepted_in_its_row(launch: Launch) -> None:
    Rule.objects.create(
        path="cook", treatment="ignore", reason="anybody", author="ada", created_at=START
    )
    order = pair(launch, cook="Farid")

    built = frame(launch)
    assert cell(built, order) == {"outcome": "agree", "differs": [], "more": 0, "accepted": 1}
    (found,) = built["discrepancies"]
    assert (found["count"], found["ignored"]) == (0, 1)
    assert built["kinds"] == {"counting": 0, "carried": 0, "decided": 1}


def test_the_filter_for_differing_orders_shows_those_that_count(launch: Launch) -> None:
    pair(launch)
    by_design = pair(launch, minutes=9)
    wrong = pair(launch, minutes=9, total_price="6.99")
    failed(launch)
    numbers = [int(row["name"][1:]) for row in frame(launch, Filter.DIFFERING)["rows"]]
    assert numbers == [wrong.pk, by_design.pk]

    decide("minutes", Decision.BY_DESIGN)
    built = frame(launch, Filter.DIFFERING)
    assert [int(row["name"][1:]) for row in built["rows"]] == [wrong.pk]
    assert built["looked_at"] is None


def test_the_filter_for_differing_orders_looks_through_so_many_pairs_and_says_so(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "_WINDOWS", ((0, 1), (1, 3)))
    pair(launch, total_price="6.99")
    wrong = pair(launch, total_price="6.99")
    for _ in range(2):
        pair(launch, minutes=9)
    decide("minutes", Decision.BY_DESIGN)

    built = frame(launch, Filter.DIFFERING)
    assert [int(row["name"][1:]) for row in built["rows"]] == [wrong.pk]
    assert built["looked_at"] == 3


def test_pairs_beyond_the_signatures_that_are_told_apart_are_still_seen(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.fold.discrepancies.MAX_SIGNATURES", 1)
    pair(launch, minutes=9)
    folded = pair(launch, minutes=9, note="")
    decide("minutes", Decision.BY_DESIGN)

    built = frame(launch, Filter.DIFFERING)
    assert [int(row["name"][1:]) for row in built["rows"]] == [folded.pk]
    assert cell(built, folded)["differs"] == ["note"]


def test_a_bug_carried_over_is_open_work_and_not_decided(launch: Launch) -> None:
    pair(launch, total_price="6.99")
    decide("total_price", Decision.BUG)
    end_launch(launch)
    later = a_launch(started_at=timezone.now())
    pair(later, minutes=9)
    pair(later, cook="Farid")
    Discrepancy.objects.filter(launch=later.id, path="cook").update(state=Decision.NOISE)

    built = frame(later)

    assert built["kinds"] == {"counting": 1, "carried": 1, "decided": 1}
    assert built["open"] == built["kinds"]["counting"] + built["kinds"]["carried"]
