"""What a rule would hide, before it is saved: exactly what then vanishes."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from dashboard.comparison.diff import Kind
from dashboard.comparison.rules import ComparisonRule, Treatment
from dashboard.fold import discrepancies as counting
from dashboard.ingest.recorder import Recorder
from dashboard.ingest.stream import Roster, read_roster
from dashboard.models import Discrepancy, Observation, Rejudging
from dashboard.review.listing import pairs_against
from dashboard.review.preview import (
    EXAMPLES,
    Preview,
    Progress,
    Sample,
    preview_step,
)
from dashboard.review.proposals import request_rejudging
from dashboard.tests.factories import a_launch, an_event
from dashboard.tests.making import NOW, a_draft, a_pair, a_rule, preview, record_events
from kitchen_worker.contract.messages import EventKind, Failure
from restaurant.tests.making import all_statements

pytestmark = pytest.mark.django_db


SCALARS = [
    *(None, True, 1, 1.04, 2, 0.3, "a1", "a2", "1.0"),
    *("2026-01-05T10:00:00Z", "2026-01-05T10:00:00.5Z"),
]
TREATMENTS = [one for one in Treatment if one is not Treatment.KEYED]


@pytest.fixture
def roster() -> Roster:
    return read_roster(a_launch())


def counts() -> dict[int, int]:
    return dict(Discrepancy.objects.values_list("pk", "count"))


def differing() -> int:
    return Observation.objects.filter(exception="differ").count()


def saved_and_applied(roster: Roster, draft: ComparisonRule) -> None:
    a_rule(draft)
    request_rejudging(roster.launch, author="ada", now=NOW)
    recorder = Recorder.take_over()
    while recorder.rejudge(NOW, 100) is not None:
        pass


def many_pairs(roster: Roster) -> None:
    for number in range(12):
        ours = {"cook": "Ada", "minutes": 10, "total": "3.50", "items": ["a", "b", "c"]}
        theirs = {
            "cook": f"cook {number % 4}",
            "minutes": 10 + number % 3,
            "total": "3.5" if number % 2 else "3.49",
            "items": ["c", "b", "a"] if number % 5 == 0 else ours["items"],
        }
        a_pair(roster, ours, theirs)
        a_pair(roster, ours, {**ours, "cook": f"cook {number}"}, name="vlatest-b")
    a_pair(roster, {"cook": "Ada"}, {"cook": "Bob"})


@pytest.mark.parametrize(
    "draft",
    [
        a_draft("cook"),
        a_draft("cook", version="vnext"),
        a_draft("**"),
        a_draft("minutes", Treatment.TOLERANCE, absolute=1),
        a_draft("total", Treatment.DECIMAL),
        a_draft("items", Treatment.UNORDERED),
        a_draft("cook", Treatment.REPLACE, pattern="[0-9]", replacement="#"),
        a_draft("nothing.like.it"),
    ],
    ids=str,
)
@pytest.mark.parametrize("folded_beyond", [200, 2])
def test_what_is_previewed_is_what_then_vanishes(
    roster: Roster, draft: ComparisonRule, folded_beyond: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_DISCREPANCIES", folded_beyond)
    many_pairs(roster)
    before, were_differing = counts(), differing()
    found = preview(roster.launch, draft, NOW)
    assert (counts(), differing()) == (before, were_differing)
    saved_and_applied(roster, draft)
    after = counts()
    assert found.complete
    assert found.hidden == were_differing - differing()
    assert {row.pk: number for row, number in found.vanishing} == {
        pk: count for pk, count in before.items() if count and not after[pk]
    }
    assert {row.pk: less for row, less in found.shrinking} == {
        pk: count - after[pk] for pk, count in before.items() if 0 < after[pk] < count
    }


def test_it_says_how_many_of_how_many_and_of_which_version(roster: Roster) -> None:
    many_pairs(roster)
    found = preview(roster.launch, a_draft("cook"), NOW)
    assert (found.evaluated, found.of) == (25, 25)
    assert found.hidden_of == {"vnext": 1, "vlatest-b": 12}
    alone = preview(roster.launch, a_draft("cook", version="vlatest-b"), NOW)
    assert (alone.evaluated, alone.of, alone.hidden) == (12, 12, 12)


def test_three_examples_show_what_would_be_ignored_each_kind_of_it_first(roster: Roster) -> None:
    orders = [
        a_pair(roster, {"a": 1, "b": 1, "c": 1}, {"a": number + 2, "c": 1}) for number in range(5)
    ]
    found = preview(roster.launch, a_draft("**"), NOW)
    assert len(found.examples) == EXAMPLES
    assert {(one.kind, one.shown) for _, _, one in found.examples} == {
        (Kind.VALUE, "a"),
        (Kind.MISSING, "b"),
    }
    assert found.examples[0].order.order_id == str(orders[-1])


def test_pairs_that_failed_have_no_part_in_it(roster: Roster) -> None:
    order = a_pair(roster, {"a": 1}, {"a": 2})
    other = a_pair(roster, {"a": 1}, {"a": 1}, name="vlatest-b")
    for version, kind in (("vnext", EventKind.FAILED), ("vlatest", EventKind.HANDLED)):
        record_events(roster, [an_event(roster.launch, other, version, kind)], NOW)
    found = preview(roster.launch, a_draft("**"), NOW)
    assert (found.evaluated, found.of, found.hidden) == (1, 1, 1)
    assert found.examples[0].order.order_id == str(order)


def test_pairs_that_failed_and_are_folded_are_not_among_those_there_are(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_DISCREPANCIES", 1)
    for _ in range(120):
        a_pair(roster, {"a": 1}, {"a": 2})
    for _ in range(3):
        order = a_pair(roster, {"a": 1}, {"a": 1}, name="vlatest-b")
        record_events(roster, [an_event(roster.launch, order, "vnext", EventKind.FAILED)], NOW)
    found = preview(roster.launch, a_draft("a"), NOW)
    assert (found.evaluated, found.of, found.complete) == (120, 120, True)
    monkeypatch.setattr("dashboard.review.preview.MAX_PAIRS", 100)
    part = preview(roster.launch, a_draft("a"), NOW)
    assert (part.evaluated, part.of, part.complete) == (100, 120, False)


def test_failures_of_both_are_looked_at_where_they_differ(roster: Roster) -> None:
    for message in ("too many", "too many", "no such dish"):
        order = uuid4()
        for version, said in (("vlatest", "too many"), ("vnext", message)):
            failure = Failure(type="Refused", message=said)
            event = an_event(roster.launch, order, version, EventKind.FAILED, error=failure)
            record_events(roster, [event], NOW)
    found = preview(roster.launch, a_draft("error.message"), NOW)
    assert (found.evaluated, found.of, found.hidden) == (1, 1, 1)


def test_only_so_many_are_looked_at_the_newest_and_it_says_so(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(130):
        a_pair(roster, {"a": 1}, {"a": 2})
    monkeypatch.setattr("dashboard.review.preview.MAX_PAIRS", 100)
    found = preview(roster.launch, a_draft("a"), NOW)
    assert (found.evaluated, found.of, found.complete) == (100, 130, False)
    assert (found.vanishing, [less for _, less in found.shrinking]) == ([], [100])


def test_the_same_pairs_give_the_same_preview_however_slow_the_machine(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_pairs(roster)
    first = preview(roster.launch, a_draft("cook"), NOW)
    hours = iter(range(0, 3_600_000, 3_600))
    monkeypatch.setattr("time.monotonic", lambda: next(hours))
    assert preview(roster.launch, a_draft("cook"), NOW) == first
    assert first.evaluated == 25


def test_a_sample_gives_the_same_preview_while_orders_come(roster: Roster) -> None:
    many_pairs(roster)
    sample = Sample.now(roster.launch)
    first = preview(roster.launch, a_draft("cook"), NOW, sample=sample)
    many_pairs(roster)
    many_pairs(roster)
    read = Sample.read(sample.text)
    assert read == sample
    assert preview(roster.launch, a_draft("cook"), NOW, sample=read) == first
    assert preview(roster.launch, a_draft("cook"), NOW).evaluated == 3 * first.evaluated


def test_a_pair_that_is_compared_again_later_is_no_part_of_the_sample(roster: Roster) -> None:
    many_pairs(roster)
    order = a_pair(roster, {"cook": "Ada"}, {"cook": "Ada"})
    sample = Sample.now(roster.launch)
    first = preview(roster.launch, a_draft("cook"), NOW, sample=sample)
    later = NOW + timedelta(seconds=1)
    signature = Observation.objects.exclude(signature=None).earliest("pk").signature
    pair = Observation.objects.filter(order__order_id=order, participant__version="vnext")
    assert pair.update(exception="differ", judged_at=later, signature=signature) == 1
    assert preview(roster.launch, a_draft("cook"), NOW, sample=sample) == first


@pytest.mark.parametrize("text", ["", "@", "1@", "x@2026-01-05", "-1@2026-01-05T10:00:00+00:00"])
def test_what_is_no_sample_is_none(text: str) -> None:
    assert Sample.read(text) is None


def test_step_by_step_it_finds_the_same(roster: Roster, monkeypatch: pytest.MonkeyPatch) -> None:
    many_pairs(roster)
    sample, draft = Sample.now(roster.launch), a_draft("cook")
    whole = preview(roster.launch, draft, NOW, sample=sample)
    monkeypatch.setattr("dashboard.review.preview.STEP", 7)
    progress = Progress.of(sample)
    evaluated = []
    while (found := preview_step(roster.launch, draft, NOW, progress)) is None:
        evaluated.append(progress.evaluated)
        many_pairs(roster)
        progress = msgspec.json.decode(msgspec.json.encode(progress), type=Progress)
    assert evaluated == [7, 14, 21]
    assert found == whole
    assert found.evaluated == 25


def test_a_step_that_ends_between_two_versions_of_an_order_goes_on_with_the_second(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        order = uuid4()
        for version, cook in (("vlatest", "Ada"), ("vnext", "Bob"), ("vlatest-b", "Eve")):
            event = an_event(roster.launch, order, version, result={"cook": cook})
            record_events(roster, [event], NOW)
    monkeypatch.setattr("dashboard.review.preview.STEP", 1)
    found = preview(roster.launch, a_draft("cook"), NOW)
    assert (found.evaluated, found.hidden_of) == (6, {"vnext": 3, "vlatest-b": 3})


@pytest.mark.parametrize("seed", range(12))
def test_a_preview_equals_a_re_evaluation_of_its_sample(roster: Roster, seed: int) -> None:
    rng = random.Random(seed)

    def value(depth: int = 0) -> Any:
        kind = rng.randrange(3 if depth > 2 else 5)
        if kind == 4:
            return {rng.choice("abcdef"): value(depth + 1) for _ in range(rng.randrange(4))}
        if kind == 3:
            return [value(depth + 1) for _ in range(rng.randrange(3))]
        return rng.choice(SCALARS)

    for _ in range(30):
        ours = {"a": value(), "b": value()}
        theirs = {key: one if rng.random() < 0.5 else value() for key, one in ours.items()}
        a_pair(roster, ours, theirs, name=rng.choice(["vnext", "vlatest-b"]))
    path = rng.choice(["**", "a", "a.**", "*.*", "b[]"])
    draft = a_draft(path, rng.choice(TREATMENTS), absolute=0.5, pattern="[0-9]")
    before, were_differing = counts(), differing()
    found = preview(roster.launch, draft, NOW)
    saved_and_applied(roster, draft)
    after = counts()
    assert found.complete
    assert found.hidden == were_differing - differing()
    assert {row.pk: number for row, number in found.vanishing + found.shrinking} == {
        pk: before[pk] - after[pk] for pk in before if after[pk] < before[pk]
    }


def test_large_answers_are_not_all_looked_at_and_it_says_so(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.review.preview.MAX_SIZE", 10_000)
    for number in range(9):
        a_pair(roster, {"a": number, "long": "x" * 1000}, {"a": -1, "long": "x" * 1000})
    found = preview(roster.launch, a_draft("a"), NOW)
    assert (found.evaluated, found.of, found.complete) == (5, 9, False)


def test_an_example_says_which_version_it_is_of(roster: Roster) -> None:
    a_pair(roster, {"cook": "Ada"}, {"cook": "Bob"}, name="vlatest-b")
    order = a_pair(roster, {"cook": "Ada"}, {"cook": "Eve"})
    examples = preview(roster.launch, a_draft("cook"), NOW).examples
    assert [(one.version, one.difference.version) for one in examples] == [
        ("vnext", "Eve"),
        ("vlatest-b", "Bob"),
    ]
    assert examples[0].order.order_id == str(order)


def test_a_launch_without_differences_has_nothing_to_preview(roster: Roster) -> None:
    a_pair(roster, {"a": 1}, {"a": 1})
    assert preview(roster.launch, a_draft("a"), NOW) == Preview(complete=True)


def test_what_counts_against_the_version_falls_by_what_was_previewed(roster: Roster) -> None:
    many_pairs(roster)
    before = pairs_against(roster.launch, "vnext")
    draft = a_draft("cook", version="vnext")
    found = preview(roster.launch, draft, NOW)
    saved_and_applied(roster, draft)
    assert before - pairs_against(roster.launch, "vnext") == found.hidden == 1
    assert Rejudging.objects.get().changed > 0


def test_a_preview_costs_as_many_statements_however_many_pairs_a_chunk_has(
    roster: Roster,
) -> None:
    def statements() -> int:
        with all_statements() as queries:
            preview(roster.launch, a_draft("a"), NOW)
        return len(queries)

    a_pair(roster, {"a": 1}, {"a": 2})
    few = statements()
    for _ in range(50):
        a_pair(roster, {"a": 1}, {"a": 2})
    assert statements() == few < 20
