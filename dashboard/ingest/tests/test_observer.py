"""The observer's loop on a broker in memory and a real database."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, transaction
from pytest_django import Settings

from dashboard.fold.admission import Admitted, EventMessage
from dashboard.ingest import observer as observing
from dashboard.ingest import recorder as recording
from dashboard.ingest.evidence import whole_tally
from dashboard.ingest.observer import Observer
from dashboard.ingest.recorder import Recorder, SweepResult
from dashboard.ingest.stream import Describer
from dashboard.models import (
    DeadLetter,
    DeadLetterTally,
    Evidence,
    LaunchRecord,
    LaunchRequirements,
    Observation,
    ObservedOrder,
    ObserverState,
    Participant,
    StubOrder,
)
from dashboard.tests.factories import START, a_launch, an_event, an_order
from dashboard.verdict import evidence, thresholds
from dashboard.verdict.evaluation import evaluate
from dashboard.verdict.thresholds import Requirement
from dashboard.verdict.verdict import Verdict
from kitchen_worker.amqp.broker import Delivery, Outgoing
from kitchen_worker.amqp.health import Health
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.amqp.tests import making
from kitchen_worker.amqp.tests.making import posted
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import (
    MAX_DEPTH,
    Event,
    EventKind,
    Role,
    encode_event,
    join_events,
    rfc3339,
    utc_now,
)
from kitchen_worker.testing import MemoryBroker, MemoryDeliveries
from restaurant.description import DescriptionFunction
from restaurant.environment import DEFAULT_DESCRIPTION
from restaurant.models import DarkVersion, Launch

pytestmark = pytest.mark.django_db(transaction=True)

TYPES = topology.QueueTypes()
PATIENCE_S = 60.0
#: A block long after the minute of the orders.
AFTER = int(START.timestamp()) + 100


def said(*events: Event, key: str = "") -> Outgoing:
    key = key or topology.events_key(events[0].role, events[0].version)
    body = join_events([encode_event(event) for event in events])
    return Outgoing(exchange=topology.KITCHEN_EVENTS, routing_key=key, body=body)


def sent(launch: Launch | None, order: UUID, *dark: str) -> Outgoing:
    """An order's message as the relay publishes it."""
    message = msgspec.structs.replace(making.an_order(), id=str(order))
    return posted(message, *dark, launch=str(launch.id) if launch else None)


def an_observer(
    shutdown: Shutdown | None = None, deadline: timedelta = timedelta(seconds=30)
) -> Observer:
    return Observer(
        types=TYPES,
        deadline=deadline,
        shutdown=shutdown or Shutdown(),
        health=Health(),
        describe=Describer(DescriptionFunction(DEFAULT_DESCRIPTION)),
    )


@asynccontextmanager
async def observed(
    broker: MemoryBroker, deadline: timedelta = timedelta(seconds=30)
) -> AsyncIterator[Observer]:
    """An observer at work, stopped in good order at the end."""
    shutdown = Shutdown()
    await broker.declare(topology.live("vlatest", TYPES))
    observer = an_observer(shutdown, deadline)
    running = asyncio.ensure_future(observer.session(broker))
    await until(lambda: topology.DEAD_LETTERS_QUEUE in broker.queues)
    try:
        yield observer
    finally:
        shutdown.request()
        async with asyncio.timeout(PATIENCE_S):
            await running


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def until_stored(condition: Callable[[], bool]) -> None:
    """Wait for a condition on the database, with a deadline."""
    async with asyncio.timeout(PATIENCE_S):
        while not await sync_to_async(condition)():
            await asyncio.sleep(0.01)


@pytest.fixture
def launch() -> Launch:
    return a_launch()


async def placed(launch: Launch | None, *sample: str) -> UUID:
    """The id of an order that was placed, and sent to a sample."""
    order = await sync_to_async(an_order)(launch, sample=sample or ("vnext",))
    return order.uuid


