"""One assessment: the gate and the board give the same answer, and the gate reads no orders."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from dashboard.board.filters import Filter
from dashboard.board.frame import board_state
from dashboard.board.wording import Json
from dashboard.comparison.outcome import State
from dashboard.fold.fold import SLICE_S
from dashboard.ingest.recorder import Recorder
from dashboard.management.commands import verdict as verdict_command
from dashboard.management.commands.verdict import EXIT_CODES, NOTHING_TO_SAY
from dashboard.models import (
    FinalVerdict,
    LaunchRequirements,
    Observation,
    ObservedOrder,
    Participant,
    RelaySession,
    TimeSlice,
)
from dashboard.tests.factories import START, an_order
from dashboard.tests.test_final_word import END, finish
from dashboard.tests.test_verdict_command import (
    a_little_slower,
    faster,
    silent,
    twice_as_slow,
    weigh,
)
from dashboard.verdict import evaluation
from dashboard.verdict.thresholds import Requirement
from dashboard.verdict.wording import Word
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import STREAM_QUEUE, kitchen_queue
from restaurant import launches
from restaurant.models import Launch, Order
from restaurant.outbox import mark_sent, unsent
from restaurant.tests.making import all_statements, end_launch, some_orders

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

#: When both are asked.
AT = START + timedelta(minutes=10)
_EMPTY = dict.fromkeys([STREAM_QUEUE, kitchen_queue("vlatest"), kitchen_queue("vnext")], 0)
#: Tables with a row or more for each order.
_OF_ORDERS = (
    "restaurant_order", "restaurant_orderline", "dashboard_observedorder",
    "dashboard_observation",
)  # fmt: skip


@pytest.fixture
def launch() -> Launch:
    dark = [("vnext", Role.CANDIDATE, Decimal(100))]
    return launches.start_launch("first", "vlatest", dark, author="ada", reason="a test")


def _participant(launch: Launch, version: str, **columns: Any) -> None:
    role = "control" if version == "vlatest" else "candidate"
    columns = {"newest_at": AT, "ended_until": AT, **columns}
    Participant.objects.create(launch=launch.pk, version=version, role=role, **columns)


def _fresh(launch: Launch) -> None:
    weigh(launch, faster)
    _participant(launch, "vlatest")


def _stale(launch: Launch) -> None:
    weigh(launch, faster)
    _participant(launch, "vlatest", orders=1, newest_at=AT - timedelta(seconds=61))


def _disturbed(launch: Launch) -> None:
    """More orders wait for the control than come in five seconds."""
    _fresh(launch)
    end = int(AT.timestamp()) // SLICE_S * SLICE_S
    for start in range(end - 5 * SLICE_S, end, SLICE_S):
        TimeSlice.objects.create(
            launch=launch.pk, version="vlatest", start=start, handled=8 * SLICE_S
        )


def _wrong_sample(launch: Launch) -> None:
    _fresh(launch)
    orders = some_orders(20)
    Order.objects.filter(pk__in=[order.pk for order in orders]).update(sample=[])
    mark_sent(unsent())


def _not_seen(launch: Launch) -> None:
    _fresh(launch)
    for session, ranges, lost in (("one", [[1, 980]], 10), ("two", [[1, 10], [31, 1020]], 0)):
        RelaySession.objects.create(session=session, launch=launch.pk, ranges=ranges, lost=lost)
    RelaySession.objects.create(session="three", launch=uuid4(), ranges=[[500, 501]])


def _behind(launch: Launch) -> None:
    _fresh(launch)
    _participant(launch, "vnext", orders=3, ended_until=AT - timedelta(seconds=90))


def _stopped(launch: Launch) -> None:
    weigh(launch, twice_as_slow)
    launches.set_percent(launch, "vnext", Decimal(0), author="ada", reason="stop")


def _ended(launch: Launch) -> None:
    weigh(launch, faster)
    end_launch(launch, at=END)


def _final(launch: Launch) -> None:
    _ended(launch)
    finish(launch)
    LaunchRequirements.objects.create(
        launch=launch.pk, speed_margin=1e-9, failures_margin=1e-9, slow_margin=1e-9,
        differences_margin=1e-9, most_missing=0, most_behind_s=0, author="ada", reason="stricter",
        set_at=AT,
    )  # fmt: skip
    assert FinalVerdict.objects.exists()


_Make = Callable[[Launch], None]
_STATES: Mapping[str, tuple[_Make, Word | None, str]] = {
    "ready": (_fresh, Word.READY, "30 % faster (30 to 31 %)"),
    "not yet": (lambda one: weigh(one, a_little_slower), Word.NOT_YET, "more orders"),
    "worse": (lambda one: weigh(one, twice_as_slow), Word.WORSE, "99 % slower (98 to 101 %)"),
    "not comparable": (lambda one: weigh(one, silent), Word.WITHHELD, "not comparable: only"),
    "a stale feed": (_stale, Word.WITHHELD, "events are stale: newest event 61 s ago"),
    "a wrong sample": (_wrong_sample, Word.WITHHELD, "vnext was sent 0 of 20 orders"),
    "orders that were not seen": (
        _not_seen,
        Word.WITHHELD,
        "WITHHELD: 30 of 2,000 orders did not reach the observer.",
    ),
    "behind": (_behind, Word.NOT_YET, ""),
    "stopped": (_stopped, Word.WORSE, "99 % slower (98 to 101 %)"),
    "ended": (_ended, Word.READY, "30 % faster (30 to 31 %)"),
    "final": (_final, Word.READY, "30 % faster (30 to 31 %)"),
    "nothing known": (lambda one: _participant(one, "vlatest"), None, ""),
}


@pytest.fixture(autouse=True)
def at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: AT)


def _gate(
    monkeypatch: pytest.MonkeyPatch, queues: Mapping[str, int] | None, *arguments: str
) -> tuple[int, Any]:
    """The exit code of the gate, and its answer."""
    monkeypatch.setattr(verdict_command, "ask_for_depths", lambda url, versions: queues)
    out = io.StringIO()
    try:
        call_command("verdict", "--json", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def _board(queues: Mapping[str, int] | None) -> Json:
    launch = launches.newest_launch()
    assert launch is not None
    frame = board_state(launch, Filter.ALL, backlogs=queues)
    return dict(json.loads(json.dumps(frame)))


def _same(gate: Any, board: Json) -> None:
    if gate is None:
        assert board["verdict"] is None
        return
    said = {name: gate.pop(name) for name in ("launch", "at", "asked", "run")}
    assert gate == board["verdict"]
    assert (said["launch"], said["at"], said["run"]) == (
        board["launch"],
        board["at"],
        board["run"],
    )


@pytest.mark.parametrize("state", _STATES)
def test_the_gate_and_the_board_give_the_same_word_reasons_and_numbers(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    make, word, reason = _STATES[state]
    make(launch)
    queues = {**_EMPTY, kitchen_queue("vnext"): 3} if state == "behind" else _EMPTY
    code, found = _gate(monkeypatch, queues)
    assert code == (NOTHING_TO_SAY if word is None else EXIT_CODES[word])
    assert (found and found["word"]) == (word and word.value)
    assert word is None or reason in found["sentence"]
    _same(found, _board(queues))


@pytest.mark.parametrize(("waiting", "word"), [(40, "ready"), (41, "withheld")])
def test_both_withhold_the_word_while_more_than_five_seconds_of_orders_wait_for_the_control(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, waiting: int, word: str
) -> None:
    _disturbed(launch)
    queues = {**_EMPTY, kitchen_queue("vlatest"): waiting}
    _, found = _gate(monkeypatch, queues)
    assert found["word"] == word
    assert (word == "ready") or found["reasons"] == [
        f"the control is falling behind: {waiting} orders wait for vlatest"
    ]
    _same(found, _board(queues))


def test_orders_that_come_after_all_are_missing_no_more(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fresh(launch)
    recorder = Recorder.take_over()
    for came, sentence in (
        ([*range(1, 971), *range(1001, 2001)], "30 of 2,000 orders did not reach the observer"),
        (range(971, 991), "10 of 2,000 orders did not reach the observer"),
        (range(991, 1001), "missing results: 0 %"),
    ):
        recorder.record([], [], AT, numbers={("relay", launch.pk): [*came]})
        _, found = _gate(monkeypatch, _EMPTY)
        completeness = next(
            one for one in found["requirements"] if one["key"] == Requirement.COMPLETENESS
        )
        assert completeness["text"].endswith(sentence)
        assert found["word"] == ("withheld" if "30 of" in sentence else "ready")
        _same(found, _board(_EMPTY))


def test_without_the_broker_both_say_not_yet(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fresh(launch)
    code, found = _gate(monkeypatch, None)
    assert code == EXIT_CODES[Word.NOT_YET]
    board = _board(None)
    keeping_up = (found["requirements"][-1], board["verdict"]["requirements"][-1])
    # The gate says which broker did not answer.
    assert [one.pop("text") for one in keeping_up] == [
        "unknown: the broker at 127.0.0.1:5672 did not answer",
        "lag unknown",
    ]
    _same(found, board)


def test_without_a_candidate_neither_has_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    dark = [("vlatest-b", Role.BASELINE, Decimal(100))]
    launch = launches.start_launch("first", "vlatest", dark, author="ada", reason="a test")
    _participant(launch, "vlatest")
    assert _board(_EMPTY)["verdict"] is None
    with pytest.raises(CommandError) as refused:
        _gate(monkeypatch, _EMPTY)
    assert refused.value.returncode == NOTHING_TO_SAY


def _read(asked: Callable[[], object]) -> list[str]:
    """The statements of a new process, which has kept no evidence."""
    for kept in (evaluation._evidence, evaluation._verdict, evaluation._contrasts):
        kept.cache_clear()
    with all_statements() as queries:
        asked()
    return queries


def _tables(sql: str) -> set[str]:
    return set(re.findall(r"\b(?:restaurant|dashboard)_[a-z]+\b", sql))


@pytest.mark.parametrize("state", _STATES)
def test_the_gate_reads_no_rows_of_orders_and_asks_as_much_however_many_there_are(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    make, _, _ = _STATES[state]
    make(launch)
    _orders(launch, 1)
    first = _read(lambda: _gate(monkeypatch, _EMPTY))
    _orders(launch, 60)
    again = _read(lambda: _gate(monkeypatch, _EMPTY))
    assert len(again) <= len(first) <= 20
    rows = [sql for sql in again if _tables(sql).intersection(_OF_ORDERS)]
    read = [sql for sql in rows if not sql.startswith("SELECT COUNT(")]
    # Until its last orders are counted, an ended launch is searched for the last one it sent.
    assert len(read) == (state == "ended")
    assert all(sql.endswith("LIMIT 1000") for sql in read)


def _orders(launch: Launch, number: int) -> None:
    """Orders that both versions have handled, before the newest that is counted."""
    for _ in range(number):
        order = an_order(launch, sample=("vnext",), sent_at=START, placed_at=START)
        seen = ObservedOrder.objects.get(order_id=str(order.uuid))
        for version, role in (("vlatest", Role.CONTROL), ("vnext", Role.CANDIDATE)):
            participant, _ = Participant.objects.get_or_create(
                launch=launch.pk, version=version, defaults={"role": role}
            )
            Observation.objects.create(
                id=2 * seen.pk + (role is Role.CONTROL),
                order=seen,
                participant=participant,
                state=State.HANDLED,
            )
