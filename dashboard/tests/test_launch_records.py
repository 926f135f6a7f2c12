"""The record of a launch: when it is frozen, and that it stays."""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command

from dashboard.comparison.outcome import Decision
from dashboard.launches import record as records
from dashboard.launches.decisions import decide
from dashboard.launches.record import RecordKeeper, is_intact, later_acts, read_body, read_facts
from dashboard.launches.record_body import record_body
from dashboard.models import (
    FinalVerdict,
    LaunchChoice,
    LaunchRecord,
    ObservedOrder,
    ObserverState,
    Participant,
    Rejudging,
    Review,
)
from dashboard.models.review import AppendOnlyError
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.factories import START, an_order, observed
from dashboard.tests.making import a_discrepancy
from dashboard.tests.test_verdict_command import faster, weigh
from dashboard.verdict.assessment import keep_final_verdicts
from dashboard.verdict.closing import close_blocks
from kitchen_worker.contract.messages import Role
from restaurant import launches
from restaurant.models import Launch, OutboxMessage
from restaurant.tests.making import end_launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
#: The end of the orders that ``weigh`` adds, and when the last block of them is over.
END = START + timedelta(seconds=400)
OVER = END + timedelta(seconds=60)


@pytest.fixture
def launch() -> Launch:
    dark = [("vnext", Role.CANDIDATE, Decimal(100))]
    return launches.start_launch("first", "vlatest", dark, author="ada", reason="a test")


def freeze(at: datetime = OVER) -> set[Any]:
    """What the observer does after each sweep."""
    close_blocks(at)
    keep_final_verdicts(at)
    return RecordKeeper().freeze(at)


def ended(launch: Launch) -> Launch:
    weigh(launch, faster)
    end_launch(launch, at=END)
    return launch


def test_a_running_launch_has_no_record(launch: Launch) -> None:
    weigh(launch, faster)
    assert freeze() == set()
    assert not LaunchRecord.objects.exists()


def test_an_ended_launch_is_frozen_once_with_the_hash_of_exactly_its_text(launch: Launch) -> None:
    ended(launch)
    assert freeze() == {launch.pk}
    assert freeze(OVER + timedelta(hours=1)) == set()
    [record] = LaunchRecord.objects.all()
    assert record.at == OVER
    assert record.sha256 == hashlib.sha256(record.body.encode()).hexdigest()
    body = json.loads(record.body)
    assert body["launch"]["id"] == str(launch.pk)
    [verdict] = body["verdicts"]
    assert (verdict["word"], verdict["orders"]) == ("ready", 3400)
    assert verdict["verdict"]["sentence"].startswith("vnext is READY")
    assert len(verdict["verdict"]["requirements"]) == 6


def test_it_waits_for_the_block_of_the_end(launch: Launch) -> None:
    ended(launch)
    assert freeze(END + timedelta(seconds=30)) == set()
    assert freeze() == {launch.pk}


def test_it_waits_for_orders_that_were_not_sent_or_may_still_be_answered(launch: Launch) -> None:
    placed = an_order(launch, sent_at=None, placed_at=END)
    end_launch(launch, at=END)
    assert freeze() == set()
    OutboxMessage.objects.all().delete()
    order: ObservedOrder = observed(launch.pk, str(placed.uuid), sent_at=END)
    assert freeze() == set()
    ObserverState.objects.update_or_create(pk=1, defaults={"swept_until": order.pk})
    assert freeze() == {launch.pk}


def test_it_waits_for_the_final_verdict_and_for_a_rejudging(launch: Launch) -> None:
    ended(launch)
    assert RecordKeeper().freeze(OVER) == set()
    again = Rejudging.objects.create(
        launch=launch.pk, requested_by="ada", requested_at=OVER, until=9
    )
    assert freeze() == set()
    assert FinalVerdict.objects.exists()
    Rejudging.objects.filter(pk=again.pk).update(finished_at=OVER)
    assert freeze() == {launch.pk}


def test_a_launch_without_orders_has_a_record_without_a_word(launch: Launch) -> None:
    end_launch(launch, at=END)
    assert freeze() == {launch.pk}
    [verdict] = json.loads(LaunchRecord.objects.get().body)["verdicts"]
    assert (verdict["version"], verdict["word"], verdict["verdict"]) == ("vnext", "", None)


