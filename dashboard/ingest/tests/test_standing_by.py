"""Two observers on one broker, and what an observer finds in its queues when it begins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from dashboard.fold.records import SeenNumbers
from dashboard.ingest import observer as observing
from dashboard.ingest.observer import Observer
from dashboard.ingest.recorder import Recorder, SweepResult, recorded_at
from dashboard.ingest.tests.test_observer import (
    TYPES,
    an_observer,
    observed,
    placed,
    said,
    sent,
    until,
    until_stored,
)
from dashboard.models import Observation, ObservedOrder, ObserverState, Participant, RelaySession
from dashboard.tests.factories import a_launch, an_event
from kitchen_worker.amqp.broker import BrokerLost, Outgoing
from kitchen_worker.amqp.connection import connect
from kitchen_worker.amqp.dead_letters import publish_dead_letters
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.amqp.tests.waiting import fresh_rabbit
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import utc_now
from kitchen_worker.contract.topology import FORMER_OBSERVER_QUEUE, STREAM_QUEUE, Queue, Topology
from kitchen_worker.testing import MemoryBroker, MemoryDeliveries
from restaurant.models import Launch

pytestmark = pytest.mark.django_db(transaction=True)

LIVE = topology.live("vlatest", TYPES) + topology.dark("vnext", TYPES)
#: What the last release's observer declared.
FORMER = Topology(
    queues=(Queue(name=FORMER_OBSERVER_QUEUE),),
    bindings=tuple(
        one
        for one in topology.former_observer_bindings()
        if one.destination == FORMER_OBSERVER_QUEUE
    ),
)


@pytest.fixture
def launch() -> Launch:
    return a_launch()


async def at_work(url: str, observer: Observer) -> None:
    """One observer's process: its session, and its connection."""
    async with connect(url, "observer") as broker:
        await observer.session(broker)


async def killed(process: asyncio.Future[None]) -> None:
    process.cancel()
    with suppress(asyncio.CancelledError):
        await process


def consuming(broker: MemoryBroker) -> list[MemoryDeliveries]:
    """Those that take from the stream."""
    return [one for one in broker._consumers if one.queue == STREAM_QUEUE and one.takes]


def handled() -> int:
    rows = Participant.objects.filter(version="vnext")
    return rows.values_list("handled", flat=True).first() or 0


def recorders() -> int:
    """How many times an observer has become the one that records."""
    return ObserverState.objects.values_list("epoch", flat=True).first() or 0


