"""Decisions on discrepancies: all or none of them, on what was seen, kept for good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.db.models.deletion import ProtectedError

from dashboard.comparison.folding import FOLDED
from dashboard.comparison.outcome import Decision, Outcome
from dashboard.ingest.stream import read_roster
from dashboard.models import Discrepancy, Replay, ReplayState, Review
from dashboard.models.review import AppendOnlyError
from dashboard.review.reviews import (
    AT_ONCE,
    MAX_NOTE,
    ReviewConflict,
    ReviewRefused,
    SeenRevision,
    review,
)
from dashboard.tests.factories import START, a_launch
from dashboard.tests.making import a_discrepancy, a_pair, a_replay, states_of

pytestmark = pytest.mark.django_db

LAUNCH = UUID(int=1)


def seen(*discrepancies: Discrepancy) -> list[SeenRevision]:
    return [SeenRevision(one.pk, one.revision) for one in discrepancies]


def test_a_decision_is_written_with_who_when_why_and_what_it_made() -> None:
    row = a_discrepancy(LAUNCH)
    (decided,) = review(seen(row), Decision.BUG, note="  a cent\r\noff ", author="ada")
    row.refresh_from_db()
    assert (row.state, row.revision) == (Decision.BUG, 1)
    assert (decided.state, decided.revision) == (Decision.BUG, 1)
    (kept,) = row.reviews.all()
    assert (kept.decision, kept.note, kept.author) == (Decision.BUG, "a cent\noff", "ada")
    assert (kept.revision, kept.decided_at, kept.replay) == (1, row.decided_at, None)


def test_a_decision_can_be_taken_back_and_the_history_stays() -> None:
    row = a_discrepancy(LAUNCH)
    for decision in (Decision.NOISE, Decision.OPEN, Decision.BY_DESIGN):
        (row,) = review(seen(row), decision, note="", author="ada")
    assert states_of(row) == [Decision.BY_DESIGN]
    assert [one.decision for one in row.reviews.all()] == ["by_design", "open", "noise"]


def test_the_same_decision_again_changes_nothing_but_adds_a_note() -> None:
    row = a_discrepancy(LAUNCH)
    (row,) = review(seen(row), Decision.BUG, note="", author="ada")
    (row,) = review(seen(row), Decision.BUG, note=" ", author="bob")
    assert (row.revision, Review.objects.count()) == (1, 1)
    (row,) = review(seen(row), Decision.BUG, note="see the ticket", author="bob")
    assert (row.revision, Review.objects.count()) == (2, 2)


def test_what_was_decided_on_since_is_not_overwritten() -> None:
    row = a_discrepancy(LAUNCH)
    mine = seen(row)
    review(seen(row), Decision.BY_DESIGN, note="meant so", author="bob")
    with pytest.raises(ReviewConflict) as conflict:
        review(mine, Decision.BUG, note="", author="ada")
    (newer,) = conflict.value.changed
    assert (newer.state, newer.revision) == (Decision.BY_DESIGN, 1)
    assert Review.objects.get().author == "bob"


@pytest.mark.parametrize(
    ("kind", "path"), [("other", FOLDED.path), ("many", "$"), ("value", "*"), ("extra", "*.*")]
)
def test_what_stands_for_whatever_else_differs_cannot_be_accepted(kind: str, path: str) -> None:
    row, other = a_discrepancy(LAUNCH, path, kind=kind), a_discrepancy(LAUNCH)
    for decision in (Decision.BY_DESIGN, Decision.NOISE):
        with pytest.raises(ReviewRefused, match="look at its examples, and make a rule"):
            review(seen(other, row), decision, note="", author="ada")
    assert states_of(row, other) == [Decision.OPEN, Decision.OPEN]
    review(seen(row), Decision.BUG, note="", author="ada")
    assert states_of(row) == [Decision.BUG]


def test_what_stands_for_the_keys_of_one_object_can_be_accepted() -> None:
    row = a_discrepancy(LAUNCH, "meta.*", kind="extra")
    review(seen(row), Decision.BY_DESIGN, note="", author="ada")
    assert states_of(row) == [Decision.BY_DESIGN]


def test_of_many_all_are_decided_or_none() -> None:
    rows = [a_discrepancy(LAUNCH, f"field_{number}") for number in range(5)]
    mine = seen(*rows)
    review(seen(rows[3]), Decision.NOISE, note="", author="bob")
    with pytest.raises(ReviewConflict) as conflict:
        review(mine, Decision.BUG, note="", author="ada")
    assert conflict.value.changed == [rows[3]]
    assert states_of(*rows) == ["open", "open", "open", "noise", "open"]
    decided = review(seen(*rows[:3]), Decision.BUG, note="all of them", author="ada")
    assert states_of(*rows) == ["bug", "bug", "bug", "noise", "open"]
    assert decided == rows[:3]
    assert Review.objects.filter(note="all of them").count() == 3


@pytest.mark.parametrize(
    ("note", "said"), [("x" * (MAX_NOTE + 1), "at most 4,000"), ("a\0b", "NUL")]
)
def test_a_note_that_cannot_be_kept_is_refused(note: str, said: str) -> None:
    row = a_discrepancy(LAUNCH)
    with pytest.raises(ReviewRefused, match=said):
        review(seen(row), Decision.BUG, note=note, author="ada")
    assert not Review.objects.exists()


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ([], "at least one"),
        ([SeenRevision(1, 0), SeenRevision(1, 2)], "two revisions"),
        ([SeenRevision(2**62, 0)], "there is no discrepancy"),
        ([SeenRevision(pk, 0) for pk in range(AT_ONCE + 1)], "at most 500"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(choice: list[SeenRevision], said: str) -> None:
    with pytest.raises(ReviewRefused, match=said):
        review(choice, Decision.BUG, note="", author="ada")


def test_what_was_seen_is_read_from_a_form() -> None:
    assert SeenRevision.read("12:3") == SeenRevision(12, 3)
    assert str(SeenRevision(12, 3)) == "12:3"


@pytest.mark.parametrize("text", ["", "12", "12:", ":3", "a:b", "-1:2", "1:2:3", "²:1", "9" * 30])
def test_what_no_form_sends_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        SeenRevision.read(text)


@pytest.mark.parametrize("text", [f"{2**63}:1", f"1:{2**31}"])
def test_numbers_that_no_database_takes_are_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="no discrepancy"):
        SeenRevision.read(text)


def test_reviews_are_neither_changed_nor_deleted() -> None:
    row = a_discrepancy(LAUNCH)
    review(seen(row), Decision.BUG, note="mine", author="ada")
    kept = Review.objects.get()
    kept.note = "yours"
    for act in (
        kept.save,
        kept.delete,
        lambda: Review.objects.update(note="yours"),
        lambda: Review.objects.all().delete(),
        lambda: row.reviews.all().delete(),
    ):
        with pytest.raises(AppendOnlyError):
            act()
    with pytest.raises(ProtectedError):
        row.delete()
    assert Review.objects.get().note == "mine"


def test_a_replay_in_which_every_order_agrees_closes_the_bug_everywhere() -> None:
    earlier = a_discrepancy(UUID(int=7), state=Decision.BUG, revision=4)
    other = a_discrepancy(UUID(int=7), "items[].minutes", state=Decision.BUG)
    design = a_discrepancy(UUID(int=8), state=Decision.BY_DESIGN)
    row = a_discrepancy(LAUNCH, state=Decision.BUG)
    replay = a_replay(row)
    review(seen(row), Decision.FIXED, note="", author="ada", replay=replay)
    assert states_of(row, earlier, other, design) == ["fixed", "fixed", "bug", "by_design"]
    assert {one.replay for one in Review.objects.all()} == {replay}
    assert earlier.reviews.get().revision == 5


def _still_shows(replay: Replay) -> None:
    replay.replayed_orders.filter(pk=_first(replay)).update(shows=True, outcome=Outcome.DIFFER)


def _fails(replay: Replay) -> None:
    replay.replayed_orders.filter(pk=_first(replay)).update(
        state=ReplayState.FAILED, outcome=Outcome.CANDIDATE_FAILED
    )


def _is_silent(replay: Replay) -> None:
    replay.replayed_orders.filter(pk=_first(replay)).update(state=ReplayState.MISSING, shows=None)


def _is_empty(replay: Replay) -> None:
    replay.replayed_orders.all().delete()


def _is_not_finished(replay: Replay) -> None:
    Replay.objects.filter(pk=replay.pk).update(finished_at=None)


def _is_of_another(replay: Replay) -> None:
    Replay.objects.filter(pk=replay.pk).update(discrepancy=a_discrepancy(LAUNCH, "note"))


def _is_seen_again(replay: Replay) -> None:
    Discrepancy.objects.filter(pk=replay.discrepancy_id).update(
        last_seen_at=replay.requested_at + timedelta(seconds=1), last_build="git:mended"
    )


def _first(replay: Replay) -> int:
    return replay.replayed_orders.order_by("pk").values_list("pk", flat=True)[0]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_still_shows, "1 of 3 orders still show it"),
        (_fails, "1 of 3 orders failed, where the control handled them"),
        (_is_silent, "1 of 3 orders were not answered"),
        (_is_empty, "no order was answered"),
        (_is_not_finished, "not finished"),
        (_is_of_another, "of another discrepancy"),
        (_is_seen_again, "a live order showed it in the same build"),
    ],
)
def test_nothing_is_closed_as_fixed_without_proof(
    spoil: Callable[[Replay], None], said: str
) -> None:
    row = a_discrepancy(LAUNCH, state=Decision.BUG)
    replay = a_replay(row)
    spoil(replay)
    with pytest.raises(ReviewRefused, match=said):
        review(seen(row), Decision.FIXED, note="", author="ada", replay=replay)
    assert states_of(row) == [Decision.BUG]


def test_nothing_is_closed_as_fixed_without_a_replay_nor_many_by_one() -> None:
    rows = [a_discrepancy(LAUNCH), a_discrepancy(LAUNCH, "note")]
    with pytest.raises(ReviewRefused, match="by its replay"):
        review(seen(rows[0]), Decision.FIXED, note="", author="ada")
    with pytest.raises(ReviewRefused, match="one discrepancy at a time"):
        review(seen(*rows), Decision.FIXED, note="", author="ada", replay=a_replay(rows[0]))


def test_what_is_reopened_needs_a_new_replay() -> None:
    row = a_discrepancy(LAUNCH, state=Decision.BUG)
    replay = a_replay(row)
    (row,) = review(seen(row), Decision.FIXED, note="", author="ada", replay=replay)
    (row,) = review(seen(row), Decision.OPEN, note="", author="bob")
    with pytest.raises(ReviewRefused, match="reopened after"):
        review(seen(row), Decision.FIXED, note="", author="ada", replay=replay)


def test_a_replay_with_a_live_order_of_the_old_build_behind_it_is_still_proof() -> None:
    row = a_discrepancy(LAUNCH, last_seen_at=START + timedelta(hours=3))
    review(seen(row), Decision.FIXED, note="", author="ada", replay=a_replay(row))
    assert states_of(row) == [Decision.FIXED]


@pytest.mark.django_db(transaction=True)
def test_of_two_reviewers_at_the_same_time_one_is_told_of_the_other() -> None:
    rows = [a_discrepancy(uuid4(), f"field_{number}") for number in range(8)]
    mine = seen(*rows)
    barrier = threading.Barrier(2)
    conflicts: list[ReviewConflict] = []

    def decide(author: str, decision: Decision, choice: list[SeenRevision]) -> None:
        try:
            barrier.wait(10)
            review(choice, decision, note=f"by {author}", author=author)
        except ReviewConflict as conflict:
            conflicts.append(conflict)
        finally:
            connections.close_all()

    reviewers = [
        threading.Thread(target=decide, args=("ada", Decision.BUG, mine)),
        threading.Thread(target=decide, args=("bob", Decision.NOISE, mine[::-1])),
    ]
    for reviewer in reviewers:
        reviewer.start()
    for reviewer in reviewers:
        reviewer.join(30)
    (conflict,) = conflicts
    (author,) = set(Review.objects.values_list("author", flat=True))
    decision = Decision.BUG if author == "ada" else Decision.NOISE
    assert states_of(*rows) == [decision] * 8
    assert Review.objects.count() == 8
    assert {(one.state, one.revision) for one in conflict.changed} == {(decision, 1)}


@pytest.mark.django_db(transaction=True)
def test_a_reviewer_and_the_observer_at_the_same_time_both_get_through() -> None:
    roster = read_roster(a_launch())
    names = [f"field_{number}" for number in range(12)]

    def observe() -> None:
        a_pair(roster, dict.fromkeys(names, 1), dict.fromkeys(names, 2))

    observe()
    failures: list[Exception] = []

    def keep_on(act: Callable[[], object]) -> None:
        try:
            for _ in range(15):
                act()
        except Exception as failure:  # noqa: BLE001 - raised again below
            failures.append(failure)
        finally:
            connections.close_all()

    def decide() -> None:
        rows = list(Discrepancy.objects.order_by("-count", "path"))
        decision = Decision.BUG if rows[0].state == Decision.OPEN else Decision.OPEN
        review(seen(*rows), decision, note="", author="ada")

    threads = [threading.Thread(target=keep_on, args=(act,)) for act in (observe, decide)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    rows = Discrepancy.objects.values_list("count", "revision", "state")
    assert set(rows) == {(16, 15, Decision.BUG)}