async def test_gathered_events_are_recorded_acked_and_announced(launch: Launch) -> None:
    broker, order = MemoryBroker(), await placed(launch)
    others = [await placed(launch) for _ in range(3)]
    async with observed(broker):
        await broker.publish([said(*(an_event(launch, other) for other in others))])
        await broker.publish([said(an_event(launch, order, "vlatest"))])
        await until_stored(lambda: Observation.objects.count() == 4)
        await until(lambda: any(m.exchange == topology.ANNOUNCEMENTS for m in broker.published))
    assert not broker.bodies(topology.STREAM_QUEUE)
    assert not broker.dead_letters


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"launch": str(uuid4())}, "was not placed in launch"),
        ({"version": "vlatest-b", "role": Role.BASELINE}, "was not sent to vlatest-b"),
        ({"version": "vmystery"}, "version vmystery has no part in launch"),
        ({"role": Role.CONTROL}, "version vnext is the candidate, and speaks as control"),
    ],
)
async def test_an_event_of_nobody_is_dead_lettered_with_its_reason(
    launch: Launch, change: dict[str, object], reason: str
) -> None:
    broker = MemoryBroker()
    fine = an_event(launch, await placed(launch))
    async with observed(broker):
        wrong = msgspec.structs.replace(an_event(launch, await placed(launch)), **change)
        key = topology.events_key(wrong.role, wrong.version)
        await broker.publish([said(wrong, key=key), said(fine)])
        await until_stored(lambda: DeadLetter.objects.count() == 1)
        await until_stored(lambda: Observation.objects.count() == 1)
    letter = await sync_to_async(DeadLetter.objects.get)()
    assert reason in letter.reason
    assert letter.queue == topology.STREAM_QUEUE
    assert (letter.version, str(letter.order)) == (wrong.version, wrong.order_id)


async def test_a_dark_kitchen_cannot_speak_as_the_control(launch: Launch) -> None:
    broker = MemoryBroker()
    async with observed(broker):
        order = await placed(launch)
        await broker.publish([said(an_event(launch, order, "vlatest"), key="candidate.vnext")])
        await until_stored(lambda: DeadLetter.objects.count() == 1)
    assert await sync_to_async(Observation.objects.count)() == 0
    letter = await sync_to_async(DeadLetter.objects.get)()
    assert "does not speak under the routing key 'candidate.vnext'" in letter.reason


async def test_bytes_that_nobody_can_read_are_counted_and_do_not_stop_the_rest(
    launch: Launch,
) -> None:
    broker = MemoryBroker()
    async with observed(broker):
        for body in (b"", b"{", b"\xff\x00", b"[]", b'{"kind":"handled"}', b"[" * 5000):
            await broker.publish(
                [
                    Outgoing(
                        exchange=topology.KITCHEN_EVENTS, routing_key="candidate.vnext", body=body
                    )
                ]
            )
        await broker.publish([said(an_event(launch, await placed(launch)))])
        await until_stored(lambda: Observation.objects.count() == 1)
        await until_stored(
            lambda: DeadLetterTally.objects.filter(queue=topology.STREAM_QUEUE, count=6).exists()
        )


async def test_events_that_overtake_their_order_count_once_it_comes(launch: Launch) -> None:
    broker, order = MemoryBroker(), uuid4()
    async with observed(broker, deadline=timedelta(seconds=1)):
        await broker.publish([said(an_event(launch, order, one)) for one in ("vlatest", "vnext")])
        await until_stored(StubOrder.objects.exists)
        await broker.publish([sent(launch, order, "vnext")])
        await until_stored(lambda: Observation.objects.count() == 2)
    assert not await StubOrder.objects.aexists()
    assert not broker.dead_letters
    assert (await ObservedOrder.objects.aget()).order_id == str(order)


async def test_events_of_an_order_that_nobody_publishes_become_dead_letters_after_the_deadline(
    launch: Launch,
) -> None:
    broker, order = MemoryBroker(), uuid4()
    async with observed(broker, deadline=timedelta(seconds=0.2)):
        await broker.publish([said(an_event(launch, order)), said(an_event(None, uuid4()))])
        await until_stored(DeadLetter.objects.exists)
        await until_stored(lambda: not StubOrder.objects.exists())
    letter = await DeadLetter.objects.aget()
    assert (letter.reason, letter.queue) == (f"no order {order} came", topology.STREAM_QUEUE)
    assert (letter.version, letter.order) == ("vnext", str(order))
    # What names no launch is of an order outside any launch, as far as anybody knows.
    assert (await ObserverState.objects.aget()).events_outside == 1


