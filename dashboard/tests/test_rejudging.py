"""The past judged again: in chunks, beside live recording, and counted as if from the start."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from dashboard.comparison.folding import FOLDED
from dashboard.comparison.outcome import Outcome
from dashboard.comparison.rules import Treatment
from dashboard.fold import discrepancies
from dashboard.ingest import stored
from dashboard.ingest.recorder import Recorder
from dashboard.ingest.rulebook import as_rule, current_rules, end_rule, stored_rules
from dashboard.ingest.stream import Roster, read_roster
from dashboard.models import Discrepancy, Observation, Rejudging
from dashboard.review.proposals import rejudged_share, request_rejudging
from dashboard.tests.factories import a_launch, an_event
from dashboard.tests.making import (
    NOW,
    a_draft,
    a_pair,
    a_rule,
    record_events,
    recount,
    stand,
    sweep,
)
from kitchen_worker.contract.messages import EventKind
from restaurant.tests.making import all_statements

pytestmark = pytest.mark.django_db


@pytest.fixture
def roster() -> Roster:
    return read_roster(a_launch())


def step(now: datetime = NOW, *, chunk: int = 200) -> UUID | None:
    """Judge the next chunk."""
    return Recorder.take_over().rejudge(now, chunk)


def rejudge(roster: Roster, *, chunk: int = 200) -> Rejudging:
    """Ask for it, and do all of it."""
    request_rejudging(roster.launch, author="ada", now=NOW)
    recorder = Recorder.take_over()
    while recorder.rejudge(NOW, chunk) is not None:
        pass
    return Rejudging.objects.all()[0]


def pair_of(order: UUID) -> Observation:
    return Observation.objects.get(order__order_id=str(order), participant__version="vnext")


def mixed_pairs(roster: Roster) -> None:
    """Pairs that agree, that differ in several ways, that failed, of both dark versions."""
    for number in range(6):
        ours = {"total_price": "7.00", "cook": "Ada", "minutes": 10, "items": ["a", "b"]}
        theirs = {**ours, "minutes": 10 + number % 3}
        if number % 2:
            theirs["cook"] = "Bob"
        if number == 4:
            theirs["items"] = ["b", "a"]
        a_pair(roster, ours, theirs)
        a_pair(roster, ours, {**ours, "cook": f"cook {number}"}, name="vlatest-b")
    order = a_pair(roster, {"cook": "Ada"}, {"cook": "Ada"})
    failed = an_event(roster.launch, order, "vlatest-b", EventKind.FAILED)
    record_events(roster, [failed], NOW)


def expected(roster: Roster) -> dict[str, Any]:
    return recount(roster.launch, current_rules(NOW))


@pytest.mark.parametrize("chunk", [1, 4, 200])
def test_what_is_counted_is_what_a_recount_of_the_answers_gives(roster: Roster, chunk: int) -> None:
    mixed_pairs(roster)
    assert stand(roster.launch) == expected(roster)
    first = a_rule(a_draft("cook"))
    a_rule(a_draft("items", Treatment.UNORDERED, version="vnext"))
    a_rule(a_draft("minutes", Treatment.TOLERANCE, absolute=1))
    done = rejudge(roster, chunk=chunk)
    assert stand(roster.launch) == expected(roster)
    # All but two: minutes that are two apart, and a failure.
    assert (done.judged, done.changed) == (12, 10)
    assert done.finished_at == NOW
    end_rule(first, author="ada", now=NOW)
    done = rejudge(roster, chunk=chunk)
    assert stand(roster.launch) == expected(roster)
    assert done.changed == 9


def test_a_pair_whose_differences_are_all_ignored_agrees_and_a_rule_ended_takes_it_back(
    roster: Roster,
) -> None:
    order = a_pair(roster, {"cook": "Ada"}, {"cook": "Bob"})
    rule = a_rule(a_draft("cook"))
    rejudge(roster)
    pair = pair_of(order)
    assert pair.exception is None
    assert pair.signature is not None
    assert Discrepancy.objects.values_list("count", "ignored").get() == (0, 1)
    end_rule(rule, author="ada", now=NOW)
    rejudge(roster)
    assert pair_of(order).exception == Outcome.DIFFER
    assert Discrepancy.objects.values_list("count", "ignored").get() == (1, 0)


def test_live_pairs_between_two_chunks_are_counted_once(roster: Roster) -> None:
    mixed_pairs(roster)
    a_rule(a_draft("cook"))
    request_rejudging(roster.launch, author="ada", now=NOW)
    while step(chunk=2) is not None:
        a_pair(roster, {"cook": "Ada", "n": 1}, {"cook": "Bob", "n": 2})
    assert stand(roster.launch) == expected(roster)


def test_a_chunk_that_is_cut_off_leaves_nothing_behind_and_is_done_again(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed_pairs(roster)
    a_rule(a_draft("cook"))
    request_rejudging(roster.launch, author="ada", now=NOW)
    step(chunk=3)
    before = stand(roster.launch), Rejudging.objects.values().get()
    with monkeypatch.context() as patched:

        def is_cut_off(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(stored, "save_blocks", is_cut_off)
        with pytest.raises(KeyboardInterrupt):
            step(chunk=3)
    assert (stand(roster.launch), Rejudging.objects.values().get()) == before
    while step(chunk=3) is not None:
        pass
    assert stand(roster.launch) == expected(roster)


def test_folded_discrepancies_and_signatures_are_counted_right(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discrepancies, "MAX_DISCREPANCIES", 2)
    monkeypatch.setattr(discrepancies, "MAX_SIGNATURES", 3)
    for number in range(8):
        a_pair(roster, {f"f{number}": 1, "cook": 1}, {f"f{number}": 2, "cook": 2})
        a_pair(roster, {"cook": 1}, {"cook": 2})
    kept = expected(roster)
    rule = a_rule(a_draft("cook"))
    rejudge(roster)
    assert Discrepancy.objects.get(path="cook").ignored == 16
    assert Observation.objects.filter(exception=Outcome.DIFFER).count() == 8
    end_rule(rule, author="ada", now=NOW)
    rejudge(roster)
    assert Discrepancy.objects.get(path="cook").count == 16
    assert sum(Discrepancy.objects.values_list("count", flat=True)) == 24
    assert stand(roster.launch)["matrices"] == kept["matrices"]
    assert stand(roster.launch)["signatures"].total() == 16


def test_other_launches_are_left_alone(roster: Roster) -> None:
    a_pair(roster, {"cook": 1}, {"cook": 2})
    other = read_roster(a_launch(ended_at=NOW))
    for _ in range(3):
        a_pair(other, {"cook": 1}, {"cook": 2})
    a_pair(roster, {"cook": 1}, {"cook": 2})
    before = stand(other.launch)
    a_rule(a_draft("cook"))
    assert rejudge(roster, chunk=2).changed == 2
    assert stand(other.launch) == before
    assert stand(roster.launch) == expected(roster)


def test_asking_again_gives_the_one_under_way_begun_again_if_the_rules_have_changed(
    roster: Roster,
) -> None:
    for _ in range(4):
        a_pair(roster, {"cook": 1, "n": 1}, {"cook": 2, "n": 2})
    a_rule(a_draft("cook"))
    later = NOW + timedelta(seconds=1)
    first = request_rejudging(roster.launch, author="ada", now=later)
    step(later, chunk=1)
    step(later, chunk=1)
    again = request_rejudging(roster.launch, author="bob", now=later)
    assert (again.pk, again.requested_by) == (first.pk, "ada")
    assert rejudged_share(again) == pytest.approx(0.5)
    rule = a_rule(a_draft("n"))
    rule.created_at = later + timedelta(seconds=1)
    rule.save()
    other = request_rejudging(roster.launch, author="bob", now=later + timedelta(seconds=2))
    assert (other.pk, other.requested_by, rejudged_share(other)) == (first.pk, "bob", 0)
    while step(later, chunk=1) is not None:
        pass
    assert Discrepancy.objects.filter(count__gt=0).count() == 0
    assert rejudged_share(Rejudging.objects.get()) == 1


def test_a_rule_that_is_made_or_ended_meanwhile_has_no_part_in_it(
    roster: Roster,
) -> None:
    for _ in range(4):
        a_pair(roster, {"cook": 1, "n": 1}, {"cook": 2, "n": 2})
    ended = a_rule(a_draft("cook"))
    asked = request_rejudging(roster.launch, author="ada", now=NOW)
    assert asked.rules == [ended.pk]
    step(chunk=1)
    a_rule(a_draft("n"))
    end_rule(ended, author="bob", now=NOW)
    while step(chunk=1) is not None:
        pass
    found = dict(Discrepancy.objects.values_list("path", "ignored"))
    assert found == {"cook": 4, "n": 0}


def test_a_rule_that_has_expired_meanwhile_makes_no_difference(roster: Roster) -> None:
    a_pair(roster, {"cook": 1}, {"cook": 2})
    rule = a_rule(a_draft("cook"))
    rule.expires_at = NOW + timedelta(seconds=1)
    rule.save()
    request_rejudging(roster.launch, author="ada", now=NOW)
    step(NOW + timedelta(hours=1))
    assert Discrepancy.objects.get().ignored == 1


def test_what_is_first_found_by_judging_again_was_seen_when_its_pairs_were(
    roster: Roster,
) -> None:
    rule = a_rule(a_draft("items", Treatment.UNORDERED))
    for items in (["a", "b"], ["a", "c"]):
        a_pair(roster, {"items": ["x", *items]}, {"items": [*items, "y"]})
    times = [NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)]
    pairs = Observation.objects.exclude(judged_at=None).order_by("order")
    for pair, at in zip(pairs, times, strict=True):
        pair.judged_at = at
        pair.save()
    Discrepancy.objects.all().delete()
    Observation.objects.update(signature=None)
    end_rule(rule, author="ada", now=NOW)
    rejudge(roster, chunk=1)
    found = Discrepancy.objects.get(path="items[]")
    assert (found.count, found.first_seen_at, found.last_seen_at) == (2, *times)


def test_what_is_folded_stays_so_and_what_has_its_own_by_now_goes_there(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discrepancies, "MAX_DISCREPANCIES", 2)
    for path in "abcd":
        a_pair(roster, {path: 1}, {path: 2})
    a_rule(a_draft("a"))
    rejudge(roster)
    assert Discrepancy.objects.get(kind="other").count == 2
    a_pair(roster, {"c": 1}, {"c": 2})
    rejudge(roster)
    assert dict(Discrepancy.objects.values_list("path", "count")) == {
        "a": 0, "b": 1, "c": 2, FOLDED.path: 1,
    }  # fmt: skip


def test_data_keys_that_are_ignored_in_the_past_make_room(roster: Roster) -> None:
    for number in range(40):
        a_pair(roster, {}, {f"p{number}": 1})
    a_rule(a_draft("p*"))
    rejudge(roster)
    assert sum(Discrepancy.objects.values_list("count", flat=True)) == 0
    a_pair(roster, {}, {"q": 1})
    assert Discrepancy.objects.get(path="q").count == 1


def test_a_launch_without_pairs_is_done_at_once(roster: Roster) -> None:
    assert rejudge(roster).finished_at == NOW
    assert step() is None


def test_where_the_controls_answer_is_stored_no_more_the_pair_stays_as_it_is(
    roster: Roster,
) -> None:
    order = a_pair(roster, {"cook": 1}, {"cook": 2})
    before, pair = stand(roster.launch), pair_of(order)
    a_rule(a_draft("cook"))
    Observation.objects.filter(participant__version="vlatest").delete()
    assert rejudge(roster).changed == 0
    assert stand(roster.launch) == before
    assert pair_of(order).signature == pair.signature


def test_a_pair_in_which_an_answer_is_missing_is_judged_again_as_such(roster: Roster) -> None:
    a_pair(roster, {"cook": 1}, {"cook": 2})
    sweep(NOW, timedelta(0))
    a_rule(a_draft("cook"))
    assert rejudge(roster).changed == 1
    assert stand(roster.launch) == expected(roster)


def test_a_chunk_costs_as_many_statements_however_many_pairs_it_has(roster: Roster) -> None:
    def statements() -> int:
        rule = a_rule(a_draft("cook"))
        request_rejudging(roster.launch, author="ada", now=NOW)
        recorder = Recorder.take_over()
        with all_statements() as queries:
            recorder.rejudge(NOW, 200)
        end_rule(rule, author="ada", now=NOW)
        rejudge(roster)
        return len(queries)

    a_pair(roster, {"cook": 1}, {"cook": 2})
    few = statements()
    for _ in range(40):
        a_pair(roster, {"cook": 1}, {"cook": 2})
    assert statements() <= few + 1
    assert few < 30


def test_a_stored_rule_that_cannot_be_any_more_is_left_out(roster: Roster) -> None:
    rule = a_rule(a_draft("cook"))
    rule.path = "..cook"
    rule.save()
    a_pair(roster, {"cook": 1}, {"cook": 2})
    assert len(stored_rules(NOW)) == 1
    assert current_rules(NOW) == ()
    with pytest.raises(ValueError, match="path"):
        as_rule(rule)
    assert Discrepancy.objects.get().count == 1
