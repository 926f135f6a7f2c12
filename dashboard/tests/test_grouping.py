"""What pairs show is counted: discrepancies, examples and signatures, in a real database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from dashboard.comparison.folding import FOLDED, MAX_SIBLINGS
from dashboard.comparison.outcome import Decision
from dashboard.fold import discrepancies
from dashboard.fold.records import Members
from dashboard.ingest.stored import members_in
from dashboard.ingest.stream import Roster, read_roster
from dashboard.models import Discrepancy, Observation, Participant, Review, Rule, Signature
from dashboard.tests.factories import START, a_launch, an_event, observed
from dashboard.tests.making import record_events, sweep
from kitchen_worker.contract.messages import EventKind, Failure
from restaurant.models import Launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

NOW = START + timedelta(seconds=1)


@pytest.fixture
def launch() -> Launch:
    return a_launch()


@pytest.fixture
def roster(launch: Launch) -> Roster:
    return read_roster(launch)


def record_pair(
    roster: Roster,
    control: dict[str, Any],
    version: dict[str, Any],
    *,
    name: str = "vnext",
    **fields: Any,
) -> UUID:
    """Have the control and another version handle an order with these results."""
    order = uuid4()
    events = [
        an_event(roster.launch, order, "vlatest", result=control, **fields),
        an_event(roster.launch, order, name, result=version, **fields),
    ]
    record_events(roster, events, NOW)
    return order


def counts(version: str = "vnext") -> dict[tuple[str, str], tuple[int, int]]:
    """Count and ignored count by kind and path."""
    return {
        (one.kind, one.path): (one.count, one.ignored)
        for one in Discrepancy.objects.filter(version=version)
    }


def matrix(version: str = "vnext") -> dict[str, int]:
    found: dict[str, int] = Participant.objects.get(version=version).matrix
    return found


def pair_of(order: UUID) -> Observation:
    return Observation.objects.get(order__order_id=str(order), participant__version="vnext")


def examples_of(found: Discrepancy) -> list[str]:
    return [order_id for _, order_id in found.examples]


def test_like_differences_of_many_pairs_are_one_discrepancy(roster: Roster) -> None:
    for cents in range(5):
        record_pair(roster, {"total": f"7.0{cents}"}, {"total": "6.99"})
    assert counts() == {("value", "total"): (5, 0)}
    assert matrix() == {"differ": 5}


def test_members_of_a_list_share_their_discrepancy_and_a_pair_counts_once(roster: Roster) -> None:
    record_pair(
        roster,
        {"lines": [{"minutes": 1}, {"minutes": 2}]},
        {"lines": [{"minutes": 3}, {"minutes": 4}]},
    )
    assert counts() == {("value", "lines[].minutes"): (1, 0)}


def test_results_that_agree_show_nothing(roster: Roster) -> None:
    order = record_pair(roster, {"total": 1}, {"total": 1.0})
    assert counts() == {}
    pair = pair_of(order)
    assert (pair.judged_at, pair.exception, pair.signature) == (NOW, None, None)
    assert matrix() == {"agree": 1}


def test_the_second_half_of_a_pair_is_compared_with_the_stored_first(roster: Roster) -> None:
    order = uuid4()
    for version, total in (("vlatest", "7.00"), ("vnext", "6.99")):
        event = an_event(roster.launch, order, version, result={"total": total})
        record_events(roster, [event], NOW)
    assert counts() == {("value", "total"): (1, 0)}
    found = Discrepancy.objects.get()
    assert (found.control_value, found.version_value) == ('"7.00"', '"6.99"')


def test_failures_are_grouped_by_their_type_and_their_like_messages(roster: Roster) -> None:
    for number in (21, 22):
        order = uuid4()
        failure = Failure(type="TooMany", message=f"{number} of 'burger'")
        events = [
            an_event(roster.launch, order, "vlatest"),
            an_event(roster.launch, order, "vnext", EventKind.FAILED, error=failure),
        ]
        record_events(roster, events, NOW)
    ((kind, _),) = counts()
    assert kind == "failed"
    assert Discrepancy.objects.get().count == 2
    assert matrix() == {"handled/failed": 2}


def test_the_baseline_pairs_with_the_control_the_same_way(roster: Roster) -> None:
    record_pair(roster, {"cook": "Ada"}, {"cook": "Grace"}, name="vlatest-b")
    assert counts("vlatest-b") == {("value", "cook"): (1, 0)}
    assert counts("vnext") == {}


def test_a_late_answer_moves_the_pair_in_the_matrix_and_shows_its_differences(
    roster: Roster,
) -> None:
    order = uuid4()
    observed(roster.launch, str(order))
    record_events(roster, [an_event(roster.launch, order, "vlatest", result={"total": 1})], NOW)
    sweep(NOW, timedelta(0))
    assert matrix() == {"handled/missing": 1}
    record_events(roster, [an_event(roster.launch, order, "vnext", result={"total": 2})], NOW)
    assert matrix() == {"differ": 1}
    assert counts() == {("value", "total"): (1, 0)}


def test_what_a_rule_ignores_stays_countable_and_the_pair_agrees(roster: Roster) -> None:
    Rule.objects.create(
        path="cook", treatment="ignore", reason="chance", author="ada", created_at=START
    )
    order = record_pair(roster, {"cook": "Ada", "n": 1}, {"cook": "Grace", "n": 1})
    assert counts() == {("value", "cook"): (0, 1)}
    assert (pair_of(order).judged_at, pair_of(order).exception) == (NOW, None)
    signature = Signature.objects.get()
    assert (signature.counted, signature.ignored) == ([], [Discrepancy.objects.get().pk])


@pytest.mark.parametrize("fields", [{"ended_at": START}, {"expires_at": START}])
def test_a_rule_that_is_over_ignores_nothing(roster: Roster, fields: dict[str, Any]) -> None:
    Rule.objects.create(
        path="cook", treatment="ignore", reason="", author="ada", created_at=START, **fields
    )
    record_pair(roster, {"cook": "Ada"}, {"cook": "Grace"})
    assert counts() == {("value", "cook"): (1, 0)}


def test_signatures_count_the_pairs_that_show_just_these_discrepancies(roster: Roster) -> None:
    for _ in range(3):
        record_pair(roster, {"a": 1, "b": 1}, {"a": 2, "b": 1})
    record_pair(roster, {"a": 1, "b": 1}, {"a": 2, "b": 2})
    ids = {one.path: one.pk for one in Discrepancy.objects.all()}
    found = {tuple(one.counted): one.pairs for one in Signature.objects.all()}
    assert found == {(ids["a"],): 3, tuple(sorted(ids.values())): 1}


def test_beyond_the_bound_new_kinds_of_difference_fold_into_one(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discrepancies, "MAX_DISCREPANCIES", 3)
    for number in range(6):
        record_pair(roster, {f"f{number}": 1, f"g{number}": 1}, {f"f{number}": 2, f"g{number}": 2})
    assert len(counts()) == 4
    assert counts()["other", FOLDED.path] == (5, 0)


def test_beyond_the_bound_pairs_keep_what_they_show_beside_the_folded_signature(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discrepancies, "MAX_SIGNATURES", 1)
    record_pair(roster, {"a": 1}, {"a": 2})
    order = record_pair(roster, {"b": 1}, {"b": 2})
    pair = pair_of(order)
    folded = Signature.objects.get(folded=True)
    assert (pair.signature, folded.pairs) == (folded.pk, 1)
    b = Discrepancy.objects.get(path="b")
    assert members_in(pair.members) == Members(frozenset({b.pk}))


def test_a_thousand_paths_in_one_batch_cost_a_bounded_number_of_rows(roster: Roster) -> None:
    order = uuid4()
    wide = {f"field_{number}": number for number in range(1000)}
    narrow = dict.fromkeys(wide, "x")
    events = [
        an_event(roster.launch, order, "vlatest", result=wide),
        an_event(roster.launch, order, "vnext", result=narrow),
    ]
    record_events(roster, events, NOW)
    # The first siblings, one for the others, and one for what is not told apart.
    assert Discrepancy.objects.count() == MAX_SIBLINGS + 2
    assert Signature.objects.get().pairs == 1


def test_documents_that_are_keyed_by_data_do_not_hide_what_comes_after_them(
    roster: Roster,
) -> None:
    wide = {f"p{number}": number for number in range(3000)}
    for start in range(0, 3000, 500):
        some = {key: wide[key] for key in list(wide)[start:]}
        record_pair(roster, {"total_price": 1}, {"total_price": 1, **some})
        ours, theirs = ({key: {"price": price} for key in some} for price in (1, 2))
        record_pair(roster, {"by_id": ours}, {"by_id": theirs})
    assert counts()["extra", "*"] == (6, 0)
    assert counts()["value", "by_id.*.price"] == (6, 0)
    record_pair(roster, {"total_price": 1}, {"total_price": 2})
    assert counts()["value", "total_price"] == (1, 0)
    assert ("other", FOLDED.path) not in counts()


def test_a_folded_discrepancy_counts_a_pair_once_and_shows_what_belongs_to_it(
    roster: Roster,
) -> None:
    Rule.objects.create(
        path="meta.*1", treatment="ignore", reason="known", author="ada", created_at=START
    )
    keys = [f"k{number:02}" for number in range(50)]
    order = record_pair(roster, {"meta": {}, "a": 1}, {"meta": dict.fromkeys(keys, 7), "a": 2})
    folded = Discrepancy.objects.get(path="meta.*")
    assert (folded.kind, folded.count, folded.ignored) == ("extra", 1, 0)
    assert (folded.control_value, folded.version_value) == ("", "7")
    assert examples_of(folded) == [str(order)]
    record_pair(roster, {"meta": {}}, {"meta": {"kz1": 1}})
    # A rule for a key is asked about this key. It is one of few that are ignored.
    assert counts()["extra", "meta.kz1"] == (0, 1)
    Rule.objects.update(path="meta.k*")
    record_pair(roster, {"meta": {}}, {"meta": dict.fromkeys([f"n{n}" for n in range(30)], 7)})
    record_pair(roster, {"meta": {}}, {"meta": dict.fromkeys([f"k{n}x" for n in range(30)], 7)})
    assert counts()["extra", "meta.*"] == (2, 1)


def test_what_is_emptied_and_undecided_holds_no_room(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discrepancies, "MAX_DISCREPANCIES", 3)
    record_pair(roster, {"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 2})
    Discrepancy.objects.filter(path__in="ab").update(count=0, ignored=5)
    Discrepancy.objects.filter(path="a").update(state=Decision.BUG, revision=1)
    record_pair(roster, {"d": 1}, {"d": 2})
    record_pair(roster, {"e": 1}, {"e": 2})
    assert counts()["value", "d"] == (1, 0)
    assert counts()["other", FOLDED.path] == (1, 0)


def test_examples_are_those_with_the_smallest_hashes_and_not_the_first_ones(
    roster: Roster,
) -> None:
    orders = [record_pair(roster, {"a": 1}, {"a": 2}) for _ in range(3 * discrepancies.EXAMPLES)]
    found = Discrepancy.objects.get()
    kept = examples_of(found)
    assert len(kept) == discrepancies.EXAMPLES
    assert found.examples == sorted(found.examples)
    assert set(kept) < set(map(str, orders))
    assert set(kept) != set(map(str, orders[: discrepancies.EXAMPLES]))


def test_the_values_that_are_shown_are_those_of_the_first_example(roster: Roster) -> None:
    of = {
        str(record_pair(roster, {"a": f"ours {number}"}, {"a": f"theirs {number}"})): number
        for number in range(20)
    }
    found = Discrepancy.objects.get()
    number = of[examples_of(found)[0]]
    assert found.control_value == f'"ours {number}"'
    assert found.version_value == f'"theirs {number}"'


def test_what_was_fixed_and_is_seen_again_opens_by_itself(roster: Roster) -> None:
    record_pair(roster, {"a": 1}, {"a": 2})
    Discrepancy.objects.update(state=Decision.FIXED, revision=2, decided_at=START)
    record_pair(roster, {"a": 1}, {"a": 2}, placed_at=START - timedelta(seconds=1))
    assert Discrepancy.objects.get().state == Decision.FIXED
    record_pair(roster, {"a": 1}, {"a": 2}, placed_at=START + timedelta(seconds=1))
    found = Discrepancy.objects.get()
    assert (found.state, found.revision, found.count) == (Decision.OPEN, 3, 3)
    review = Review.objects.get()
    assert (review.decision, review.revision, review.author) == (Decision.OPEN, 3, "")


def test_a_bug_of_an_earlier_launch_is_born_as_a_bug(launch: Launch, roster: Roster) -> None:
    record_pair(roster, {"a": 1, "b": 1}, {"a": 2, "b": 2})
    Discrepancy.objects.filter(path="a").update(state=Decision.BUG, revision=1)
    Launch.objects.filter(pk=launch.pk).update(ended_at=NOW)
    later = read_roster(a_launch(name="December"))
    record_pair(later, {"a": 1, "b": 1}, {"a": 2, "b": 2})
    states = dict(Discrepancy.objects.filter(launch=later.launch).values_list("path", "state"))
    assert states == {"a": Decision.BUG, "b": Decision.OPEN}
    assert Review.objects.get().note.startswith("A bug of an earlier launch")


def test_a_bug_that_a_later_launch_has_decided_otherwise_is_not_carried_on(
    launch: Launch, roster: Roster
) -> None:
    for state in (Decision.BUG, Decision.BY_DESIGN):
        record_pair(roster, {"a": 1}, {"a": 2})
        Discrepancy.objects.filter(launch=roster.launch).update(state=state, revision=2)
        Launch.objects.update(ended_at=NOW)
        roster = read_roster(a_launch(name=f"after {state}"))
    record_pair(roster, {"a": 1}, {"a": 2})
    assert Discrepancy.objects.get(launch=roster.launch).state == Decision.OPEN


def test_a_decision_is_not_undone_by_pairs_that_come_later(roster: Roster) -> None:
    record_pair(roster, {"a": 1}, {"a": 2})
    Discrepancy.objects.update(state=Decision.NOISE, revision=1, decided_at=NOW)
    record_pair(roster, {"a": 1}, {"a": 2})
    found = Discrepancy.objects.get()
    assert (found.state, found.revision, found.count) == (Decision.NOISE, 1, 2)


@pytest.mark.parametrize(
    ("control", "version"),
    [
        ({"a\x00b": 1}, {"a\x00b": 2}),
        ({"a": "x\x00"}, {"a": "y\x00"}),
        ({"é" * 400: 1}, {"é" * 400: 2}),
        ({"": {"": 1}}, {"": {"": 2}}),
        ({"n": 10**400}, {"n": 1}),
    ],
)
def test_odd_paths_and_values_are_kept(
    roster: Roster, control: dict[str, Any], version: dict[str, Any]
) -> None:
    record_pair(roster, control, version)
    assert Discrepancy.objects.get().count == 1