async def test_what_is_put_into_the_queue_by_its_name_is_neither_order_nor_event(
    launch: Launch,
) -> None:
    broker, order = MemoryBroker(), await placed(launch)
    async with observed(broker):
        for message in (said(an_event(launch, order)), sent(launch, uuid4(), "vnext")):
            forged = Delivery(
                tag=10**6 + len(message.body),
                queue=topology.STREAM_QUEUE,
                body=message.body,
                routing_key=topology.STREAM_QUEUE,
                message_id=message.message_id,
                headers=message.headers,
            )
            broker.queues[topology.STREAM_QUEUE].waiting.append(forged)
            broker.queues[topology.STREAM_QUEUE].changed.set()
        await until_stored(lambda: DeadLetter.objects.count() == 2)
    assert not await Observation.objects.aexists()
    assert await ObservedOrder.objects.acount() == 1


async def test_a_version_that_joins_a_running_launch_is_heard(launch: Launch) -> None:
    broker = MemoryBroker()
    async with observed(broker):
        await broker.publish([said(an_event(launch, await placed(launch)))])
        await until_stored(lambda: Observation.objects.count() == 1)
        await sync_to_async(DarkVersion.objects.create)(
            launch=launch, version="vshell", role="candidate", percent=100
        )
        await broker.publish([said(an_event(launch, await placed(launch, "vshell"), "vshell"))])
        await until_stored(
            lambda: Observation.objects.filter(participant__version="vshell").count() == 1
        )
    assert not broker.dead_letters


async def test_an_order_outside_any_launch_is_let_pass(launch: Launch) -> None:
    broker, order = MemoryBroker(), uuid4()
    async with observed(broker):
        await broker.publish([said(an_event(None, order, "vlatest"))])
        await until_stored(StubOrder.objects.exists)
        await broker.publish([sent(None, order)])
        await broker.publish([said(an_event(None, order, "vlatest"))])
        await broker.publish([said(an_event(launch, await placed(launch)))])
        await until_stored(lambda: Observation.objects.count() == 1)
    assert not broker.dead_letters
    assert not await StubOrder.objects.aexists()
    assert (await ObserverState.objects.aget()).events_outside == 2


