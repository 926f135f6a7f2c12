"""Noise is matched with what the candidate shows, whatever it is called and whoever shows it first.

Through the database, as the observer records it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from dashboard import models
from dashboard.comparison.outcome import Decision
from dashboard.ingest.evidence import whole_tally
from dashboard.ingest.stream import read_roster
from dashboard.models import Discrepancy, LaunchRequirements
from dashboard.tests.factories import START, a_launch, an_event, an_order
from dashboard.tests.making import record_events, sweep
from dashboard.verdict.closing import close_blocks
from dashboard.verdict.evaluation import evaluate, names_of
from dashboard.verdict.thresholds import LaunchHealth, Requirement
from dashboard.verdict.verdict import Verdict
from kitchen_worker.contract.messages import Event
from restaurant.models import Launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

DEADLINE = timedelta(seconds=5)
LONG_AFTER = START + timedelta(hours=1)
VERSIONS = ("vlatest", "vnext", "vlatest-b")
Results = Callable[[int, str, random.Random], dict[str, Any]]


@pytest.fixture(autouse=True)
def _short_blocks(settings: Settings) -> None:
    settings.ENVIRONMENT = replace(
        settings.ENVIRONMENT, block_s=1.0, deadline_s=DEADLINE.total_seconds(), warm_up_s=2.0
    )


@pytest.fixture
def launch() -> Launch:
    """A launch in which a few hundred orders are enough."""
    found = a_launch()
    LaunchRequirements.objects.create(
        launch=found.id, speed_margin=0.02, failures_margin=0.05, slow_margin=0.05,
        differences_margin=0.05, most_missing=0.01, most_behind_s=10.0, author="ada", reason="",
        set_at=START,
    )  # fmt: skip
    return found


def orders(launch: Launch, number: int, share: float, results: Results) -> Iterator[list[Event]]:
    """The events of orders at ten a second; the baseline gets a share of them."""
    rng = random.Random(11)
    for count in range(number):
        at = START + timedelta(seconds=count / 10)
        versions = VERSIONS if rng.random() < share else VERSIONS[:2]
        order = an_order(launch, sample=versions[1:], placed_at=at, sent_at=at).uuid
        ms = 100 * rng.lognormvariate(0, 0.3)
        yield [
            an_event(
                launch, order, version,
                placed_at=at, handling_ms=ms, result=results(count, version, rng),
            )
            for version in versions
        ]  # fmt: skip


def record(launch: Launch, events: Iterator[list[Event]], *, batch: int = 20) -> Verdict:
    """Record orders as the observer does, so many in a batch, and give the verdict on vnext."""
    roster, waiting = read_roster(launch), []
    for some in events:
        waiting += some
        if len(waiting) >= batch:
            record_events(roster, waiting, LONG_AFTER)
            waiting = []
    record_events(roster, waiting, LONG_AFTER)
    sweep(LONG_AFTER, DEADLINE)
    close_blocks(LONG_AFTER)
    weighed = evaluate(launch.id, "vnext", LaunchHealth(behind_s=0.0))
    assert weighed is not None
    return weighed.verdict


def alone() -> tuple[int, int]:
    """On how many orders the candidate alone showed the discrepancy that it shows alone most, and
    on how many orders it alone showed any."""
    row = models.Evidence.objects.get(version="vnext")
    found = whole_tally(row).evidence().only_shown
    return max(found.values(), default=0), sum(found.values())


def fresh_key(count: int, version: str, rng: random.Random) -> dict[str, Any]:
    """A document that on each tenth order has an id for a key, which each version draws itself."""
    if count % 10:
        return {"lines": {}}
    return {"lines": {str(UUID(int=rng.getrandbits(128))): {"minutes": 5}}}


@pytest.mark.parametrize("share", [0.3, 0.1])
def test_noise_under_keys_that_are_data_does_not_count_against_an_equal_candidate(
    launch: Launch, share: float
) -> None:
    found = record(launch, orders(launch, int(270 / share), share, fresh_key))
    assert alone()[0] <= 1
    assert found.flagged == ()
    assert found.word == "ready"


def in_turn(count: int, version: str, rng: random.Random) -> dict[str, Any]:
    """First the baseline differs in a field for forty orders, then the candidate does."""
    differing = {"vlatest-b": range(300, 340), "vnext": range(400, 440)}
    return {"cook": "Grace" if count in differing.get(version, ()) else "Ada"}


def test_noise_that_was_recorded_before_the_candidate_shows_the_same_is_held_beside_it(
    launch: Launch,
) -> None:
    found = record(launch, orders(launch, 1000, 1.0, in_turn))
    assert alone() == (40, 40)
    assert found.flagged == ()


def test_a_baselines_key_from_before_the_fold_is_the_same_as_the_candidates_fold(
    launch: Launch,
) -> None:
    """Host names, say: the baseline keeps the one it had, the candidate starts again and again."""

    def hosts(count: int, version: str, rng: random.Random) -> dict[str, Any]:
        return {"hosts": {f"{version}-{count if version == 'vnext' else 0}": 1}}

    found = record(launch, orders(launch, 400, 1.0, hosts))
    assert alone() == (0, 0)
    assert found.flagged == ()


def test_a_difference_of_the_candidates_own_is_not_hidden_by_noise_in_the_same_place(
    launch: Launch,
) -> None:
    def mixed(count: int, version: str, rng: random.Random) -> dict[str, Any]:
        price = 2 if version == "vnext" and count % 9 == 0 else 1
        return {"meta": {f"k{rng.randrange(40)}": rng.random(), "price": price}}

    found = record(launch, orders(launch, 600, 1.0, mixed))
    own = Discrepancy.objects.get(version="vnext", path="meta.price", kind="value")
    assert found.flagged == (own.pk,)


def test_a_fold_that_is_accepted_leaves_what_was_shown_before_it_in_balance(
    launch: Launch,
) -> None:
    """The candidate's keys from before the fold and the baseline's are still held against each
    other, when the fold is noise to a person."""
    before = record(launch, orders(launch, 900, 0.3, fresh_key))
    Discrepancy.objects.filter(version="vnext", path="lines.*").update(state=Decision.NOISE)
    weighed = evaluate(launch.id, "vnext", LaunchHealth(behind_s=0.0))
    assert weighed is not None
    found = weighed.verdict
    assert (before.word, found.word, found.flagged) == ("ready", "ready", ())
    differences = found.of(Requirement.DIFFERENCES)
    assert abs(differences.estimate or 0.0) < 0.01


def test_with_what_is_accepted_goes_the_baselines_of_the_same_path(launch: Launch) -> None:
    def a_discrepancy(version: str, path: str, **fields: Any) -> int:
        known = {"count": 1, "first_seen_at": START, "last_seen_at": START} | fields
        return Discrepancy.objects.create(
            launch=launch.id, version=version, kind="extra", path=path, **known
        ).pk

    fold = a_discrepancy("vnext", "lines.*", state=Decision.NOISE)
    folds = a_discrepancy("vlatest-b", "lines.*")
    named = a_discrepancy("vlatest-b", "lines.a")
    for version in ("vnext", "vlatest-b"):
        a_discrepancy(version, "lines.price")
    names = names_of(launch.id, "vnext", ["vlatest-b"])
    assert names.accepted == {fold, folds}
    assert {dict(names.same)[one] for one in (folds, named)} == {fold}
