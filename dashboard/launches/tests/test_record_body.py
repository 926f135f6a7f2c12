"""What a record says, from facts that were made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from dashboard.launches.record_body import (
    MOST_DISCREPANCIES,
    MOST_REVIEWS,
    RecordFacts,
    record_body,
)
from dashboard.models import (
    Discrepancy,
    FinalVerdict,
    LaunchDecision,
    Participant,
    Review,
    Rule,
)
from dashboard.review.listing import ListedDiscrepancy
from dashboard.review.thresholds import ThresholdChange
from dashboard.verdict.quantiles import LogHistogram
from dashboard.verdict.thresholds import Requirements
from restaurant.models import DarkVersion, Launch, LaunchChange

START = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
END = START + timedelta(hours=1)
ID = UUID(int=7)
LAUNCH = Launch(pk=ID, name="November", control="vlatest", started_at=START, ended_at=END)


def a_version(version: str, role: str, percent: str) -> DarkVersion:
    return DarkVersion(version=version, role=role, percent=Decimal(percent))


def a_change(pk: int, kind: str, version: str, old: str, new: str) -> LaunchChange:
    at = START + timedelta(minutes=pk)
    return LaunchChange(
        pk=pk, kind=kind, version=version, old=old, new=new, author="ada", reason="a try", at=at
    )


def a_discrepancy(pk: int = 1, **fields: Any) -> ListedDiscrepancy:
    known = {"launch": ID, "version": "vnext", "kind": "value", "path": "total_price", "count": 10}
    times = {"first_seen_at": START, "last_seen_at": END}
    row = Discrepancy(pk=pk, **{**known, **times, **fields})
    return ListedDiscrepancy(row, pairs=100, noise_pairs=50, noise_count=1)


def a_review(pk: int) -> Review:
    return Review(
        pk=pk, discrepancy_id=1, decision="bug", note="rounds", author="bo", decided_at=END
    )


def a_rule(**fields: Any) -> Rule:
    known = {"pk": 3, "path": "note", "treatment": "ignore", "reason": "free", "author": "cy"}
    return Rule(**{**known, "created_at": START, **fields})


FACTS = RecordFacts(
    launch=LAUNCH,
    dark=[a_version("vnext", "candidate", "50"), a_version("vlatest-b", "baseline", "20")],
    participants={},
    verdicts={},
    thresholds=Requirements(),
    threshold_changes=[],
    rules=[],
    discrepancies=[],
    reviews={},
    changes=[a_change(1, "started", "", "", "vlatest (control), vnext (candidate, 50 %)")],
    sent={},
    numbered=0,
    unseen=0,
    decisions=[],
    at=END + timedelta(minutes=1),
)


def body(**changed: Any) -> Any:
    return json.loads(record_body(replace(FACTS, **changed)))


def test_the_text_is_canonical() -> None:
    text = record_body(
        replace(FACTS, launch=Launch(**{**_fields(LAUNCH), "name": "Nöël\0 \u202e"}))
    )
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert text.isascii()
    assert "\0" not in text
    assert json.loads(text)["launch"]["name"] == "Nöël\0 \u202e"


def _fields(launch: Launch) -> dict[str, Any]:
    names = ("pk", "name", "control", "started_at", "ended_at")
    return {name: getattr(launch, name) for name in names}


def test_times_are_in_utc_whatever_zone_they_were_read_in() -> None:
    assert body()["launch"]["started_at"] == "2026-01-05T10:00:00+00:00"
    assert body()["frozen_at"] == "2026-01-05T11:01:00+00:00"


def test_every_version_has_its_numbers_and_zeros_before_its_first_report() -> None:
    times = LogHistogram.of([100.0] * 99 + [900.0]).to_json()
    vnext = Participant(
        version="vnext", orders=9, handled=5, failed=2, missing=1, late=3, repeats=4, pairs=6,
        matrix={"agree": 4, "handled/failed": 2}, times=times,
        builds=[["git:1a", START.timestamp(), END.timestamp()]],
    )  # fmt: skip
    control, found, baseline = body(participants={"vnext": vnext})["versions"]
    assert [one["version"] for one in (control, found, baseline)] == [
        "vlatest", "vnext", "vlatest-b",
    ]  # fmt: skip
    assert {name: found[name] for name in ("orders", "handled", "failed", "missing", "late")} == {
        "orders": 9, "handled": 5, "failed": 2, "missing": 1, "late": 3,
    }  # fmt: skip
    assert (found["pairs"], found["repeats"], found["percent"]) == (6, 4, 50.0)
    assert found["outcomes"] == {"agree": 4, "handled/failed": 2}
    assert found["times_ms"]["p50"] == pytest.approx(100, rel=0.05)
    assert found["builds"] == [
        {
            "build": "git:1a",
            "first_at": "2026-01-05T10:00:00+00:00",
            "last_at": "2026-01-05T11:00:00+00:00",
        }
    ]
    assert (control["percent"], control["orders"], control["times_ms"]["p50"]) == (None, 0, None)
    assert (baseline["role"], baseline["pairs"]) == ("baseline", 0)


def test_every_candidate_has_its_verdict_or_none() -> None:
    verdict = {"word": "worse", "sentence": "vnext is slower.", "requirements": []}
    final = FinalVerdict(version="vnext", word="worse", at=END, orders=90, verdict=verdict)
    assert body(verdicts={"vnext": final})["verdicts"] == [
        {
            "version": "vnext",
            "word": "worse",
            "at": "2026-01-05T11:00:00+00:00",
            "orders": 90,
            "verdict": verdict,
        }
    ]
    assert body()["verdicts"][0]["word"] == ""


def test_thresholds_say_who_set_them_when_and_why() -> None:
    lines = (("speed_margin", 0.02, 0.05),)
    change = ThresholdChange("ada", START, "patience", lines)
    found = body(thresholds=Requirements(speed_margin=0.05), threshold_changes=[change])
    assert found["thresholds"]["in_force"]["speed_margin"] == 0.05
    assert "alpha" not in found["thresholds"]["in_force"]
    assert found["thresholds"]["changes"]["listed"] == [
        {
            "at": "2026-01-05T10:00:00+00:00",
            "author": "ada",
            "reason": "patience",
            "set": [{"name": "speed_margin", "old": 0.02, "new": 0.05}],
        }
    ]


@pytest.mark.parametrize(
    ("fields", "in_force"),
    [
        pytest.param({}, True, id="made before"),
        pytest.param({"created_at": END + timedelta(seconds=1)}, False, id="made after the end"),
        pytest.param({"ended_at": END}, False, id="ended during the launch"),
        pytest.param({"ended_at": END + timedelta(seconds=1)}, True, id="ended after it"),
        pytest.param({"expires_at": END - timedelta(seconds=1)}, False, id="expired during it"),
    ],
)
def test_a_rule_says_whether_it_was_in_force_at_the_end(
    fields: dict[str, Any], in_force: bool
) -> None:
    [rule] = body(rules=[a_rule(**fields)])["rules"]["listed"]
    assert rule["in_force_at_end"] is in_force


def test_a_discrepancy_has_its_counts_its_noise_and_its_reviews() -> None:
    rows = [a_discrepancy(state="bug", examples=[[1, "a"], [2, "b"], [3, "c"], [4, "d"]])]
    [row] = body(discrepancies=rows, reviews={1: [a_review(5)]})["discrepancies"]["listed"]
    assert (row["count"], row["rate"], row["noise_rate"]) == (10, 0.1, 0.02)
    assert row["counts_against"] is True
    assert row["examples"] == ["a", "b", "c"]
    [review] = row["reviews"]["listed"]
    assert (review["decision"], review["author"], review["note"]) == ("bug", "bo", "rounds")
    assert review["at"] == "2026-01-05T11:00:00+00:00"


def test_what_is_left_out_is_said() -> None:
    rows = [a_discrepancy(pk) for pk in range(1, MOST_DISCREPANCIES + 8)]
    reviews = {1: [a_review(pk) for pk in range(MOST_REVIEWS + 3)]}
    found = body(discrepancies=rows, reviews=reviews)["discrepancies"]
    assert (len(found["listed"]), found["left_out"]) == (MOST_DISCREPANCIES, 7)
    first = found["listed"][0]["reviews"]
    assert first["left_out"] == 3
    assert [one["id"] for one in first["listed"]] == [*range(3, MOST_REVIEWS + 3)]


STARTED = a_change(1, "started", "", "", "vlatest (control), vnext (candidate, 25 %)")


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        pytest.param([STARTED], [(0, 50.0, 70, 35)], id="never changed"),
        pytest.param(
            [STARTED, a_change(2, "percent", "vnext", "25 %", "50 %")],
            [(0, 25.0, 40, 10), (2, 50.0, 30, 25)],
            id="changed once",
        ),
        pytest.param(
            [
                STARTED,
                a_change(2, "added", "vnext", "", "candidate, 12.5 %"),
                a_change(3, "percent", "vlatest-b", "20 %", "0 %"),
                a_change(4, "purged", "vnext", "", "7 orders"),
            ],
            [(2, 12.5, 30, 25)],
            id="added later",
        ),
    ],
)
def test_the_sample_is_told_by_percent_over_time(
    changes: list[LaunchChange], steps: list[tuple[int, float, int, int]]
) -> None:
    sent = {(1, ""): 40, (1, "vnext"): 10, (2, ""): 30, (2, "vnext"): 25}
    rows = [one for one in body(changes=changes, sent=sent)["sample"] if one["version"] == "vnext"]
    assert [(one["percent"], one["offered"], one["sent"]) for one in rows] == [
        (percent, offered, sent_to) for _, percent, offered, sent_to in steps
    ]
    assert [one["at"] for one in rows] == [
        (START + timedelta(minutes=minute)).isoformat() for minute, *_ in steps
    ]


def test_every_act_has_its_author_its_reason_and_whether_it_opposed_the_verdict() -> None:
    decision = LaunchDecision(
        pk=4, version="vnext", choice="promote", step="decided", author="ada", reason="must",
        at=END, word="worse", sentence="vnext is slower.", opposed=True,
    )  # fmt: skip
    found = body(decisions=[decision])
    [act] = found["decisions"]["listed"]
    assert (act["choice"], act["author"], act["reason"], act["opposed"], act["word"]) == (
        "promote", "ada", "must", True, "worse",
    )  # fmt: skip
    [change] = found["changes"]["listed"]
    assert (change["kind"], change["author"], change["reason"]) == ("started", "ada", "a try")
