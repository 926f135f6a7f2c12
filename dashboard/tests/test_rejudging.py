"""The past judged anew: in chunks, beside live recording, and counted as if from the start."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.domain.comparing.folding import FOLDED
from dashboard.domain.comparing.rules import Treatment
from dashboard.domain.outcome import Outcome
from dashboard.models import Comparison, Discrepancy, Observation, Rejudging
from dashboard.observing import grouping, signatures
from dashboard.observing.recording import record_events
from dashboard.observing.rosters import Roster, read_roster
from dashboard.observing.rulebook import as_rule, current_rules, end_rule, stored_rules
from dashboard.reviewing import rejudging
from dashboard.reviewing.rejudging import progress, request, step
from dashboard.tests.factories import a_launch, an_event
from dashboard.tests.making import NOW, a_draft, a_pair, a_rule, recount, stand
from kitchen_worker.contract.messages import EventKind

pytestmark = pytest.mark.django_db


@pytest.fixture
def roster() -> Roster:
    return read_roster(a_launch())


def rejudge(roster: Roster) -> Rejudging:
    """Ask for it, and do all of it."""
    request(roster.launch, author="ada", now=NOW)
    while step(NOW) is not None:
        pass
    return Rejudging.objects.all()[0]


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
def test_what_is_counted_is_what_a_recount_of_the_answers_gives(
    roster: Roster, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejudging, "CHUNK", chunk)
    mixed_pairs(roster)
    assert stand(roster.launch) == expected(roster)
    first = a_rule(a_draft("cook"))
    a_rule(a_draft("items", Treatment.UNORDERED, version="vnext"))
    a_rule(a_draft("minutes", Treatment.TOLERANCE, absolute=1))
    done = rejudge(roster)
    assert stand(roster.launch) == expected(roster)
    # All but two: minutes that are two apart, and a failure.
    assert (done.judged, done.changed) == (12, 10)
    assert done.finished_at == NOW
    end_rule(first, author="ada", now=NOW)
    done = rejudge(roster)
    assert stand(roster.launch) == expected(roster)
    assert done.changed == 9


def test_a_pair_whose_differences_are_all_ignored_agrees_and_a_rule_ended_takes_it_back(
    roster: Roster,
) -> None:
    order = a_pair(roster, {"cook": "Ada"}, {"cook": "Bob"})
    rule = a_rule(a_draft("cook"))
    rejudge(roster)
    pair = Comparison.objects.get(order=order)
    assert pair.outcome == Outcome.AGREE
    assert pair.signature is not None
    assert Discrepancy.objects.values_list("count", "ignored").get() == (0, 1)
    end_rule(rule, author="ada", now=NOW)
    rejudge(roster)
    assert Comparison.objects.get(order=order).outcome == Outcome.DIFFER
    assert Discrepancy.objects.values_list("count", "ignored").get() == (1, 0)


def test_live_pairs_between_two_chunks_are_counted_once(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejudging, "CHUNK", 2)
    mixed_pairs(roster)
    a_rule(a_draft("cook"))
    request(roster.launch, author="ada", now=NOW)
    while step(NOW) is not None:
        a_pair(roster, {"cook": "Ada", "n": 1}, {"cook": "Bob", "n": 2})
    assert stand(roster.launch) == expected(roster)


def test_a_chunk_that_is_cut_off_leaves_nothing_behind_and_is_done_again(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejudging, "CHUNK", 3)
    mixed_pairs(roster)
    a_rule(a_draft("cook"))
    request(roster.launch, author="ada", now=NOW)
    step(NOW)
    before = stand(roster.launch), Rejudging.objects.values().get()
    with monkeypatch.context() as patched:

        def is_cut_off(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(rejudging, "_correct_matrices", is_cut_off)
        with pytest.raises(KeyboardInterrupt):
            step(NOW)
    assert (stand(roster.launch), Rejudging.objects.values().get()) == before
    while step(NOW) is not None:
        pass
    assert stand(roster.launch) == expected(roster)


def test_folded_discrepancies_and_signatures_are_counted_right(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "MAX_DISCREPANCIES", 2)
    monkeypatch.setattr(signatures, "MAX_SIGNATURES", 3)
    for number in range(8):
        a_pair(roster, {f"f{number}": 1, "cook": 1}, {f"f{number}": 2, "cook": 2})
        a_pair(roster, {"cook": 1}, {"cook": 2})
    kept = expected(roster)
    rule = a_rule(a_draft("cook"))
    rejudge(roster)
    assert Discrepancy.objects.get(path="cook").ignored == 16
    assert Comparison.objects.filter(outcome=Outcome.DIFFER).count() == 8
    end_rule(rule, author="ada", now=NOW)
    rejudge(roster)
    assert Discrepancy.objects.get(path="cook").count == 16
    assert sum(Discrepancy.objects.values_list("count", flat=True)) == 24
    assert stand(roster.launch)["matrices"] == kept["matrices"]
    assert stand(roster.launch)["signatures"].total() == 16


def test_other_launches_are_left_alone(roster: Roster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejudging, "CHUNK", 2)
    a_pair(roster, {"cook": 1}, {"cook": 2})
    other = read_roster(a_launch(ended_at=NOW))
    for _ in range(3):
        a_pair(other, {"cook": 1}, {"cook": 2})
    a_pair(roster, {"cook": 1}, {"cook": 2})
    before = stand(other.launch)
    a_rule(a_draft("cook"))
    assert rejudge(roster).changed == 2
    assert stand(other.launch) == before
    assert stand(roster.launch) == expected(roster)


def test_asking_again_gives_the_one_under_way_begun_anew_if_the_rules_have_changed(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejudging, "CHUNK", 1)
    for _ in range(4):
        a_pair(roster, {"cook": 1, "n": 1}, {"cook": 2, "n": 2})
    a_rule(a_draft("cook"))
    later = NOW + timedelta(seconds=1)
    first = request(roster.launch, author="ada", now=later)
    step(later)
    step(later)
    again = request(roster.launch, author="bob", now=later)
    assert (again.pk, again.requested_by) == (first.pk, "ada")
    assert progress(again) == pytest.approx(0.5)
    rule = a_rule(a_draft("n"))
    rule.created_at = later + timedelta(seconds=1)
    rule.save()
    anew = request(roster.launch, author="bob", now=later + timedelta(seconds=2))
    assert (anew.pk, anew.requested_by, progress(anew)) == (first.pk, "bob", 0)
    while step(later) is not None:
        pass
    assert Discrepancy.objects.filter(count__gt=0).count() == 0
    assert progress(Rejudging.objects.get()) == 1


def test_a_rule_that_is_made_or_ended_meanwhile_has_no_part_in_it(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejudging, "CHUNK", 1)
    for _ in range(4):
        a_pair(roster, {"cook": 1, "n": 1}, {"cook": 2, "n": 2})
    ended = a_rule(a_draft("cook"))
    asked = request(roster.launch, author="ada", now=NOW)
    assert asked.rules == [ended.pk]
    step(NOW)
    a_rule(a_draft("n"))
    end_rule(ended, author="bob", now=NOW)
    while step(NOW) is not None:
        pass
    found = dict(Discrepancy.objects.values_list("path", "ignored"))
    assert found == {"cook": 4, "n": 0}


def test_a_rule_that_has_expired_meanwhile_makes_no_difference(roster: Roster) -> None:
    a_pair(roster, {"cook": 1}, {"cook": 2})
    rule = a_rule(a_draft("cook"))
    rule.expires_at = NOW + timedelta(seconds=1)
    rule.save()
    request(roster.launch, author="ada", now=NOW)
    step(NOW + timedelta(hours=1))
    assert Discrepancy.objects.get().ignored == 1


def test_what_is_first_found_by_judging_anew_was_seen_when_its_pairs_were(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejudging, "CHUNK", 1)
    rule = a_rule(a_draft("items", Treatment.UNORDERED))
    for items in (["a", "b"], ["a", "c"]):
        a_pair(roster, {"items": ["x", *items]}, {"items": [*items, "y"]})
    times = [NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)]
    for pair, at in zip(Comparison.objects.order_by("-pk"), times[::-1], strict=True):
        pair.compared_at = at
        pair.save()
    Discrepancy.objects.all().delete()
    Comparison.objects.update(signature=None)
    end_rule(rule, author="ada", now=NOW)
    rejudge(roster)
    found = Discrepancy.objects.get(path="items[]")
    assert (found.count, found.first_seen_at, found.last_seen_at) == (2, *times)


def test_what_is_folded_stays_so_and_what_has_its_own_by_now_goes_there(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "MAX_DISCREPANCIES", 2)
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
    assert step(NOW) is None


def test_answers_that_are_stored_no_more_leave_their_pair_as_it_is(roster: Roster) -> None:
    order = a_pair(roster, {"cook": 1}, {"cook": 2})
    before = stand(roster.launch)
    from_store = Comparison.objects.get(order=order)
    a_rule(a_draft("cook"))
    Observation.objects.filter(order=order, version="vnext").delete()
    assert rejudge(roster).changed == 0
    assert stand(roster.launch) == before
    assert Comparison.objects.get(order=order).signature == from_store.signature


def test_a_chunk_costs_as_many_statements_however_many_pairs_it_has(roster: Roster) -> None:
    def statements() -> int:
        rule = a_rule(a_draft("cook"))
        request(roster.launch, author="ada", now=NOW)
        with CaptureQueriesContext(connection) as queries:
            step(NOW)
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
