"""The observer's chores: done beside live events, a little at a time, and never in their way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError

from dashboard.comparison.outcome import Decision
from dashboard.fold.admission import EventMessage
from dashboard.ingest import observer as observing
from dashboard.ingest.observer import Observer
from dashboard.ingest.recorder import Recorder
from dashboard.ingest.tests.test_observer import TYPES, observed, placed, said, until, until_stored
from dashboard.models import Discrepancy, Observation, Rejudging, Rule
from dashboard.review import proposals
from dashboard.review.replaying import record_answers
from dashboard.tests.factories import START, a_launch, an_event
from dashboard.tests.test_replays import RIGHT, asked, disagreed, told
from kitchen_worker.amqp.broker import BrokerLost
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import Event, decode_order, utc_now
from kitchen_worker.testing import MemoryBroker
from restaurant.models import Launch

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def launch() -> Launch:
    return a_launch()


@pytest.fixture
def about(launch: Launch) -> Discrepancy:
    return disagreed(launch)


async def a_broker() -> MemoryBroker:
    """A broker on which vnext has its queue."""
    broker = MemoryBroker()
    await broker.declare(topology.live("vlatest", TYPES) + topology.dark("vnext", TYPES))
    return broker


def vnext_ended() -> int:
    return Observation.objects.filter(participant__version="vnext").count()


async def test_a_replay_goes_its_whole_way_and_is_announced(
    launch: Launch, about: Discrepancy
) -> None:
    broker = await a_broker()
    pairs = await Observation.objects.exclude(judged_at=None).acount()
    async with observed(broker):
        await sync_to_async(asked)(about, launch)
        await until(lambda: len(broker.bodies("kitchen.vnext")) == 3)
        orders = [decode_order(body).id for body in broker.bodies("kitchen.vnext")]
        await broker.publish([said(*(told(launch, order, RIGHT) for order in orders))])
        fixed = Discrepancy.objects.filter(state=Decision.FIXED)
        await until_stored(fixed.exists)
        await until(lambda: any(m.exchange == topology.ANNOUNCEMENTS for m in broker.published))
    assert not broker.dead_letters
    assert not broker.bodies("kitchen.vlatest")
    assert await Observation.objects.exclude(judged_at=None).acount() == pairs
    assert not await Observation.objects.filter(order__order_id__in=orders).aexists()


async def test_a_replay_that_was_asked_for_without_a_broker_goes_out_when_there_is_one(
    launch: Launch, about: Discrepancy
) -> None:
    replay = await sync_to_async(asked)(about, launch)
    broker = await a_broker()
    async with observed(broker):
        await until_stored(lambda: replay.replayed_orders.filter(state="sent").count() == 3)
    assert len(broker.bodies("kitchen.vnext")) == 3


async def test_the_past_is_judged_again_while_events_pour_in(
    launch: Launch, about: Discrepancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "CHUNK", 1)

    def ask() -> Rejudging:
        Rule.objects.create(
            path="total_price", treatment="ignore", reason="r", author="ada", created_at=START
        )
        return proposals.request_rejudging(launch.id, author="ada", now=utc_now())

    broker = await a_broker()
    events = [an_event(launch, await placed(launch)) for _ in range(60)]
    async with observed(broker) as observer:
        rejudged = await sync_to_async(ask)()
        pouring = asyncio.ensure_future(pour(broker, observer, events))
        await until_stored(
            lambda: Rejudging.objects.filter(pk=rejudged.pk, finished_at__isnull=False).exists()
        )
        await pouring
        await until_stored(lambda: vnext_ended() == 63)
    await about.arefresh_from_db()
    assert (about.count, about.ignored) == (0, 3)


async def test_a_chunk_that_takes_long_makes_the_next_one_smaller(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def judge(_: Recorder, at: datetime, at_most: int) -> None:
        sizes.append(at_most)
        monkeypatch.setattr(observing, "LONGEST_S", -1.0 if len(sizes) < 10 else 3600.0)

    monkeypatch.setattr(Recorder, "rejudge", judge)
    monkeypatch.setattr(observing, "IDLE_S", 0.001)
    broker = await a_broker()
    async with observed(broker):
        await until(lambda: len(sizes) > 12)
    assert sizes[:13] == [200, 100, 50, 25, 12, 6, 3, 1, 1, 1, 2, 4, 8]


async def pour(broker: MemoryBroker, observer: Observer, events: Sequence[Event]) -> None:
    """Say one event after another, and be taken for an observer that does not keep up."""
    for event in events:
        observer.behind = True
        await broker.publish([said(event)])
        await asyncio.sleep(0)


async def test_a_chore_that_fails_is_put_off_and_events_are_recorded(
    launch: Launch, about: Discrepancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def bad(_: Recorder, at: datetime, at_most: int) -> None:
        tries.append(at)
        raise DatabaseError("this pair cannot be judged")

    monkeypatch.setattr(Recorder, "rejudge", bad)
    monkeypatch.setattr(observing, "RETRY_S", 0.01)
    broker = await a_broker()
    async with observed(broker):
        await until(lambda: len(tries) > 2)
        await broker.publish([said(an_event(launch, await placed(launch)))])
        await until_stored(lambda: vnext_ended() == 4)


async def test_one_answer_that_the_database_refuses_costs_itself_alone(
    launch: Launch, about: Discrepancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = await a_broker()
    async with observed(broker):
        replay = await sync_to_async(asked)(about, launch)
        await until(lambda: len(broker.bodies("kitchen.vnext")) == 3)
        orders = [decode_order(body).id for body in broker.bodies("kitchen.vnext")]

        def picky(events: Sequence[EventMessage], now: datetime) -> None:
            if any(event.report.order_id == orders[1] for event in events):
                raise ValueError("cannot be kept")
            record_answers(events, now)

        monkeypatch.setattr(observing, "record_answers", picky)
        await broker.publish([said(*(told(launch, order, RIGHT) for order in orders))])
        await until_stored(lambda: replay.replayed_orders.filter(state="handled").count() == 2)
        await until(lambda: len(broker.dead_letters) == 1)


async def test_a_chore_of_an_observer_that_was_taken_over_from_ends_the_session(
    launch: Launch,
) -> None:
    recorder = await sync_to_async(Recorder.take_over)()
    await sync_to_async(proposals.request_rejudging)(launch.id, author="ada", now=utc_now())
    await sync_to_async(Recorder.take_over)()
    work = observing.BackgroundJobs(
        Shutdown(), recorder=lambda: recorder, is_busy=lambda: False, on_change=lambda _: None
    )
    with pytest.raises(BrokerLost, match="another observer is the recorder now"):
        await work.step(await a_broker())
