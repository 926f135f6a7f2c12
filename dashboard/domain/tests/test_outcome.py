"""What news does to a state, and what two states are together."""

from __future__ import annotations

import pytest

from dashboard.domain.outcome import Change, Outcome, State, cell, change, outcome

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
        (None, R, Change.NEW),
        (None, H, Change.NEW),
        (None, F, Change.NEW),
        (None, M, Change.NEW),
        (R, H, Change.ENDED),
        (R, F, Change.ENDED),
        (R, M, Change.ENDED),
        (R, R, Change.STALE),
        (H, R, Change.STALE),
        (H, M, Change.STALE),
        (H, H, Change.REPEATED),
        (H, F, Change.REPEATED),
        (F, H, Change.REPEATED),
        (F, M, Change.STALE),
        (M, H, Change.MENDED),
        (M, F, Change.MENDED),
        (M, R, Change.STALE),
        (M, M, Change.STALE),
    ],
)
def test_news_is_judged_by_what_is_known(
    known: State | None, news: State, expected: Change
) -> None:
    assert change(known, news) is expected
