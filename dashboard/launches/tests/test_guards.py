"""When a guard stops a candidate, and that it does so once until a person acknowledges it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from pytest_django import Settings

from dashboard.launches import guards, watching
from dashboard.launches.guards import (
    AGAIN_AFTER_ORDERS,
    GuardRefused,
    Reason,
    acknowledge,
    when_full,
    when_slowed,
    when_worse,
)
from dashboard.launches.watching import Watcher
from dashboard.models import DeadLetter, Guard, GuardAction, TimeSlice
from dashboard.tests.factories import START, a_launch
from dashboard.verdict.quantiles import LogHistogram
from dashboard.verdict.wording import Word
from kitchen_worker.contract.messages import utc_now
from restaurant.launches import end_launch, raised_at, set_percent
from restaurant.models import Launch, LaunchChange

_numbers = count()
SENTENCE = "WORSE: vnext: slower by 20 %. Roll back?"


def acted(**fields: Any) -> GuardAction:
    return GuardAction(guard=Guard.WORSE, build="a", orders=1000, **fields)


@pytest.mark.parametrize(
    ("word", "orders", "build", "last", "stops"),
    [
        (Word.WORSE, 1000, "a", None, True),
        (Word.READY, 1000, "a", None, False),
        (Word.WITHHELD, 1000, "a", None, False),
        (None, 0, "", None, False),
        # After an acknowledgement.
        (Word.WORSE, 1000, "a", acted(), False),
        (Word.WORSE, 1000 + AGAIN_AFTER_ORDERS - 1, "a", acted(), False),
        (Word.WORSE, 1000 + AGAIN_AFTER_ORDERS, "a", acted(), True),
        (Word.WORSE, 1000, "b", acted(), True),
        # The same build, on new evidence.
        (Word.WORSE, 999, "a", acted(), True),
    ],
)
def test_the_verdict_worse_stops_a_candidate(
    word: Word | None, orders: int, build: str, last: GuardAction | None, *, stops: bool
) -> None:
    why = when_worse(word, SENTENCE, orders=orders, build=build, last=last)
    expected = f"on {orders:,} orders the verdict is WORSE: vnext: slower by 20 %."
    assert why == (expected if stops else "")


@pytest.mark.parametrize(
    ("depth", "dropped", "why"),
    [
        (None, 0, ""),
        (99_999, 0, ""),
        (100_000, 0, "its queue is full: 100,000 orders wait in it, and it holds 100,000"),
        (5_000, 1, "its queue is full: 1 order was dropped; 5,000 wait in it"),
        (5_000, 20, "its queue is full: 20 or more orders were dropped; 5,000 wait in it"),
        (None, 3, "its queue is full: 3 orders were dropped"),
    ],
)
def test_a_full_queue_stops_a_candidate(depth: int | None, dropped: int, why: str) -> None:
    assert when_full(depth, dropped) == why


def times(orders: int, ms: float) -> LogHistogram:
    return LogHistogram.of([ms] * orders)


def in_turn(*spells: tuple[int, float]) -> list[LogHistogram]:
    """Handling times in slices of ten orders: so many orders of so many milliseconds."""
    return [times(10, ms) for orders, ms in spells for _ in range(orders // 10)]


@pytest.mark.parametrize(
    ("before", "since", "stops"),
    [
        (times(200, 100), in_turn((200, 155)), True),
        (times(200, 100), in_turn((200, 140)), False),
        (times(199, 100), in_turn((200, 500)), False),
        (times(200, 100), in_turn((190, 500)), False),
        # It was slow for a moment.
        (times(200, 100), in_turn((120, 500), (90, 100)), False),
        # Most orders are still fast.
        (times(200, 100), in_turn((120, 100), (90, 500)), False),
        (times(200, 100), [], False),
        (LogHistogram(), in_turn((500, 100)), False),
    ],
)
def test_a_slower_control_stops_a_candidate(
    before: LogHistogram, since: list[LogHistogram], *, stops: bool
) -> None:
    why = when_slowed(before, since, by_percent=50, least_orders=200)
    assert bool(why) is stops


def test_a_slower_control_is_told_with_numbers() -> None:
    why = when_slowed(times(200, 100), [times(400, 200)], by_percent=50, least_orders=200)
    assert why == (
        "the control's median rose by 97 % when the percent rose: from 100 ms on 200 orders to"
        " 198 ms on 400"
    )


# In the databases.

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_cache() -> Iterator[None]:
    guards._times_before.cache_clear()
    yield
    guards._times_before.cache_clear()


@pytest.fixture
def launch() -> Launch:
    return a_launch()


def percent_of(launch: Launch) -> int:
    return int(launch.dark_versions.get(version="vnext").percent)


def dropped(launch: Launch, at: datetime, orders: int = 3) -> None:
    DeadLetter.objects.bulk_create(
        DeadLetter(
            queue="kitchen.vnext",
            reason="dropped: the queue was full",
            order=f"order-{next(_numbers)}",
            seen_at=at,
        )
        for _ in range(orders)
    )


def watched(now: datetime = START, vnext: int = 0, baseline: int = 0) -> set[UUID]:
    queues = {"kitchen.vnext": vnext, "kitchen.vlatest-b": baseline}
    return Watcher().watch(queues, now)


def test_a_candidate_is_stopped_once_with_the_numbers(launch: Launch) -> None:
    dropped(launch, START + timedelta(seconds=1))
    assert watched(vnext=5000) == {launch.pk}
    assert percent_of(launch) == 0
    change = LaunchChange.objects.get()
    assert (change.author, change.values) == ("guard: queue full", "100 % → 0 %")
    assert change.reason == "its queue is full: 3 orders were dropped; 5,000 wait in it"
    action = GuardAction.objects.get()
    assert (int(action.percent), action.stopped_at, action.why) == (100, START, change.reason)
    for _ in range(2):
        assert watched(vnext=5000) == set()
    assert LaunchChange.objects.count() == GuardAction.objects.count() == 1


def test_two_observers_stop_a_candidate_once(launch: Launch) -> None:
    dark = launch.dark_versions.get(version="vnext")
    reason = Reason(Guard.QUEUE_FULL, "full")
    assert guards.stop(launch, dark, reason, START) is not None
    assert guards.stop(launch, dark, reason, START) is None
    assert LaunchChange.objects.count() == GuardAction.objects.count() == 1


def test_a_crash_before_the_percent_was_set_is_made_good(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped(launch, START + timedelta(seconds=1))
    with monkeypatch.context() as dying:
        dying.setattr(guards, "set_percent", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watched()
    assert percent_of(launch) == 100
    assert GuardAction.objects.get().stopped_at is None
    DeadLetter.objects.all().delete()
    watched()
    assert percent_of(launch) == 0
    assert GuardAction.objects.get().stopped_at == START


def test_a_person_who_starts_it_again_is_not_overruled_before_the_acknowledgement(
    launch: Launch,
) -> None:
    dropped(launch, START + timedelta(seconds=1))
    watched()
    set_percent(launch, "vnext", Decimal(5), author="ada", reason="try again")
    dropped(launch, utc_now() + timedelta(seconds=1))
    watched()
    assert percent_of(launch) == 5
    acknowledge(GuardAction.objects.get().pk, launch.pk, author="ada", reason="ok", now=START)
    watched()
    assert percent_of(launch) == 0
    assert GuardAction.objects.count() == 2


def test_orders_dropped_before_the_last_change_of_the_percent_stop_nothing(launch: Launch) -> None:
    dropped(launch, utc_now())
    set_percent(launch, "vnext", Decimal(5), author="ada", reason="purged its queue")
    assert watched(vnext=10) == set()
    assert percent_of(launch) == 5


_NAMES = ("guard_worse", "guard_queue_full", "guard_control_slowed")


@pytest.mark.parametrize("name", _NAMES)
def test_a_guard_that_is_off_does_nothing(launch: Launch, settings: Settings, name: str) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, **{one: one != name for one in _NAMES})
    assert list(guards.are_on().values()).count(False) == 1
    dropped(launch, START + timedelta(seconds=1))
    watched()
    assert (percent_of(launch) == 0) is settings.ENVIRONMENT.guard_queue_full


def test_baselines_and_stopped_versions_and_ended_launches_are_left_alone(launch: Launch) -> None:
    launch.dark_versions.filter(version="vnext").update(percent=0)
    dropped(launch, START + timedelta(seconds=1))
    assert watched(vnext=100_000, baseline=100_000) == set()
    launch.dark_versions.filter(version="vnext").update(percent=100)
    end_launch(launch, author="ada", reason="over")
    assert watched(vnext=100_000, baseline=100_000) == set()
    assert not GuardAction.objects.exists()


def slices(launch: Launch, start: datetime, seconds: int, ms: float, version: str) -> None:
    """Ten orders every two seconds."""
    first = int(start.timestamp()) // 2 * 2
    TimeSlice.objects.bulk_create(
        TimeSlice(
            launch=launch.pk, version=version, start=at, handled=10, times=times(10, ms).to_json()
        )
        for at in range(first, first + seconds, 2)
    )


@pytest.mark.parametrize(("ms", "stops"), [(200, True), (120, False)])
def test_a_control_that_slowed_when_the_percent_rose_stops_the_candidate(
    launch: Launch, *, ms: float, stops: bool
) -> None:
    launch.dark_versions.filter(version="vnext").update(percent=0)
    set_percent(launch, "vnext", Decimal(50), author="ada", reason="go")
    rose_at = raised_at(launch, "vnext")
    assert rose_at is not None
    slices(launch, rose_at - timedelta(seconds=60), 60, 100, "vlatest")
    slices(launch, rose_at + timedelta(seconds=2), 60, ms, "vlatest")
    assert watched(rose_at + timedelta(seconds=59)) == set()
    now = rose_at + timedelta(seconds=62)
    assert (watched(now) == {launch.pk}) is stops
    assert (percent_of(launch) == 0) is stops


def test_a_control_that_slows_long_after_the_percent_rose_has_another_cause(launch: Launch) -> None:
    set_percent(launch, "vnext", Decimal(5), author="ada", reason="less")
    assert raised_at(launch, "vnext") is None
    set_percent(launch, "vnext", Decimal(50), author="ada", reason="go")
    rose_at = raised_at(launch, "vnext")
    assert rose_at is not None
    slices(launch, rose_at - timedelta(seconds=60), 60, 100, "vlatest")
    slices(launch, rose_at + timedelta(seconds=900), 60, 900, "vlatest")
    assert watched(rose_at + timedelta(seconds=962)) == set()


def test_an_acknowledgement_has_a_reason_and_stays(launch: Launch) -> None:
    dropped(launch, START + timedelta(seconds=1))
    watched()
    action = GuardAction.objects.get()
    with pytest.raises(GuardRefused, match="Enter a reason"):
        acknowledge(action.pk, launch.pk, author="ada", reason=" ", now=START)
    with pytest.raises(GuardRefused, match="no such action"):
        acknowledge(action.pk, uuid4(), author="ada", reason="ok", now=START)
    acknowledge(action.pk, launch.pk, author="ada", reason="seen it", now=START)
    with pytest.raises(GuardRefused, match="ada acknowledged it already"):
        acknowledge(action.pk, launch.pk, author="bob", reason="me too", now=START)
    action.refresh_from_db()
    assert (action.acknowledged_by, action.acknowledged_reason) == ("ada", "seen it")
    assert percent_of(launch) == 0


def test_without_guards_and_plans_no_queue_is_read(launch: Launch, settings: Settings) -> None:
    assert sorted(watching.versions_to_watch()) == ["vlatest", "vlatest-b", "vnext"]
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, **dict.fromkeys(_NAMES, False))
    assert watching.versions_to_watch() == []
