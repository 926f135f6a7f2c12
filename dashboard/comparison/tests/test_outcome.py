"""What news does to a state, and what two states are together."""

from __future__ import annotations

import pytest

from dashboard.comparison.outcome import (
    MOST_BUILDS,
    BuildSpan,
    Outcome,
    State,
    StateChange,
    build_at,
    cell,
    outcome,
    record_build,
    state_change,
)

R, H, F, M = State.RECEIVED, State.HANDLED, State.FAILED, State.MISSING


@pytest.mark.parametrize(
    ("control", "version", "expected"),
    [
        (H, H, Outcome.DIFFER),
        (H, F, Outcome.CANDIDATE_FAILED),
        (F, H, Outcome.CONTROL_FAILED),
        (F, F, Outcome.BOTH_FAILED),
        (M, H, Outcome.MISSING),
        (H, M, Outcome.MISSING),
        (M, F, Outcome.MISSING),
        (M, M, Outcome.MISSING),
        (R, H, None),
        (H, R, None),
        (R, M, None),
        (R, R, None),
    ],
)
def test_two_states_make_an_outcome(
    control: State, version: State, expected: Outcome | None
) -> None:
    assert outcome(control, version, agree=False) is expected


def test_two_results_that_agree_make_a_pair_that_agrees() -> None:
    assert outcome(H, H, agree=True) is Outcome.AGREE
    assert outcome(H, F, agree=True) is Outcome.CANDIDATE_FAILED


@pytest.mark.parametrize(
    ("control", "version", "found", "expected"),
    [
        (H, H, Outcome.AGREE, "agree"),
        (H, H, Outcome.DIFFER, "differ"),
        (H, F, Outcome.CANDIDATE_FAILED, "handled/failed"),
        (F, F, Outcome.BOTH_FAILED, "failed/failed"),
        (M, H, Outcome.MISSING, "missing/handled"),
    ],
)
def test_a_pair_has_a_cell_in_the_matrix(
    control: State, version: State, found: Outcome, expected: str
) -> None:
    assert cell(control, version, found) == expected


@pytest.mark.parametrize(
    ("known", "news", "expected"),
    [
        (None, R, StateChange.NEW),
        (None, H, StateChange.NEW),
        (None, F, StateChange.NEW),
        (None, M, StateChange.NEW),
        (R, H, StateChange.ENDED),
        (R, F, StateChange.ENDED),
        (R, M, StateChange.ENDED),
        (R, R, StateChange.STALE),
        (H, R, StateChange.STALE),
        (H, M, StateChange.STALE),
        (H, H, StateChange.REPEATED),
        (H, F, StateChange.REPEATED),
        (F, H, StateChange.REPEATED),
        (F, M, StateChange.STALE),
        (M, H, StateChange.LATE),
        (M, F, StateChange.LATE),
        (M, R, StateChange.STALE),
        (M, M, StateChange.STALE),
    ],
)
def test_news_is_judged_by_what_is_known(
    known: State | None, news: State, expected: StateChange
) -> None:
    assert state_change(known, news) is expected


def _heard(*news: tuple[str, float]) -> list[BuildSpan]:
    stretches: list[BuildSpan] = []
    for build, at in news:
        stretches = record_build(stretches, build, at)
    return stretches


@pytest.mark.parametrize(
    ("at", "build"), [(0, "one"), (15, "one"), (25, "one"), (30, "two"), (99, "two")]
)
def test_silence_is_of_the_build_that_was_at_work_when_the_order_was_placed(
    at: float, build: str
) -> None:
    assert build_at(_heard(("one", 10), ("one", 20), ("two", 30), ("two", 40)), at) == build


def test_two_builds_that_answer_side_by_side_take_no_turns() -> None:
    stretches = _heard(*((build, float(at)) for at in range(50) for build in ("one", "two")))
    assert stretches == [("one", 0.0, 49.0), ("two", 0.0, 49.0)]
    assert build_at(stretches, 25) == "two"


@pytest.mark.parametrize("back_at", [50.0, 500.0])
def test_a_build_that_comes_back_is_at_work_again(back_at: float) -> None:
    stretches = _heard(("one", 10), ("two", 20), ("two", 30), ("one", back_at))
    assert [build_at(stretches, at) for at in (25, back_at)] == ["two", "one"]


def test_nothing_is_known_of_a_version_that_said_nothing_and_builds_are_bounded() -> None:
    assert build_at([], 0) == ""
    stretches = _heard(*((str(number), float(number)) for number in range(100)))
    assert len(stretches) == MOST_BUILDS
    assert build_at(stretches, 0) == str(100 - MOST_BUILDS)