@pytest.mark.broker
async def test_of_two_observers_one_records_and_the_other_takes_over_when_it_is_killed(
    amqp_url: str, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[datetime | None] = []
    is_held = asyncio.Event()

    def look() -> datetime | None:
        looks.append(recorded_at())
        return looks[-1]

    async def hold(*_: Any) -> None:
        """Between the record and its ack, for good."""
        is_held.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(observing, "recorded_at", look)
    monkeypatch.setattr(observing, "HEARTBEAT_S", 0.0)
    async with fresh_rabbit(amqp_url, LIVE, topology.stream(TYPES)) as broker:
        await broker.declare(LIVE)
        first = asyncio.ensure_future(at_work(amqp_url, an_observer()))
        await until_stored(lambda: recorders() == 1)
        second = asyncio.ensure_future(at_work(amqp_url, an_observer()))
        seen = len(looks)
        await until(lambda: len(looks) >= seen + 3)
        orders = [uuid4() for _ in range(4)]
        await broker.publish([sent(launch, order, "vnext") for order in orders])
        await broker.publish([said(an_event(launch, order)) for order in orders[:2]])
        await until_stored(lambda: handled() == 2)
        assert await sync_to_async(recorders)() == 1

        monkeypatch.setattr("dashboard.ingest.observer.publish_dead_letters", hold)
        await broker.publish([said(an_event(launch, orders[2]))])
        await until(is_held.is_set)
        monkeypatch.setattr("dashboard.ingest.observer.publish_dead_letters", publish_dead_letters)
        await killed(first)
        await broker.publish([said(an_event(launch, orders[3]))])
        await until_stored(lambda: handled() == 4)
        await until_stored(lambda: recorders() == 2)
        await killed(second)
        assert await broker.depth(STREAM_QUEUE) == 0
    assert await ObservedOrder.objects.acount() == 4
    assert (await Participant.objects.aget(version="vnext")).repeats == 0


async def test_of_observers_that_begin_at_once_one_records_before_any_message_comes() -> None:
    broker = MemoryBroker()
    await broker.declare(topology.live("vlatest", TYPES))
    shutdown = Shutdown()
    sessions = [asyncio.ensure_future(an_observer(shutdown).session(broker)) for _ in range(3)]
    await until_stored(lambda: recorders() > 0)
    shutdown.request()
    for ended in await asyncio.gather(*sessions, return_exceptions=True):
        assert ended is None or isinstance(ended, ExceptionGroup)


@pytest.mark.parametrize("comes_back", [False, True])
async def test_of_two_that_stand_by_one_records_once_the_third_has_gone(
    monkeypatch: pytest.MonkeyPatch, *, comes_back: bool
) -> None:
    monkeypatch.setattr(observing, "HEARTBEAT_S", 0.0)
    monkeypatch.setattr(observing, "SILENT_S", 1.5)
    broker, first = MemoryBroker(), Shutdown()
    await broker.declare(topology.live("vlatest", TYPES))
    recording = asyncio.ensure_future(an_observer(first).session(broker))
    await until_stored(lambda: recorders() == 1)
    others = Shutdown()
    sessions = [asyncio.ensure_future(an_observer(others).session(broker)) for _ in range(2)]
    await until(lambda: len(consuming(broker)) == 3)
    first.request()
    await recording
    if comes_back:
        sessions.append(asyncio.ensure_future(an_observer(others).session(broker)))
    await until_stored(lambda: recorders() > 1)
    others.request()
    await asyncio.gather(*sessions, return_exceptions=True)


async def test_an_observer_that_another_one_has_taken_over_from_ends_its_session(
    launch: Launch,
) -> None:
    broker, order = MemoryBroker(), await placed(launch)
    await broker.declare(topology.live("vlatest", TYPES))
    session = asyncio.ensure_future(an_observer().session(broker))
    await until_stored(lambda: recorders() == 1)
    await sync_to_async(Recorder.take_over)()
    await broker.publish([said(an_event(launch, order))])
    with pytest.raises(ExceptionGroup) as ended:
        await session
    assert ended.group_contains(BrokerLost, match="another observer is the recorder now")
    assert not await Observation.objects.aexists()
    broker.lose()
    broker.restore()
    async with observed(broker):
        await until_stored(lambda: Observation.objects.count() == 1)


@pytest.fixture(params=["memory", pytest.param("rabbit", marks=pytest.mark.broker)])
def played(request: pytest.FixtureRequest) -> Callable[..., Awaitable[None]]:
    """Runs a play on a fresh broker: what comes first, and what with an observer at work."""

    async def play(before: Callable[[Any], Any], during: Callable[[Any], Any]) -> None:
        if request.param == "memory":
            broker = MemoryBroker()
            await before(broker)
            async with observed(broker):
                await during(broker)
            return
        url = request.getfixturevalue("amqp_url")
        whole = LIVE, topology.stream(TYPES), Topology(queues=FORMER.queues)
        async with fresh_rabbit(url, *whole) as rabbit:
            await before(rabbit)
            process = asyncio.ensure_future(at_work(url, an_observer()))
            await during(rabbit)
            await killed(process)

    return play


async def test_what_waits_in_the_queue_of_the_last_release_is_recorded_and_the_queue_deleted(
    launch: Launch, played: Callable[..., Awaitable[None]]
) -> None:
    orders = [await placed(launch) for _ in range(5)]

    async def before(broker: Any) -> None:
        await broker.declare(LIVE)
        await broker.declare(FORMER)
        # The stream is bound, the former queue still is: the fourth event comes to both.
        await broker.publish([said(an_event(launch, order)) for order in orders[:3]])
        await broker.declare(topology.stream(TYPES))
        await broker.publish([said(an_event(launch, orders[3]))])
        assert await broker.depth(FORMER_OBSERVER_QUEUE) == 4
        assert await broker.depth(STREAM_QUEUE) == 1

    async def during(broker: Any) -> None:
        await until_stored(lambda: handled() == 4)
        async with asyncio.timeout(60):
            while await broker.has_queue(FORMER_OBSERVER_QUEUE):
                await asyncio.sleep(0.01)
        await broker.publish([said(an_event(launch, orders[4]))])
        await until_stored(lambda: handled() == 5)

    await played(before, during)
    assert (await Participant.objects.aget(version="vnext")).repeats == 0
    assert await Observation.objects.acount() == 5


async def test_the_former_queue_is_drained_though_its_events_come_a_few_at_a_time(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "BATCH", 2)
    broker, orders = MemoryBroker(), [await placed(launch) for _ in range(5)]
    await broker.declare(LIVE)
    await broker.declare(FORMER)
    await broker.publish([said(an_event(launch, order)) for order in orders])
    async with observed(broker):
        await until_stored(lambda: handled() == 5)
        async with asyncio.timeout(10):
            while FORMER_OBSERVER_QUEUE in broker.queues:
                await asyncio.sleep(0.01)


async def test_the_former_queue_stays_while_an_observer_of_an_earlier_release_takes_from_it(
    launch: Launch,
) -> None:
    broker, order = MemoryBroker(), await placed(launch)
    await broker.declare(LIVE)
    await broker.declare(FORMER)
    await broker.publish([said(an_event(launch, order))])
    former = await broker.consume(FORMER_OBSERVER_QUEUE, prefetch=10)
    assert len(await former.batch(at_most=1, gather_s=0, wait_s=0)) == 1
    async with observed(broker):
        await until_stored(lambda: recorders() == 1)
    former.end("the process has ended")
    assert broker.bodies(FORMER_OBSERVER_QUEUE)
    async with observed(broker):
        await until_stored(lambda: handled() == 1)
    assert FORMER_OBSERVER_QUEUE not in broker.queues


@pytest.mark.broker
async def test_the_former_queue_is_drained_to_the_last_event_that_was_delivered(
    amqp_url: str, launch: Launch
) -> None:
    order, events = await placed(launch), 1500
    former = Topology(queues=FORMER.queues)
    async with fresh_rabbit(amqp_url, LIVE, topology.stream(TYPES), former) as broker:
        await broker.declare(LIVE)
        await broker.declare(FORMER)
        ends = [said(an_event(launch, order)) for _ in range(events)]
        assert not any(await broker.publish(ends))
        process = asyncio.ensure_future(at_work(amqp_url, an_observer()))
        await until_stored(lambda: handled() + repeated() == events)
        await killed(process)


def repeated() -> int:
    rows = Participant.objects.filter(version="vnext")
    return rows.values_list("repeats", flat=True).first() or 0


async def test_a_sweep_that_waits_for_the_database_goes_by_the_time_at_which_it_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is in the queue by the end of an outage may have come in time."""
    broker, observer = MemoryBroker(), an_observer()
    recorder = await observer.take_over()
    times: list[datetime] = []

    def sweep(at: datetime, deadline: timedelta) -> SweepResult:
        times.append(at)
        if len(times) < 3:
            raise OperationalError("the database is away")
        return SweepResult(0, set(), is_done=True)

    def closed(*_: Any, **__: Any) -> set[UUID]:
        raise AssertionError("blocks were closed after an outage")

    monkeypatch.setattr(recorder, "sweep", sweep)
    monkeypatch.setattr(observing, "close_blocks", closed)
    monkeypatch.setattr(observing, "STALL_S", 0.0)
    await observer._sweep(broker, utc_now())
    assert len(times) == 3
    assert len(set(times)) == 1


def numbered(launch: Launch, orders: Sequence[UUID]) -> list[Outgoing]:
    """Orders with the numbers that the relay gives."""
    found = []
    for number, order in enumerate(orders, start=1):
        message = sent(launch, order, "vnext")
        headers = {topology.RELAY_HEADER: "0" * 32, topology.SEQ_HEADER: str(number)}
        found.append(msgspec.structs.replace(message, headers={**message.headers, **headers}))
    return found


async def test_orders_that_a_full_stream_has_dropped_are_counted_as_not_seen(
    launch: Launch, played: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(topology.STREAM_BOUND, "x-max-length", 5)
    orders = [uuid4() for _ in range(20)]

    async def before(broker: Any) -> None:
        await broker.declare(LIVE)
        await broker.declare(topology.stream(TYPES))
        assert await broker.publish(numbered(launch, orders)) == [None] * 20
        assert await broker.depth(topology.kitchen_queue("vlatest")) == 20

    async def during(_: Any) -> None:
        await until_stored(RelaySession.objects.exists)
        await until_stored(lambda: ObservedOrder.objects.count() == 5)

    await played(before, during)
    ((first, last),) = (await RelaySession.objects.aget()).ranges
    assert SeenNumbers([(first, last)]).unseen == 15
    assert await Observation.objects.acount() == 0
