"""Orders become evidence: once each, whatever the batches, and a verdict follows from it."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from dashboard import models
from dashboard.board.filters import Filter
from dashboard.board.frame import board_state
from dashboard.comparison.outcome import Decision
from dashboard.database import atomic
from dashboard.ingest.evidence import timing_in_force, whole_tally
from dashboard.ingest.stream import Roster, read_roster
from dashboard.models import Discrepancy, LaunchRequirements
from dashboard.tests.factories import START, a_launch, an_event, an_order, observed
from dashboard.tests.making import record_events, sweep
from dashboard.verdict import evidence
from dashboard.verdict.closing import MAX_POINTS, close_blocks, with_point
from dashboard.verdict.evaluation import evaluate, evaluate_row, names_of, requirements_of
from dashboard.verdict.evidence import EvidenceTotals
from dashboard.verdict.thresholds import LaunchHealth, Requirement
from kitchen_worker.contract.messages import TIMED_OUT, Event, EventKind, Failure
from restaurant.environment import Environment
from restaurant.models import Launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

DEADLINE = timedelta(seconds=5)
AT_ONCE = timedelta(0)
LONG_AFTER = START + timedelta(hours=1)
#: What an order that both have handled adds.
ANSWERED = {
    "orders": 1, "pairs": 1, "errors_pos": 0, "missing_pos": 0, "handled": 1, "compared": 0
}  # fmt: skip


@pytest.fixture(autouse=True)
def _short_blocks(settings: Settings) -> None:
    settings.ENVIRONMENT = replace(
        settings.ENVIRONMENT, block_s=1.0, deadline_s=DEADLINE.total_seconds(), warm_up_s=2.0
    )


@pytest.fixture
def launch() -> Launch:
    return a_launch()


@pytest.fixture
def roster(launch: Launch) -> Roster:
    return read_roster(launch)


def placed(launch: Launch, seconds: float = 0.0, sample: tuple[str, ...] = ("vnext",)) -> UUID:
    """An order that was placed and sent so long after the start."""
    at = START + timedelta(seconds=seconds)
    return an_order(launch, sample=sample, placed_at=at, sent_at=at).uuid


def said(launch: Launch, order: UUID, version: str, ms: float = 100.0, **fields: Any) -> Event:
    return an_event(launch, order, version, handling_ms=ms, **fields)


def rows(version: str = "vnext") -> list[models.Evidence]:
    return list(models.Evidence.objects.filter(version=version).order_by("pk"))


def blocks(version: str = "vnext") -> dict[str, int]:
    """Sums over all blocks of the one evidence of a version."""
    (row,) = rows(version)
    found = whole_tally(row).blocks.values()
    names = ("orders", "pairs", "errors_pos", "missing_pos", "handled", "compared")
    return {name: sum(getattr(block, name) for block in found) for name in names}


def a_rush(launch: Launch, orders: int, *, faster: float = 0.8) -> list[Event]:
    """Events of orders at ten a second: vnext is faster, and differs on every tenth."""
    rng = random.Random(7)
    events = []
    for number in range(orders):
        sample = ("vnext", "vlatest-b") if number % 2 else ("vnext",)
        order = placed(launch, number / 10, sample)
        ms = 100 * rng.lognormvariate(0, 0.3)
        same, other = {"total": "7.00"}, {"total": "7.00" if number % 10 else "6.99"}
        at = START + timedelta(seconds=number / 10)
        events += [
            said(launch, order, "vlatest", ms, result=same, placed_at=at),
            said(launch, order, "vnext", ms * faster, result=other, placed_at=at),
        ]
        if number % 2:
            events.append(said(launch, order, "vlatest-b", ms, result=same, placed_at=at))
    return events


def settle(launch: Launch) -> None:
    """Let time pass until every block counts."""
    sweep(LONG_AFTER, DEADLINE)
    assert close_blocks(LONG_AFTER) == {launch.id}


def test_an_order_counts_once_both_versions_have_ended_it(launch: Launch, roster: Roster) -> None:
    order = placed(launch)
    record_events(roster, [said(launch, order, "vlatest")], START)
    assert rows() == []
    record_events(roster, [said(launch, order, "vnext")], START)
    record_events(roster, [said(launch, order, "vnext")], START)
    assert blocks() == ANSWERED


def test_an_order_waits_for_the_baseline_that_it_was_sent_to(
    launch: Launch, roster: Roster
) -> None:
    order = placed(launch, sample=("vnext", "vlatest-b"))
    for version in ("vlatest", "vnext"):
        record_events(roster, [said(launch, order, version)], START)
    assert rows() == []
    record_events(roster, [said(launch, order, "vlatest-b")], START)
    assert blocks()["compared"] == 1
    assert blocks("vlatest-b")["orders"] == 1


def test_an_order_that_a_kitchen_gave_up_has_timed_out_and_counts_as_the_whole_deadline(
    launch: Launch, roster: Roster
) -> None:
    order = placed(launch)
    gave_up = Failure(type=TIMED_OUT, message="no result within 20 s")
    failed = said(launch, order, "vnext", 1.0, kind=EventKind.FAILED, result=None, error=gave_up)
    record_events(roster, [said(launch, order, "vlatest"), failed], START)
    assert blocks() == {**ANSWERED, "errors_pos": 1, "handled": 0, "compared": 0}
    (block,) = whole_tally(rows()[0]).blocks.values()
    assert block.candidate_ns == DEADLINE / timedelta(microseconds=1) * 1000
    (observed,) = models.Observation.objects.filter(participant__version="vnext")
    assert (observed.state, observed.error_type) == ("failed", "TimedOut")


def test_silence_counts_as_missing_and_a_late_answer_is_counted_as_late_alone(
    launch: Launch, roster: Roster
) -> None:
    order = placed(launch)
    record_events(roster, [said(launch, order, "vlatest")], START)
    sweep(START, AT_ONCE)
    before = blocks()
    assert before["missing_pos"] == 1
    record_events(roster, [said(launch, order, "vnext", build="")], START)
    assert blocks() == before
    assert rows()[0].late == 1


def test_a_baseline_that_has_just_joined_makes_no_order_count_twice(
    launch: Launch, roster: Roster
) -> None:
    launch.dark_versions.filter(version="vlatest-b").delete()
    before_it_joined = read_roster(launch)
    launch.dark_versions.create(version="vlatest-b", role="baseline", percent=100)
    order = placed(launch, sample=("vnext", "vlatest-b"))
    for version in ("vlatest", "vnext"):
        record_events(before_it_joined, [said(launch, order, version)], START)
    record_events(roster, [said(launch, order, "vlatest-b")], START)
    assert (blocks()["orders"], blocks()["compared"]) == (1, 1)


def test_what_both_show_of_an_order_has_one_name(launch: Launch, roster: Roster) -> None:
    order = placed(launch, sample=("vnext", "vlatest-b"))
    events = [
        said(launch, order, "vlatest", result={"cook": "Ada"}),
        said(launch, order, "vnext", result={"cook": "Grace"}),
        said(launch, order, "vlatest-b", result={"cook": "Grace"}),
    ]
    record_events(roster, events, START)
    (row,) = rows()
    own = Discrepancy.objects.get(version="vnext").pk
    (sums,) = whole_tally(row).blocks.values()
    assert sums.classes == {f"{own}|{own}": 1}


def test_blocks_of_one_evidence_are_bounded(
    launch: Launch, roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MOST_BLOCKS", 3)
    for seconds in range(5):
        order = placed(launch, seconds)
        record_events(roster, [said(launch, order, "vlatest"), said(launch, order, "vnext")], START)
    (row,) = rows()
    assert (models.EvidenceBlock.objects.filter(evidence=row).count(), row.lost) == (3, 2)
    assert row.revision == 2


def test_an_order_that_comes_after_its_block_has_settled_is_counted_as_lost(
    launch: Launch, roster: Roster
) -> None:
    record_events(roster, a_rush(launch, 40), START)
    settle(launch)
    order = placed(launch, 1.5)
    record_events(roster, [said(launch, order, "vlatest"), said(launch, order, "vnext")], START)
    weighed = evaluate(launch.id, "vnext", LaunchHealth(behind_s=0.0))
    assert weighed is not None
    assert weighed.verdict.sentence("vnext") == (
        "WITHHELD: 1 of 41 orders came too late to be counted."
    )
    assert weighed.verdict.of(Requirement.COMPLETENESS).text == (
        "missing results: 2.4 %, 1 order came too late to be counted"
    )


@pytest.mark.parametrize(("block_s", "deadline_s"), [("1", "200"), ("", "30"), ("", "86400")])
def test_with_any_deadline_that_the_settings_allow_blocks_settle_long_before_they_are_lost(
    block_s: str, deadline_s: str, settings: Settings
) -> None:
    given = {"BLOCK_SECONDS": block_s, "DEADLINE_SECONDS": deadline_s, "DEBUG": "1"}
    settings.ENVIRONMENT = Environment.from_environ(given)
    timing = timing_in_force()
    open_blocks = timing.block_of(1e9) + 1 - timing.closed_at(1e9)
    unsettled = open_blocks + timing.kept_blocks + timing.longest_s / timing.block_s
    assert unsettled <= evidence.MOST_BLOCKS / 2


def test_the_board_says_how_long_blocks_are_and_why(launch: Launch, settings: Settings) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, block_s=None)
    events: list[Event] = []
    for number in range(260):
        order = placed(launch, 12.0 * number)
        events += [said(launch, order, version) for version in ("vlatest", "vnext")]
    record_events(read_roster(launch), events, START)
    settle(launch)
    verdict = board_state(launch, Filter.ALL)["verdict"]
    assert (verdict["block_s"], verdict["block_why"]) == (300.0, "5 orders a minute")
    assert verdict["lag_s"] == 300.0 + 5.0 + 2.0
    assert 0 < verdict["orders"] <= 60


def test_a_version_that_had_taken_the_order_has_timed_out(launch: Launch, roster: Roster) -> None:
    order = placed(launch)
    events = [
        said(launch, order, "vlatest"),
        an_event(launch, order, "vnext", EventKind.RECEIVED, build=""),
    ]
    record_events(roster, events, START)
    sweep(START, AT_ONCE)
    assert (blocks()["pairs"], blocks()["missing_pos"], blocks()["errors_pos"]) == (1, 0, 1)


def test_an_order_of_which_the_transaction_is_lost_counts_once_it_is_recorded(
    launch: Launch, roster: Roster
) -> None:
    order = placed(launch)
    events = [said(launch, order, "vlatest"), said(launch, order, "vnext")]

    def crash() -> None:
        with atomic():
            record_events(roster, events, START)
            raise RuntimeError("the process dies before its commit")

    with pytest.raises(RuntimeError, match="dies"):
        crash()
    assert rows() == []
    record_events(roster, events, START)
    assert blocks()["orders"] == 1


def evidence_of(launch: Launch, events: list[Event], batches: int) -> EvidenceTotals:
    models.Evidence.objects.all().delete()
    models.Observation.objects.all().delete()
    models.Participant.objects.all().delete()
    roster = read_roster(launch)
    for start in range(batches):
        record_events(roster, events[start::batches], START)
    settle(launch)
    (row,) = rows()
    return whole_tally(row).evidence()


def test_any_split_into_batches_gives_the_same_evidence(launch: Launch) -> None:
    events = a_rush(launch, 120)
    whole = evidence_of(launch, events, 1)
    shuffled = random.Random(3).sample(events, len(events))
    split = evidence_of(launch, shuffled, 7)
    assert whole.warm_up.timed == split.warm_up.timed > 0
    assert whole.to_json() == split.to_json()


def test_a_new_build_starts_with_nothing_and_is_the_one_that_is_judged(
    launch: Launch, roster: Roster
) -> None:
    for seconds, build in enumerate(("one", "two")):
        order = placed(launch, seconds)
        events = [said(launch, order, "vlatest"), said(launch, order, "vnext", build=build)]
        record_events(roster, events, START + timedelta(seconds=seconds))
    assert [row.version_build for row in rows()] == ["one", "two"]
    weighed = evaluate(launch.id, "vnext", LaunchHealth(behind_s=0.0))
    assert weighed is not None
    assert weighed.row.version_build == "two"


def test_a_late_answer_of_a_build_that_was_rolled_back_does_not_bring_its_verdict_back(
    launch: Launch, roster: Roster
) -> None:
    def judged() -> str:
        weighed = evaluate(launch.id, "vnext", LaunchHealth(behind_s=0.0))
        assert weighed is not None
        return weighed.row.version_build

    late = placed(launch, 10)
    record_events(roster, [said(launch, late, "vlatest")], START)
    for seconds, build in ((0, "one"), (10, "two"), (200, "one"), (300, "one")):
        order = placed(launch, seconds)
        events = [said(launch, order, "vlatest"), said(launch, order, "vnext", build=build)]
        record_events(roster, events, START + timedelta(seconds=seconds))
    sweep(START + timedelta(seconds=20), timedelta(seconds=10))
    assert judged() == "one"
    answer = said(launch, late, "vnext", build="two")
    record_events(roster, [answer], START + timedelta(seconds=301))
    assert models.Evidence.objects.get(version_build="two").late == 1
    assert judged() == "one"


def test_a_new_build_of_the_baseline_starts_with_nothing_and_its_first_one_does_not(
    launch: Launch, roster: Roster
) -> None:
    both = ("vlatest", "vnext")
    builds = (None, "b1", None, "b1", "b2", None, "b2")
    for seconds, build in enumerate(builds):
        at = START + timedelta(seconds=seconds)
        order = placed(launch, seconds, ("vnext", "vlatest-b") if build else ("vnext",))
        events = [said(launch, order, version, placed_at=at) for version in both]
        if build:
            events.append(said(launch, order, "vlatest-b", build=build, placed_at=at))
        record_events(roster, events, at)
    counted = {
        row.baseline_build: sum(sums.orders for sums in whole_tally(row).blocks.values())
        for row in rows()
    }
    assert counted == {"b1": 4, "b2": 3}


@pytest.mark.parametrize("builds", [("b1", "b2"), ("b1", ""), ("", "b1")])
def test_two_builds_of_the_baseline_that_are_first_heard_of_in_one_batch_lose_no_order(
    launch: Launch, roster: Roster, builds: tuple[str, str]
) -> None:
    both = ("vlatest", "vnext")
    orders = [placed(launch, 0, sample) for sample in (both[1:], *[("vnext", "vlatest-b")] * 2)]
    record_events(roster, [said(launch, orders[0], version) for version in both], START)
    events = [said(launch, order, version) for order in orders[1:] for version in both]
    for order, build in zip(orders[1:], builds, strict=True):
        events.append(said(launch, order, "vlatest-b", build=build))
    record_events(roster, events, START)
    counted = [
        sums.orders
        for row in models.Evidence.objects.filter(version="vnext")
        for sums in whole_tally(row).blocks.values()
    ]
    assert sum(counted) == 3


def test_a_baseline_that_names_no_build_after_one_that_did_has_evidence_of_its_own(
    launch: Launch, roster: Roster
) -> None:
    counted: list[dict[str, int]] = []
    for seconds, build in enumerate(("b1", "", "")):
        order = placed(launch, seconds, ("vnext", "vlatest-b"))
        events = [said(launch, order, version) for version in ("vlatest", "vnext")]
        events.append(said(launch, order, "vlatest-b", build=build))
        record_events(roster, events, START + timedelta(seconds=seconds))
        counted.append({row.baseline_build: len(whole_tally(row).blocks) for row in rows()})
    assert counted == [{"b1": 1}, {"b1": 1, "": 1}, {"b1": 1, "": 2}]


def test_an_order_in_work_when_the_build_changes_belongs_to_the_build_that_was_sent_it(
    launch: Launch, roster: Roster
) -> None:
    before, taken, after = (placed(launch, seconds) for seconds in (1, 2, 5))

    for order, seconds, build, kind in (
        (placed(launch), 1, "one", EventKind.HANDLED),
        (taken, 2, "one", EventKind.RECEIVED),
        (after, 5, "two", EventKind.HANDLED),
    ):
        event = an_event(launch, order, "vnext", kind, build=build)
        record_events(roster, [event], START + timedelta(seconds=seconds))
    orders = (before, taken, after)
    record_events(roster, [said(launch, order, "vlatest") for order in orders], START)
    sweep(START + timedelta(seconds=2), AT_ONCE)
    counted = {row.version_build: [*whole_tally(row).blocks.values()] for row in rows()}
    assert {build: len(sums) for build, sums in counted.items()} == {"one": 2, "two": 1}
    assert sum(sums.missing_pos for sums in counted["one"]) == 1


def test_no_block_counts_while_an_order_of_its_time_is_not_swept(launch: Launch) -> None:
    record_events(read_roster(launch), a_rush(launch, 50), START)
    waiting = observed(
        launch.id, "1", sent_at=START + timedelta(seconds=2.5), arrived_at=LONG_AFTER
    )
    sweep(LONG_AFTER, DEADLINE)
    close_blocks(LONG_AFTER)
    (row,) = rows()
    assert row.closed_until == int(START.timestamp()) + 2
    later = waiting.arrived_at + DEADLINE
    sweep(later, DEADLINE)
    close_blocks(later)
    assert rows()[0].closed_until == int((later - DEADLINE).timestamp()) - 2


def test_an_order_counts_in_the_block_of_the_time_when_it_was_sent(
    launch: Launch, roster: Roster
) -> None:
    """What waited for a broker was placed long before."""
    sent_at = START + timedelta(seconds=30)
    order = an_order(launch, sent_at=sent_at, placed_at=START).uuid
    record_events(roster, [said(launch, order, "vlatest"), said(launch, order, "vnext")], START)
    (row,) = rows()
    assert [*whole_tally(row).blocks] == [int(sent_at.timestamp())]


def test_closing_twice_changes_nothing_more(launch: Launch) -> None:
    record_events(read_roster(launch), a_rush(launch, 30), START)
    settle(launch)
    (before,) = rows()
    assert close_blocks(LONG_AFTER) == set()
    (after,) = rows()
    assert before.revision == after.revision


def test_what_settles_leaves_no_rows_behind(launch: Launch) -> None:
    record_events(read_roster(launch), a_rush(launch, 100), START)
    assert models.EvidenceBlock.objects.count() > 10
    settle(launch)
    assert models.EvidenceBlock.objects.count() == 0


@pytest.fixture
def judged(launch: Launch) -> Launch:
    """A launch of 600 orders in which vnext is a fifth faster and a tenth differ."""
    events = a_rush(launch, 600)
    for start in range(0, len(events), 400):
        record_events(read_roster(launch), events[start : start + 400], LONG_AFTER)
    settle(launch)
    return launch


def test_a_faster_version_is_found_to_be_faster(judged: Launch) -> None:
    weighed = evaluate(judged.id, "vnext", LaunchHealth(behind_s=0.0))
    assert weighed is not None
    speed = weighed.verdict.of(Requirement.SPEED)
    assert speed.word == "faster"
    assert speed.interval is not None
    assert speed.interval.lo < -0.2231 < speed.interval.hi + 1e-9
    assert weighed.decided[Requirement.SPEED].word == "faster"


def test_a_review_counts_at_once_and_can_be_taken_back(judged: Launch) -> None:
    def differences() -> float:
        weighed = evaluate(judged.id, "vnext", LaunchHealth(behind_s=0.0))
        assert weighed is not None
        return weighed.verdict.of(Requirement.DIFFERENCES).estimate or 0.0

    before = differences()
    discrepancies = Discrepancy.objects.filter(version="vnext")
    discrepancies.update(state=Decision.BY_DESIGN)
    assert differences() == 0.0
    discrepancies.update(state=Decision.BUG)
    assert differences() == before


def test_what_is_accepted_of_a_version_is_accepted_of_the_baseline_too(launch: Launch) -> None:
    def a_discrepancy(version: str, path: str, **fields: Any) -> int:
        known = {"count": 1, "first_seen_at": START, "last_seen_at": START} | fields
        return Discrepancy.objects.create(
            launch=launch.id, version=version, kind="value", path=path, **known
        ).pk

    accepted = {
        a_discrepancy("vnext", "cook", state=Decision.NOISE),
        a_discrepancy("vlatest-b", "cook"),
        a_discrepancy("vnext", "note", count=0, ignored=3),
    }
    a_discrepancy("vnext", "total", state=Decision.BUG)
    a_discrepancy("vlatest-b", "total")
    assert names_of(launch.id, "vnext", ["vlatest-b"]).accepted == accepted


def test_requirements_that_were_set_last_hold(judged: Launch) -> None:
    assert requirements_of(judged.id).speed_margin == 0.02
    lines = {
        "failures_margin": 0.005, "slow_margin": 0.01, "differences_margin": 0.005,
        "most_missing": 0.01, "most_behind_s": 10.0,
    }  # fmt: skip
    for follows, margin in enumerate((0.1, 0.3)):
        LaunchRequirements.objects.create(
            launch=judged.id, speed_margin=margin, author="ada", reason="", set_at=START,
            follows=follows, **lines,
        )  # fmt: skip
    assert requirements_of(judged.id).speed_margin == 0.3


def test_a_verdict_is_withheld_for_the_reason_that_is_given(judged: Launch) -> None:
    (row,) = rows()
    verdict = evaluate_row(row, LaunchHealth(held=("events are stale",))).verdict
    assert verdict.sentence("vnext") == "WITHHELD: events are stale."


def test_the_history_stays_bounded_and_spans_the_whole_launch() -> None:
    history: dict[str, Any] = {}
    for second in range(10_000):
        history = with_point(history, [float(second), second, None, None, None])
    times = [point[0] for point in history["points"]]
    assert MAX_POINTS / 2 <= len(times) <= MAX_POINTS
    assert times[0] == 0.0
    assert times[-1] >= 10_000 - history["every"]
    steps = {later - earlier for earlier, later in pairwise(times)}
    assert steps == {float(history["every"])}


def test_nothing_is_said_of_a_version_that_nobody_heard_of(launch: Launch) -> None:
    assert evaluate(launch.id, "vnext", LaunchHealth()) is None


def test_the_board_tells_the_verdict_of_the_candidate_beside_the_control(judged: Launch) -> None:
    frame = board_state(judged, Filter.ALL)
    assert frame["verdict"]["word"] in ("not yet", "worse")
    assert [one["key"] for one in frame["verdict"]["requirements"]] == list(Requirement)
    assert frame["series"]["verdict"]["history"]["orders"]
    beside = board_state(judged, Filter.ALL, version="vlatest-b")
    assert (beside["verdict"], beside["series"]["verdict"]) == (None, None)


def test_times_beyond_the_deadline_and_odd_clocks_do_not_stop_the_recording(
    launch: Launch, roster: Roster
) -> None:
    order = placed(launch)
    far = datetime(2150, 1, 1, tzinfo=START.tzinfo)
    events = [
        said(launch, order, "vlatest", 1e12, finished_at=far),
        said(launch, order, "vnext", 0.0),
    ]
    record_events(roster, events, START)
    assert blocks()["pairs"] == 1
