"""Guards and ramp plans in the observer: on a broker in memory and real databases."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from pytest_django import Settings

from dashboard.ingest import observer as observing
from dashboard.ingest.tests.test_observer import TYPES, observed, placed, said, until_stored
from dashboard.launches import ramp
from dashboard.launches.ramp import PATIENCE, Step
from dashboard.launches.watching import Watcher
from dashboard.models import GuardAction, Observation, Participant, RampPlan, RampState
from dashboard.tests.factories import START, a_launch, an_event
from dashboard.tests.test_verdict_command import twice_as_slow, weigh
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import utc_now
from kitchen_worker.testing import MemoryBroker
from restaurant.launches import end_launch
from restaurant.models import DarkVersion, Launch, LaunchChange

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = (Step(Decimal(5), orders=10), Step(Decimal(100)))


@pytest.fixture
def launch() -> Launch:
    launch = a_launch()
    DarkVersion.objects.filter(version="vlatest-b").delete()
    return launch


def a_plan(launch: Launch) -> RampPlan:
    return ramp.set_plan(launch, "vnext", STEPS, author="ada", reason="slowly", now=utc_now())


async def test_a_worse_candidate_is_stopped_by_its_guard_and_its_plan_pauses(
    launch: Launch, settings: Settings
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, guard_worse=True)
    await sync_to_async(weigh)(launch, twice_as_slow)
    await sync_to_async(a_plan)(launch)
    broker = MemoryBroker()
    await broker.declare(topology.dark("vnext", TYPES))
    async with observed(broker):
        await broker.publish([said(an_event(launch, await placed(launch)))])
        await until_stored(lambda: RampPlan.objects.filter(state=RampState.PAUSED).exists())
    action, plan = await GuardAction.objects.aget(), await RampPlan.objects.aget()
    candidate = await DarkVersion.objects.aget()
    assert (action.guard, int(action.percent), int(candidate.percent)) == ("worse", 5, 0)
    assert action.why.startswith("on 3,400 orders the verdict is WORSE: vnext: 99 % slower")
    assert plan.why == f"the guard “worse” stopped vnext: {action.why}"
    authors = [one.author async for one in LaunchChange.objects.order_by("id")]
    assert authors == ["ramp plan", "guard: worse"]
    assert any(one.exchange == topology.ANNOUNCEMENTS for one in broker.published)


async def test_an_error_in_a_guard_never_stops_observing(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed: list[datetime] = []

    def fail(_: Watcher, queues: Mapping[str, int] | None, now: datetime) -> set[UUID]:
        failed.append(now)
        raise RuntimeError("a guard with a fault")

    monkeypatch.setattr(Watcher, "watch", fail)
    monkeypatch.setattr(observing, "WATCH_EVERY_S", 0.01)
    broker = MemoryBroker()
    with caplog.at_level(logging.CRITICAL, logger=observing.__name__):
        async with observed(broker):
            await broker.publish([said(an_event(launch, await placed(launch)))])
            await until_stored(lambda: len(failed) >= 3)
            await broker.publish([said(an_event(launch, await placed(launch)))])
            await until_stored(lambda: Observation.objects.count() == 2)


def heard(launch: Launch, at: datetime, **counters: int) -> None:
    Participant.objects.update_or_create(
        launch=launch.pk,
        version="vnext",
        defaults={"role": "candidate", "newest_at": at, "ended_until": at, **counters},
    )


def test_a_plan_goes_on_by_the_observers_counts_and_ends(launch: Launch) -> None:
    plan, watcher = a_plan(launch), Watcher()
    for handled, percent, state in ((9, 5, "running"), (10, 100, "running"), (10, 100, "finished")):
        heard(launch, utc_now(), handled=handled, orders=handled)
        watcher.watch({}, utc_now())
        plan.refresh_from_db()
        assert DarkVersion.objects.get().percent == percent
        assert plan.state == state


def test_a_plan_waits_a_while_for_events_and_then_pauses(launch: Launch) -> None:
    plan, watcher, now = a_plan(launch), Watcher(), utc_now()
    stale = {"newest_at": now - timedelta(seconds=60)}
    heard(launch, stale["newest_at"], handled=99)
    waiting = {topology.STREAM_QUEUE: 5}
    watcher.watch(waiting, now)
    watcher.watch(waiting, now + PATIENCE / 2)
    assert RampPlan.objects.get().state == RampState.RUNNING
    # They come again: the patience begins again.
    heard(launch, utc_now(), handled=9)
    watcher.watch(waiting, now + PATIENCE / 2)
    heard(launch, stale["newest_at"], handled=99)
    watcher.watch(waiting, now + PATIENCE)
    assert RampPlan.objects.get().state == RampState.RUNNING
    watcher.watch(waiting, now + 2 * PATIENCE)
    plan.refresh_from_db()
    assert plan.state == RampState.PAUSED
    assert plan.why.startswith("events are stale: newest ")
    assert DarkVersion.objects.get().percent == 5


def test_a_plan_ends_with_its_launch(launch: Launch) -> None:
    plan = a_plan(launch)
    ramp.pause(plan, author="ada", reason="lunch", now=START)
    end_launch(launch, author="ada", reason="over")
    assert Watcher().watch(None, utc_now()) == {launch.pk}
    plan.refresh_from_db()
    assert (plan.state, plan.why) == (RampState.STOPPED, "the launch ended")
