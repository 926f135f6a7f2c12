"""The discrepancies of a launch by weight, beside their noise, and what counts in the end."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from dashboard.comparison.outcome import Decision
from dashboard.fold import discrepancies as counting
from dashboard.ingest.stream import Roster, read_roster
from dashboard.models import Discrepancy, ObservedOrder, Participant
from dashboard.review import listing
from dashboard.review.listing import listed, open_count, orders_of, pairs_against, row_of
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.factories import START, a_launch
from dashboard.tests.making import NOW, a_discrepancy, a_draft, a_pair, a_rule
from restaurant.models import DarkVersion, Launch
from restaurant.tests.making import all_statements

pytestmark = pytest.mark.django_db


@pytest.fixture
def launch() -> Launch:
    return a_launch()


@pytest.fixture
def roster(launch: Launch) -> Roster:
    return read_roster(launch)


def paths(launch: Launch, version: str = "", **asked: object) -> list[str]:
    return [row.discrepancy.path for row in listed(launch.pk, version, **asked)]  # type: ignore[arg-type]


def tally(launch: Launch, version: str, pairs: int) -> None:
    Participant.objects.create(launch=launch.pk, version=version, role="candidate", pairs=pairs)


def test_a_rate_stands_beside_the_rate_of_the_same_in_the_baseline(launch: Launch) -> None:
    tally(launch, "vnext", 40)
    tally(launch, "vlatest-b", 20)
    a_discrepancy(launch.pk)
    a_discrepancy(launch.pk, version="vlatest-b", count=5)
    a_discrepancy(launch.pk, version="vlatest-b", kind="type", count=7)
    (row,) = listed(launch.pk)
    assert (row.pairs, row.rate, row.noise_count, row.noise_pairs) == (40, 0.25, 5, 20)
    assert (row.noise_rate, row.counts_against) == (0.25, True)


def test_several_baselines_are_taken_together(launch: Launch) -> None:
    DarkVersion.objects.create(launch=launch, version="vlatest-c", role="baseline", percent=1)
    for version, pairs in (("vlatest-b", 20), ("vlatest-c", 30)):
        tally(launch, version, pairs)
        a_discrepancy(launch.pk, version=version, count=5)
    (row,) = [a_discrepancy(launch.pk)]
    assert (row_of(row).noise_count, row_of(row).noise_pairs) == (10, 50)


def test_where_nothing_was_paired_there_is_no_rate(launch: Launch) -> None:
    row = row_of(a_discrepancy(launch.pk))
    assert (row.rate, row.noise_rate, row.noise_count) == (None, None, 0)


def test_what_counts_against_the_version_comes_first_then_the_most_frequent(
    launch: Launch,
) -> None:
    a_discrepancy(launch.pk, "few", count=2)
    a_discrepancy(launch.pk, "accepted", count=90, state=Decision.BY_DESIGN)
    a_discrepancy(launch.pk, "ignored", count=0, ignored=70)
    a_discrepancy(launch.pk, "many", count=50, state=Decision.BUG)
    a_discrepancy(launch.pk, "emptied", count=0)
    assert paths(launch) == ["many", "few", "accepted", "ignored"]
    assert paths(launch, at_most=2) == ["many", "few"]


def test_a_list_is_of_all_candidates_or_of_one_version(launch: Launch) -> None:
    DarkVersion.objects.create(launch=launch, version="vother", role="candidate", percent=1)
    for version in ("vnext", "vother", "vlatest-b"):
        a_discrepancy(launch.pk, version, version=version)
    a_discrepancy(uuid4(), "of another launch")
    assert sorted(paths(launch)) == ["vnext", "vother"]
    assert paths(launch, "vother") == ["vother"]
    (noise,) = listed(launch.pk, "vlatest-b")
    assert not noise.counts_against
    assert paths(launch, "nobody") == []


def test_a_list_is_narrowed_by_state_kind_and_text(launch: Launch) -> None:
    a_discrepancy(launch.pk, "items[].Minutes", state=Decision.BUG)
    a_discrepancy(launch.pk, "total", kind="type")
    a_discrepancy(launch.pk, "100%", kind="type")
    assert paths(launch, states=[Decision.BUG]) == ["items[].Minutes"]
    assert paths(launch, kind="type", text="TOT") == ["total"]
    assert paths(launch, text="mINutes") == ["items[].Minutes"]
    assert paths(launch, text="%") == ["100%"]
    assert paths(launch, states=[Decision.NOISE, Decision.FIXED]) == []


def test_bugs_of_earlier_launches_that_were_not_seen_yet_are_listed_too(launch: Launch) -> None:
    for days in (3, 2, 1):
        earlier = Launch.objects.create(
            name=f"{days}", started_at=START - timedelta(days=days), ended_at=START
        )
        for path in ("unseen", "seen"):
            a_discrepancy(earlier.pk, path, state=Decision.BUG, count=100)
        a_discrepancy(earlier.pk, "baseline", version="vlatest-b", state=Decision.BUG)
        a_discrepancy(earlier.pk, "open")
    newest_unseen = Discrepancy.objects.filter(path="unseen").latest("pk")
    later = Launch.objects.create(name="later", started_at=START + timedelta(days=9), ended_at=NOW)
    a_discrepancy(later.pk, "of a later launch", state=Decision.BUG)
    a_discrepancy(launch.pk, "seen", state=Decision.BUG)
    first, carried = listed(launch.pk)
    assert (first.discrepancy.path, first.carried) == ("seen", False)
    assert (carried.discrepancy, carried.carried) == (newest_unseen, True)
    assert (carried.count, carried.rate, carried.counts_against) == (0, None, False)
    assert open_count(launch.pk) == 2


def test_a_bug_that_a_later_launch_decided_otherwise_is_not_listed_any_more(
    launch: Launch,
) -> None:
    for days, state in ((2, Decision.BUG), (1, Decision.BY_DESIGN)):
        earlier = Launch.objects.create(
            name=f"{days}", started_at=START - timedelta(days=days), ended_at=START
        )
        a_discrepancy(earlier.pk, "decided twice", state=state)
    assert listed(launch.pk) == []


def test_what_waits_for_somebody_is_counted(launch: Launch) -> None:
    a_discrepancy(launch.pk, "open")
    a_discrepancy(launch.pk, "bug", state=Decision.BUG, count=0)
    a_discrepancy(launch.pk, "ignored", count=0, ignored=5)
    a_discrepancy(launch.pk, "design", state=Decision.BY_DESIGN)
    a_discrepancy(launch.pk, "noise", version="vlatest-b")
    assert open_count(launch.pk) == 2


def shown(discrepancy: Discrepancy, at_most: int) -> list[UUID]:
    orders = ObservedOrder.objects.in_bulk(orders_of(discrepancy, at_most))
    return [UUID(orders[pk].order_id) for pk in orders_of(discrepancy, at_most)]


def accept(path: str, decision: Decision = Decision.BY_DESIGN) -> None:
    row = Discrepancy.objects.get(version="vnext", path=path)
    review([SeenRevision(row.pk, row.revision)], decision, note="", author="ada")


def test_a_decision_changes_at_once_how_many_pairs_count_against_the_version(
    roster: Roster,
) -> None:
    for theirs in ({"a": 2, "b": 2}, {"a": 2, "b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 1}):
        a_pair(roster, {"a": 1, "b": 1}, theirs)
    assert pairs_against(roster.launch, "vnext") == 3
    accept("a")
    assert pairs_against(roster.launch, "vnext") == 2
    accept("b", Decision.NOISE)
    assert pairs_against(roster.launch, "vnext") == 0
    accept("a", Decision.BUG)
    assert pairs_against(roster.launch, "vnext") == 2


def test_folded_pairs_count_while_anything_does(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_SIGNATURES", 1)
    for path in ("a", "b", "c"):
        a_pair(roster, {path: 1}, {path: 2})
    assert pairs_against(roster.launch, "vnext") == 3
    accept("a")
    accept("b")
    assert pairs_against(roster.launch, "vnext") == 2
    accept("c")
    assert pairs_against(roster.launch, "vnext") == 0


@pytest.mark.parametrize("most_signatures", [500, 1, 0])
def test_the_orders_of_a_discrepancy_are_the_newest_that_show_it(
    roster: Roster, most_signatures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_SIGNATURES", most_signatures)
    orders = []
    for number in range(6):
        theirs = {"a": 2, "b": number}
        orders.append(a_pair(roster, {"a": 1, "b": 1}, theirs))
        a_pair(roster, {"a": 1, "b": 1}, {"a": 1, "b": number})
    found = Discrepancy.objects.get(path="a")
    assert shown(found, 100) == orders[::-1]
    assert shown(found, 2) == orders[:3:-1]


def test_many_signatures_are_asked_in_few_queries(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_AT_ONCE", 3)
    orders = [a_pair(roster, {"a": 1, "b": 0}, {"a": 2, f"c{number}": 1}) for number in range(7)]
    found = Discrepancy.objects.get(path="a")
    with all_statements() as queries:
        orders_of(found, 5)
    assert len(queries) == 1 + 3
    assert shown(found, 5) == orders[:1:-1]


def test_while_a_rule_ignores_all_of_it_its_orders_are_those_with_the_rule(roster: Roster) -> None:
    a_rule(a_draft("a"))
    order = a_pair(roster, {"a": 1}, {"a": 2})
    assert shown(Discrepancy.objects.get(), 5) == [order]


def test_an_example_that_shows_it_no_more_is_none_of_its_orders(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_SIGNATURES", 0)
    order = a_pair(roster, {"a": 1}, {"a": 2})
    other = a_pair(roster, {"b": 1}, {"b": 2})
    found = Discrepancy.objects.get(path="a")
    Discrepancy.objects.filter(pk=found.pk).update(examples=[*found.examples, [1, str(other)]])
    found.refresh_from_db()
    assert shown(found, 5) == [order]


def test_a_list_costs_the_same_however_long_it_is(launch: Launch) -> None:
    def statements() -> int:
        with all_statements() as queries:
            listed(launch.pk)
        return len(queries)

    few = statements()
    for number in range(50):
        a_discrepancy(launch.pk, f"field_{number}")
    assert statements() == few <= 4