def test_an_error_stops_neither_the_sweep_nor_the_other_records(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end_launch(launch, at=END)
    other = launches.start_launch(
        "second", "vlatest", [("vnext", Role.CANDIDATE, Decimal(5))], author="ada"
    )
    end_launch(other, at=END)

    def fails(facts: Any) -> str:
        if facts.launch.pk == launch.pk:
            raise RecursionError("too deep")
        return record_body(facts)

    monkeypatch.setattr(records, "record_body", fails)
    keeper = RecordKeeper()
    with caplog.at_level(logging.ERROR):
        assert keeper.freeze(OVER) == {other.pk}
        assert keeper.freeze(OVER + timedelta(seconds=1)) == set()
    assert len([one for one in caplog.records if one.message.startswith("no record")]) == 1
    monkeypatch.setattr(records, "record_body", record_body)
    assert keeper.freeze(OVER + timedelta(minutes=2)) == {launch.pk}


def test_launches_that_cannot_be_read_do_not_stop_the_sweep(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end_launch(launch, at=END)

    def fails(now: datetime) -> Any:
        raise RuntimeError("no table")

    monkeypatch.setattr(records, "_without_record", fails)
    assert freeze() == set()
    assert "launches are not read" in caplog.text


def _detailed(launch: Launch) -> Launch:
    """A launch with orders, a discrepancy with examples, and reviews."""
    launches.set_percent(launch, "vnext", Decimal(25), author="bo", reason="slowly")
    for version, role in (("vlatest", "control"), ("vnext", "candidate")):
        Participant.objects.create(
            launch=launch.pk, version=version, role=role, orders=3, handled=3, pairs=3
        )
    orders = [observed(launch.pk, f"order-{number}", arrived_at=START) for number in range(3)]
    ObserverState.objects.update_or_create(pk=1, defaults={"swept_until": orders[-1].pk})
    found = a_discrepancy(launch.pk, examples=[[1, "order-0"]])
    review([SeenRevision(found.pk, 0)], Decision.BUG, note="it rounds", author="bo")
    return ended(launch)


def test_pruning_changes_no_record_neither_a_frozen_nor_a_later_one(launch: Launch) -> None:
    _detailed(launch)
    found = launches.find_launch(launch.pk)
    assert found is not None
    freeze()
    before, record = record_body(read_facts(found, OVER)), LaunchRecord.objects.get()
    assert before == record.body
    call_command("prune", days=1)
    assert [one.order_id for one in ObservedOrder.objects.all()] == ["order-0"]
    assert record_body(read_facts(found, OVER)) == before
    record.refresh_from_db()
    assert record.body == before
    assert is_intact(record)


def test_later_acts_are_beside_the_record_and_not_under_its_hash(launch: Launch) -> None:
    _detailed(launch)
    freeze()
    record = LaunchRecord.objects.get()
    body = read_body(record)
    [discrepancy] = body["discrepancies"]["listed"]
    [reviewed] = discrepancy["reviews"]["listed"]
    assert (reviewed["decision"], reviewed["note"], reviewed["author"]) == (
        "bug",
        "it rounds",
        "bo",
    )
    # The first review's time is this machine's, like that of the acts below.
    now = Review.objects.latest("pk").decided_at
    decide(launch, "vnext", LaunchChoice.ABANDON, author="ada", reason="one bug", now=now)
    review([SeenRevision(discrepancy["id"], 1)], Decision.BY_DESIGN, note="", author="cy")
    later = later_acts(record, body)
    assert [(one.choice, one.author, one.opposed) for one in later.decisions] == [
        ("abandon", "ada", True)
    ]
    assert [(one.decision, one.author) for one in later.reviews] == [("by_design", "cy")]
    assert freeze(OVER + timedelta(hours=1)) == set()
    assert LaunchRecord.objects.get().body == record.body


def test_a_decision_before_the_record_is_in_it_and_not_told_twice(launch: Launch) -> None:
    ended(launch)
    decide(launch, "vnext", LaunchChoice.PROMOTE, author="ada", reason="good", now=END)
    freeze()
    record = LaunchRecord.objects.get()
    body = read_body(record)
    [decision] = body["decisions"]["listed"]
    assert (decision["choice"], decision["at"]) == ("promote", END)
    assert later_acts(record, body) == ([], [])


def test_a_record_is_never_changed_or_deleted(launch: Launch) -> None:
    end_launch(launch, at=END)
    freeze()
    record = LaunchRecord.objects.get()
    record.body = "{}"
    assert not is_intact(record)
    with pytest.raises(AppendOnlyError):
        record.save()
    with pytest.raises(AppendOnlyError):
        record.delete()
