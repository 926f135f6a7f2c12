"""What news does to a state, and what two states are together."""

from __future__ import annotations

import pytest

from dashboard.domain.outcome import Change, Outcome, State, change, outcome

R, H, F, M = State.RECEIVED, State.HANDLED, State.FAILED, State.MISSING


@pytest.mark.parametrize(
    ("control", "version", "expected"),
    [
        (H, H, Outcome.HANDLED),
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
    assert outcome(control, version) is expected


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