async def test_while_the_database_is_away_nothing_is_acked_or_lost(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, real, tries = MemoryBroker(), Recorder.record, []

    def away_twice(*args: Any, **more: Any) -> Admitted:
        tries.append(args)
        if len(tries) <= 2:
            raise OperationalError("the database is away")
        return real(*args, **more)

    monkeypatch.setattr(Recorder, "record", away_twice)
    async with observed(broker):
        await broker.publish([said(an_event(launch, await placed(launch)))])
        await until_stored(lambda: Observation.objects.count() == 1)
    assert len(tries) == 3


async def test_a_batch_whose_commit_was_not_confirmed_is_recorded_once(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, tries = MemoryBroker(), []
    events = [an_event(launch, await placed(launch)) for _ in range(5)]
    bad = Outgoing(exchange=topology.KITCHEN_EVENTS, routing_key="candidate.vnext", body=b"{")

    def commits_and_loses_the_connection(real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **more: Any) -> Any:
            done = real(*args, **more)
            tries.append(real)
            if tries.count(real) == 1:
                raise OperationalError("the connection was lost in the commit")
            return done

        return run

    for owner, name in ((Recorder, "record"), (observing, "record_dead_letters")):
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, commits_and_loses_the_connection(real))
    async with observed(broker):
        await broker.publish([said(*events), bad])
        await until(lambda: len(tries) == 4)
    assert await sync_to_async(recorded)() == {"handled": 5, "repeats": 0, "dead letters": 1}


async def test_a_batch_whose_ack_was_lost_is_recorded_once(launch: Launch) -> None:
    broker = MemoryBroker()
    events = [an_event(launch, await placed(launch)) for _ in range(5)]
    dead = Outgoing(exchange=topology.ORDERS_DEAD, routing_key="kitchen.vnext", body=b"{}")
    once = {"handled": 5, "repeats": 0, "dead letters": 2}

    async def records_and_loses_the_broker() -> None:
        async with observed(broker):
            lose_the_next_acks(broker)
            await broker.publish([said(*events), dead, dead])
            await until_stored(lambda: Participant.objects.exists() and recorded() == once)
            broker.lose()

    with pytest.raises(ExceptionGroup):
        await records_and_loses_the_broker()
    broker.restore()
    async with observed(broker):
        await until(lambda: not broker.bodies(topology.STREAM_QUEUE))
        await until(lambda: not broker.bodies(topology.DEAD_LETTERS_QUEUE))
    assert await sync_to_async(recorded)() == once


def lose_the_next_acks(broker: MemoryBroker) -> None:
    """From now on the acks of those that consume do not arrive."""

    async def lost(deliveries: object) -> None:
        await asyncio.sleep(0)

    for consumer in broker._consumers:
        setattr(consumer, "ack", lost)  # noqa: B010


def recorded() -> dict[str, int]:
    """What is counted of vnext, and of dead letters."""
    tally = Participant.objects.get(version="vnext")
    letters = DeadLetterTally.objects.values_list("count", flat=True)
    return {
        "handled": tally.handled,
        "repeats": tally.repeats,
        "dead letters": sum(letters),
    }


async def test_one_event_that_the_database_refuses_costs_itself_alone(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, real = MemoryBroker(), Recorder.record
    events = [an_event(launch, await placed(launch)) for _ in range(9)]

    def picky(
        recorder: Recorder, orders: Any, batch: Sequence[EventMessage], at: datetime, **more: Any
    ) -> Admitted:
        if any(one.report.event_id == events[4].event_id for one in batch):
            raise ValueError("cannot be kept")
        return real(recorder, orders, batch, at, **more)

    monkeypatch.setattr(Recorder, "record", picky)
    async with observed(broker):
        await broker.publish([said(*events)])
        await until_stored(lambda: Observation.objects.count() == 8)
        await until_stored(lambda: DeadLetter.objects.count() == 1)
    letter = await sync_to_async(DeadLetter.objects.get)()
    assert letter.reason == "the database does not take it: cannot be kept"


async def test_a_bad_event_among_good_ones_costs_itself_alone(launch: Launch) -> None:
    broker = MemoryBroker()
    good = [encode_event(an_event(launch, await placed(launch))) for _ in range(4)]
    huge = good[0].replace(b'"7.00"', b'"' + b"7" * 300_000 + b'"')
    late = good[0].replace(b"2026-01-05", b"9999-12-31")
    bodies = [*good, huge, late, b'{"kind": "handled"}']
    async with observed(broker):
        await broker.publish(
            [
                Outgoing(
                    exchange=topology.KITCHEN_EVENTS,
                    routing_key="candidate.vnext",
                    body=join_events(bodies),
                )
            ]
        )
        await until_stored(lambda: Observation.objects.count() == 4)
        await until_stored(lambda: DeadLetter.objects.count() == 3)
    for reason in ("event of 300", "a time from 2000 to 2200 is wanted", "missing required"):
        letters = DeadLetter.objects.filter(reason__contains=reason)
        assert await letters.acount() == 1, reason


async def test_an_event_that_names_no_launch_counts_in_that_of_its_order(launch: Launch) -> None:
    broker = MemoryBroker()
    async with observed(broker):
        event = msgspec.structs.replace(an_event(launch, await placed(launch)), launch=None)
        await broker.publish([said(event)])
        await until_stored(
            lambda: Observation.objects.filter(participant__launch=launch.id).count() == 1
        )
    assert not broker.dead_letters


async def test_a_result_deeper_than_the_contract_allows_is_refused_and_nothing_else_suffers(
    launch: Launch,
) -> None:
    broker = MemoryBroker()
    deep = [MAX_DEPTH - 1, MAX_DEPTH, 500, 900, 980]
    async with observed(broker):
        for depth in deep:
            event = encode_event(an_event(launch, await placed(launch)))
            nested = b"[" * depth + b"]" * depth
            body = event.replace(b'"7.00"', nested)
            await broker.publish(
                [
                    Outgoing(
                        exchange=topology.KITCHEN_EVENTS, routing_key="candidate.vnext", body=body
                    )
                ]
            )
        await broker.publish([said(an_event(launch, await placed(launch)))])
        await until_stored(
            lambda: Observation.objects.count() + DeadLetter.objects.count() == len(deep) + 1
        )
    assert await sync_to_async(Observation.objects.count)() == 2


async def test_more_events_than_one_statement_can_name_are_recorded(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "RECORDED_AT_ONCE", 3)
    broker = MemoryBroker()
    events = [an_event(launch, await placed(launch)) for _ in range(10)]
    async with observed(broker):
        await broker.publish([said(*events)])
        await until_stored(lambda: Observation.objects.count() == 10)


async def test_silence_counts_only_once_all_is_heard_that_was_said(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, order = MemoryBroker(), await placed(launch)
    heard_at_each_sweep: list[int] = []

    real = Recorder.sweep

    def sweep(recorder: Recorder, at: datetime, deadline: timedelta) -> SweepResult:
        heard_at_each_sweep.append(Observation.objects.count())
        return real(recorder, at, deadline)

    monkeypatch.setattr(Recorder, "sweep", sweep)
    monkeypatch.setattr(observing, "MANY", 1)
    monkeypatch.setattr(observing, "CAUGHT_UP_S", 0.2)
    monkeypatch.setattr(observing, "STALL_S", 60.0)
    monkeypatch.setattr(observing, "BATCH", 1)
    await broker.declare(topology.live("vlatest", TYPES) + topology.stream(TYPES))
    events = [an_event(launch, order, version) for version in ("vlatest", "vnext")]
    await broker.publish([said(event) for event in events])
    async with observed(broker, deadline=timedelta(0)):
        await until(lambda: bool(heard_at_each_sweep))
    assert heard_at_each_sweep[0] == 2


async def test_a_long_sweep_takes_turns_with_live_events_and_beats_at_each_step(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, order, real = MemoryBroker(), await placed(launch), Recorder.sweep
    for _ in range(30):
        await placed(launch)
    beaten: list[int] = []
    at_each_step: list[tuple[bool, int]] = []

    def sweep(recorder: Recorder, at: datetime, deadline: timedelta) -> SweepResult:
        handled = Observation.objects.filter(order__order_id=str(order), state="handled")
        at_each_step.append((handled.exists(), len(beaten)))
        return real(recorder, at, deadline)

    monkeypatch.setattr(recording, "SWEPT_AT_ONCE", 1)
    monkeypatch.setattr(Recorder, "sweep", sweep)
    monkeypatch.setattr(Health, "beat", lambda _: beaten.append(1))
    async with observed(broker, deadline=timedelta(0)):
        await until(lambda: len(at_each_step) >= 3)
        await broker.publish([said(an_event(launch, order))])
        await until_stored(lambda: Observation.objects.filter(state="missing").count() == 61)
    heard = [was_heard for was_heard, _ in at_each_step[:30]]
    assert True in heard
    beats = [number for _, number in at_each_step]
    assert all(one < other for one, other in pairwise(beats))


@pytest.fixture
def _short_blocks(settings: Settings) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, block_s=1.0, deadline_s=5.0, warm_up_s=2.0)


async def test_an_ended_launch_gets_its_record_beside_the_live_work() -> None:
    launch = await sync_to_async(a_launch)(ended_at=START)
    async with observed(MemoryBroker(), timedelta(seconds=0.2)):
        await until_stored(LaunchRecord.objects.exists)
    assert (await LaunchRecord.objects.aget()).launch == launch.pk


@pytest.mark.usefixtures("_short_blocks")
async def test_an_hour_without_an_observer_costs_no_order_and_no_answer(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it waits in the queue, and counts for the time when it was sent."""
    monkeypatch.setattr(observing, "BATCH", 100)
    broker, orders, begun = MemoryBroker(), 300, utc_now() - timedelta(hours=1)
    await broker.declare(topology.live("vlatest", TYPES) + topology.stream(TYPES))
    for number in range(orders):
        order, sent_at = uuid4(), begun + timedelta(seconds=number / 10)
        message = sent(launch, order, "vnext")
        headers = {**message.headers, topology.SENT_AT_HEADER: rfc3339(sent_at)}
        await broker.publish([msgspec.structs.replace(message, headers=headers)])
        await broker.publish([said(an_event(launch, order, one)) for one in ("vlatest", "vnext")])
    async with observed(broker, deadline=timedelta(0)):
        await until_stored(Evidence.objects.filter(settled_until__isnull=False).exists)
    evidence = await Evidence.objects.aget()
    counted = await sync_to_async(whole_tally)(evidence)
    warm_up = counted.evidence().warm_up
    assert warm_up.orders + counted.evidence().orders == orders
    assert (evidence.late, evidence.lost) == (0, 0)
    assert counted.settled_until is not None
    assert counted.settled_until > (begun + timedelta(seconds=orders / 10)).timestamp()
    for version in ("vlatest", "vnext"):
        participant = await Participant.objects.aget(version=version)
        assert (participant.handled, participant.missing) == (orders, 0)


@pytest.mark.usefixtures("_short_blocks")
async def test_messages_that_wait_while_none_arrive_close_no_block(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the process was suspended for an hour, before it notices its dead connection."""
    broker, begun = MemoryBroker(), utc_now() - timedelta(hours=1)
    clock = begun + timedelta(seconds=20)
    monkeypatch.setattr(observing, "utc_now", lambda: clock)
    await broker.declare(topology.live("vlatest", TYPES) + topology.stream(TYPES))

    async def answered(numbers: range) -> None:
        for number in numbers:
            order, sent_at = uuid4(), begun + timedelta(seconds=number)
            message = sent(launch, order, "vnext")
            headers = {**message.headers, topology.SENT_AT_HEADER: rfc3339(sent_at)}
            await broker.publish([msgspec.structs.replace(message, headers=headers)])
            await broker.publish(
                [said(an_event(launch, order, one)) for one in ("vlatest", "vnext")]
            )

    real_batch, is_stalled, empty = MemoryDeliveries.batch, False, 0

    async def batch(deliveries: MemoryDeliveries, **limits: Any) -> Any:
        nonlocal empty
        if not is_stalled or deliveries.queue != topology.STREAM_QUEUE:
            return await real_batch(deliveries, **limits)
        empty += 1
        await asyncio.sleep(0.01)
        return []

    monkeypatch.setattr(MemoryDeliveries, "batch", batch)
    monkeypatch.setattr(observing, "CAUGHT_UP_S", 0.05)
    monkeypatch.setattr(observing, "SWEEP_EVERY_S", 0.05)
    handled = Participant.objects.filter(version="vnext")
    async with observed(broker, deadline=timedelta(0)):
        await answered(range(20))
        await until_stored(handled.filter(handled=20).exists)
        is_stalled = True
        await until(lambda: empty > 0)
        await answered(range(20, 200))
        clock, before = begun + timedelta(hours=1), empty
        await until(lambda: empty >= before + 50)
        is_stalled = False
        await until_stored(handled.filter(handled=200).exists)
    evidence = await Evidence.objects.aget()
    assert (evidence.late, evidence.lost) == (0, 0)


async def test_changes_are_noted_in_the_thread_of_the_loop(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another one, asyncio's event may break while it wakes who waits, or wake nobody."""
    real, threads = Observer._note_changed, set()

    def note(observer: Observer, launches: Any) -> None:
        threads.add(threading.current_thread())
        real(observer, launches)

    monkeypatch.setattr(Observer, "_note_changed", note)
    broker, order = MemoryBroker(), uuid4()
    async with observed(broker):
        await broker.publish([sent(launch, order, "vnext"), said(an_event(launch, order))])
        await until_stored(Observation.objects.filter(state="handled").exists)
        await until(lambda: bool(threads))
    assert threads == {threading.current_thread()}


#: Says how a version ends an order, by its number; None for silence.
Behaviour = Callable[[str, int], EventKind | None]


def a_minute(launch: Launch, sample: tuple[str, ...], ends: Behaviour) -> Iterator[Outgoing]:
    """What all say of 700 orders at ten a second; vnext is a fifth faster."""
    rng = random.Random(5)
    for number in range(700):
        at = START + timedelta(seconds=number / 10)
        order = an_order(launch, sample=sample, placed_at=at, sent_at=at).uuid
        ms = 100 * rng.lognormvariate(0, 0.3)
        for version in ("vlatest", *sample):
            own_ms = 0.8 * ms if version == "vnext" else ms
            if kind := ends(version, number):
                event = an_event(launch, order, version, kind, handling_ms=own_ms, placed_at=at)
                yield said(event)


async def verdict_after(
    launch: Launch,
    ends: Behaviour,
    *,
    sample: tuple[str, ...] = ("vnext",),
    margin: float = 0.05,
    most_missing: float = 0.01,
) -> Verdict:
    """What is said once the observer has taken the minute, with wide thresholds."""
    lines = ("failures", "slow", "differences", "speed")
    await sync_to_async(LaunchRequirements.objects.create)(
        launch=launch.id, author="ada", reason="few orders", set_at=START,
        most_missing=most_missing, most_behind_s=10,
        **{f"{line}_margin": margin for line in lines},
    )  # fmt: skip
    messages = await sync_to_async(
        transaction.atomic(lambda: list(a_minute(launch, sample, ends)))
    )()
    broker = MemoryBroker()
    async with observed(broker):
        for start, end in pairwise((0, 1100, len(messages))):
            await broker.publish(messages[start:end])
            await until_stored(Observation.objects.all()[end - 1 : end].exists)
    async with observed(broker, deadline=timedelta(0)):  # closes blocks at once
        await until_stored(lambda: Evidence.objects.filter(settled_until__gt=AFTER).exists())
    weighed = await sync_to_async(evaluate)(
        launch.id, "vnext", thresholds.LaunchHealth(behind_s=0.0)
    )
    assert weighed is not None
    return weighed.verdict


@pytest.mark.sqlite
@pytest.mark.usefixtures("_short_blocks")
async def test_orders_that_came_too_late_to_be_counted_withhold_the_verdict(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_in_the_end(version: str, number: int) -> EventKind:
        is_failed = version == "vnext" and number >= 550
        return EventKind.FAILED if is_failed else EventKind.HANDLED

    monkeypatch.setattr(evidence, "MOST_BLOCKS", 55)
    await sync_to_async(launch.dark_versions.filter(version="vlatest-b").delete)()
    verdict = await verdict_after(launch, fails_in_the_end)
    assert verdict.sentence("vnext") == ("WITHHELD: 150 of 700 orders came too late to be counted.")


@pytest.mark.sqlite
@pytest.mark.usefixtures("_short_blocks")
@pytest.mark.parametrize("failing", [1.0, 0.6])
async def test_a_control_that_fails_most_orders_is_named(launch: Launch, failing: float) -> None:
    def ends(version: str, number: int) -> EventKind:
        is_failed = version == "vlatest" and number % 10 < 10 * failing
        return EventKind.FAILED if is_failed else EventKind.HANDLED

    verdict = await verdict_after(launch, ends)
    assert verdict.sentence("vnext") == (
        f"WITHHELD: the control failed on {700 * failing:.0f} of 700 orders."
    )


@pytest.mark.sqlite
@pytest.mark.usefixtures("_short_blocks")
@pytest.mark.parametrize(
    ("sample", "kind", "why"),
    [
        (("vnext",), None, "the baseline gets no orders"),
        (
            ("vnext", "vlatest-b"),
            None,
            "the baseline does not answer: 300 of the newest 300 orders",
        ),
        (
            ("vnext", "vlatest-b"),
            EventKind.FAILED,
            "the baseline fails: 300 of the newest 300 orders",
        ),
    ],
    ids=["idle", "dead", "failing"],
)
async def test_without_a_baseline_that_answers_differences_are_judged_with_noise_and_it_is_named(
    launch: Launch, sample: tuple[str, ...], kind: EventKind | None, why: str
) -> None:
    def ends(version: str, number: int) -> EventKind | None:
        return kind if version == "vlatest-b" else EventKind.HANDLED

    verdict = await verdict_after(launch, ends, sample=sample)
    assert verdict.word == "ready"
    assert f"{why}; differences are judged with noise included" in verdict.warnings


@pytest.mark.sqlite
@pytest.mark.usefixtures("_short_blocks")
@pytest.mark.parametrize("margin", [0.3, 0.02])
async def test_answers_that_the_candidate_alone_owes_withhold_only_while_they_could_matter(
    launch: Launch, margin: float
) -> None:
    def ends(version: str, number: int) -> EventKind | None:
        return None if version == "vnext" and number % 33 == 0 else EventKind.HANDLED

    await sync_to_async(launch.dark_versions.filter(version="vlatest-b").delete)()
    verdict = await verdict_after(launch, ends, margin=margin, most_missing=0.1)
    assert verdict.word == ("ready" if margin == 0.3 else "withheld")
    why = "not comparable: only the candidate's results are missing on"
    assert any(why in reason for reason in verdict.reasons) == (margin == 0.02)


@pytest.mark.sqlite
@pytest.mark.usefixtures("_short_blocks")
async def test_one_burst_of_failures_far_below_the_limit_does_not_hold_back_the_word(
    launch: Launch,
) -> None:
    def ends(version: str, number: int) -> EventKind:
        burst = version == "vnext" and 400 <= number < 410
        return EventKind.FAILED if burst else EventKind.HANDLED

    await sync_to_async(launch.dark_versions.filter(version="vlatest-b").delete)()
    verdict = await verdict_after(launch, ends, margin=0.3)
    failures = verdict.of(Requirement.FAILURES)
    assert (verdict.word, failures.word) == ("ready", "no worse")
    assert failures.interval is not None
    assert failures.interval.lo < 0 < (failures.estimate or 0)
