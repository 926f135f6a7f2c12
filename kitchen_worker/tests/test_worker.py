"""The worker on a broker in memory: what it publishes, what it holds, what it never loses."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from kitchen_worker import worker
from kitchen_worker.amqp.broker import BrokerError, Outgoing, PublishFailed
from kitchen_worker.amqp.health import Health
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.amqp.tests.making import (
    LAUNCH,
    an_item,
    an_order,
    decode_events,
    posted,
    posted_bytes,
    topology_of,
)
from kitchen_worker.amqp.tests.waiting import DEADLINE_S, until
from kitchen_worker.config import WorkerConfig
from kitchen_worker.contract.messages import (
    MAX_DEPTH,
    MAX_EVENT_BYTES,
    Event,
    EventKind,
    Failure,
    PlacedOrder,
    Role,
    utc_now,
)
from kitchen_worker.contract.topology import (
    KITCHEN_EVENTS,
    ORDERS_DEAD,
    REASON_HEADER,
    dark_header,
    kitchen_queue,
)
from kitchen_worker.handling import kitchen_of
from kitchen_worker.testing import MemoryBroker

CONFIG = WorkerConfig(version="vnext", role=Role.CANDIDATE, minute_ms=0, build="git:1a2b3c")
QUEUE = kitchen_queue("vnext")
WHOLE = topology_of("vnext")
Work = Callable[[PlacedOrder], Any]


class Kitchens:
    """What users bring: callables of every kind, here as attributes that tests set."""

    work: Work
    over = False


def served(order: PlacedOrder) -> Any:
    """The kitchen of the test that runs now."""
    return Kitchens.work(order)


async def served_async(order: PlacedOrder) -> Any:
    """The same as something to await."""
    return await Kitchens.work(order)


SYNC = replace(CONFIG, kitchen=f"{__name__}:served")
ASYNC = replace(CONFIG, kitchen=f"{__name__}:served_async")


def begun(
    broker: MemoryBroker,
    config: WorkerConfig,
    shutdown: Shutdown,
    drain_s: float = 9.0,
    health: Health | None = None,
) -> asyncio.Task[None]:
    """A worker's session, begun."""
    one = worker.Worker(
        config=config,
        kitchen=kitchen_of(config),
        shutdown=shutdown,
        health=health or Health(),
        drain_s=drain_s,
    )
    return asyncio.create_task(one.session(broker))


@asynccontextmanager
async def working(
    broker: MemoryBroker,
    config: WorkerConfig = CONFIG,
    drain_s: float = 9.0,
    health: Health | None = None,
) -> AsyncIterator[Shutdown]:
    """A worker's session, asked to stop at the end."""
    shutdown = Shutdown()
    session = begun(broker, config, shutdown, drain_s, health)
    try:
        yield shutdown
    finally:
        shutdown.request()
        await asyncio.wait_for(session, 20)


async def opened() -> MemoryBroker:
    """A broker on which vnext's queue stands already."""
    broker = MemoryBroker()
    await broker.declare(WHOLE)
    return broker


def told(broker: MemoryBroker, *kinds: EventKind) -> list[Event]:
    """All events that were published, or those of some kinds."""
    return [
        event
        for message in broker.published
        if message.exchange == KITCHEN_EVENTS
        for event in decode_events(message.body)
        if not kinds or event.kind in kinds
    ]


ENDS = (EventKind.HANDLED, EventKind.FAILED)


async def ended(broker: MemoryBroker, count: int) -> list[Event]:
    """The first ``count`` events that end an order."""
    await until(lambda: len(told(broker, *ENDS)) >= count, f"{count} orders ended")
    return told(broker, *ENDS)


async def test_an_order_in_work_for_a_while_is_received_then_handled_and_gone() -> None:
    broker = await opened()
    order = an_order(an_item("burger", 20), placed_at=utc_now() - timedelta(seconds=2))
    await broker.publish([posted(order, "vnext")])
    async with working(broker, replace(CONFIG, minute_ms=8)):
        [handled] = await ended(broker, 1)
        [received] = told(broker, EventKind.RECEIVED)
    assert (handled.kind, handled.order_id) == (EventKind.HANDLED, order.id)
    assert received.order_id == order.id
    assert received.event_id != handled.event_id
    assert (handled.received_at - received.received_at) < timedelta(seconds=0.2), "when it began"
    for event in (received, handled):
        assert (event.version, event.role, event.build) == (
            "vnext",
            Role.CANDIDATE,
            "git:1a2b3c",
        )
        assert (event.launch, event.delivery, event.redelivered) == (LAUNCH, 1, False)
        assert event.placed_at == order.placed_at
    assert handled.result is not None
    assert handled.result["total_price"] == "70.00"
    assert handled.queue_ms is not None
    assert 2000 <= handled.queue_ms < 30_000
    assert handled.handling_ms is not None
    assert handled.handling_ms >= 0
    assert broker.bodies(QUEUE) == []


async def test_an_order_outside_a_launch_has_events_without_one() -> None:
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext", launch=None)])
    async with working(broker):
        [handled] = await ended(broker, 1)
    assert handled.launch is None


@pytest.mark.parametrize("shift", [timedelta(days=1), timedelta(days=-365 * 20)])
async def test_a_clock_that_is_wrong_makes_no_event_unreadable(shift: timedelta) -> None:
    broker = await opened()
    await broker.publish([posted(an_order(placed_at=utc_now() + shift), "vnext")])
    async with working(broker):
        [handled] = await ended(broker, 1)
    assert handled.queue_ms == pytest.approx(max(-shift / timedelta(milliseconds=1), 0), rel=1e-3)


async def test_a_kitchen_that_raises_publishes_a_failed_event() -> None:
    broker = await opened()
    await broker.publish([posted(an_order(an_item("fries", 21)), "vnext")])
    async with working(broker):
        [failed] = await ended(broker, 1)
    assert failed.kind is EventKind.FAILED
    assert failed.error is not None
    assert failed.error.type == "TooManyPortions"
    assert "21 of 'fries'" in failed.error.message
    assert broker.bodies(QUEUE) == []
    assert broker.dead_letters == []


class _Wordless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class _Final(BaseException):
    pass


ERRORS: list[tuple[BaseException, str, str]] = [
    (ValueError("x" * 10_000), "ValueError", "x" * 4000),
    (KeyError("\ud800\0 é 鍋"), "KeyError", "'\\ud800\\x00 é 鍋'"),
    (ValueError("\ud800\0 é 鍋"), "ValueError", "?\ufffd é 鍋"),
    (_Wordless(), "_Wordless", "(its message cannot be read)"),
    (_Final("end"), "_Final", "end"),
    (SystemExit(3), "SystemExit", "3"),
    (KeyboardInterrupt(), "KeyboardInterrupt", ""),
    (StopIteration(1), "StopIteration", "1"),
    (asyncio.CancelledError(), "CancelledError", ""),
    (GeneratorExit(), "GeneratorExit", ""),
    (type("L" * 300, (Exception,), {})("long"), "L" * 200, "long"),
]


@pytest.mark.parametrize(
    "error", [case[0] for case in ERRORS], ids=lambda error: type(error).__name__
)
async def test_whatever_a_kitchen_raises_is_data_and_work_goes_on(error: BaseException) -> None:
    def work(order: PlacedOrder) -> Any:
        if order.note == "raise":
            raise error
        return {"fine": True}

    async def work_async(order: PlacedOrder) -> Any:
        return work(order)

    kinds: list[tuple[WorkerConfig, Work]] = [(SYNC, work), (ASYNC, work_async)]
    for config, kitchen_work in kinds:
        Kitchens.work = kitchen_work
        broker = await opened()
        async with working(broker, config):
            await broker.publish([posted(an_order(note="raise"), "vnext")])
            [failed] = await ended(broker, 1)
            await broker.publish([posted(an_order(), "vnext")])
            _, handled = await ended(broker, 2)
        _, name, message = next(case for case in ERRORS if case[0] is error)
        assert failed.error is not None
        if not (config is ASYNC and isinstance(error, StopIteration)):  # Python's own rule
            assert (failed.error.type, failed.error.message) == (name, message)
        assert handled.result == {"fine": True}


def _nested(depth: int) -> dict[str, Any]:
    """A result so deep: objects and lists in turn, the result being the first."""
    inner: Any = "soup"
    for level in range(depth, 1, -1):
        inner = {"in": inner} if level % 2 else [inner]
    return {"in": inner}


def _doubling() -> dict[str, Any]:
    """A small result that would be written as 2^60 values."""
    inner: list[Any] = []
    for _ in range(60):
        inner = [inner, inner]
    return {"in": inner}


def _cyclic() -> dict[str, Any]:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    return endless


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "a NoneType, not a JSON object"),
        ([1], "a list, not a JSON object"),
        ("soup", "a str, not a JSON object"),
        ({"soup": object()}, "not JSON: a object at $.soup"),
        ({"soups": [{"salts": {"sea"}}]}, "not JSON: a set at $.soups[0].salts"),
        ({"soups": (frozenset(),)}, "not JSON: a frozenset at $.soups[0]"),
        ({"soup": b"hot"}, "not JSON: a bytes at $.soup"),
        ({"price": Decimal("1E+3")}, "not JSON: a Decimal at $.price"),
        ({"at": utc_now()}, "not JSON: a datetime at $.at"),
        ({"id": UUID(int=1)}, "not JSON: a UUID at $.id"),
        ({"config": CONFIG}, "not JSON: a WorkerConfig at $.config"),
        ({"soup": {7: "hot"}}, "not JSON: the key 7 is a int at $.soup"),
        (_nested(MAX_DEPTH + 1), "nested more than 64 deep"),
        (_doubling(), "too large"),
        ({"soup": "\ud800"}, "not JSON"),
        ({"soup": float("nan")}, "NaN or an infinity"),
        ({"soups": [{"salt": (1, float("-inf"))}]}, "NaN or an infinity"),
        (_cyclic(), "nested more than 64 deep"),
        ({"soup": "x" * MAX_EVENT_BYTES}, "too large"),
    ],
    ids=lambda value: value.split(": ")[-1] if isinstance(value, str) else "",
)
async def test_an_invalid_result_is_a_failure_with_a_reason(result: Any, said: str) -> None:
    Kitchens.work = lambda order: result
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext")])
    async with working(broker, SYNC):
        [failed] = await ended(broker, 1)
    assert failed.error is not None
    assert failed.error.type == "BadResult"
    assert said in failed.error.message
    assert broker.bodies(QUEUE) == []


async def test_a_result_as_deep_as_the_contract_allows_is_published() -> None:
    Kitchens.work = lambda order: _nested(MAX_DEPTH)
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext")])
    async with working(broker, SYNC):
        [handled] = await ended(broker, 1)
    assert handled.result == _nested(MAX_DEPTH)


async def test_an_empty_result_is_published_unchanged() -> None:
    result = {"salt": None, "pepper": [None, 0.5, {"grains": None}], "said": "null"}
    Kitchens.work = lambda order: result
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext")])
    async with working(broker, SYNC):
        [handled] = await ended(broker, 1)
    assert handled.result == result


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b"{}", b'"order"', b" " * 70_000])
async def test_an_unreadable_order_is_dead_lettered_with_its_reason_and_work_goes_on(
    body: bytes,
) -> None:
    broker = await opened()
    order = an_order()
    wild = posted_bytes(body, {dark_header("vnext"): "1"})
    await broker.publish([wild, posted(order, "vnext"), wild])
    async with working(broker):
        [handled] = await ended(broker, 1)
        await until(lambda: len(broker.dead_letters) == 2, "both are dead-lettered")
    assert handled.order_id == order.id
    for letter in broker.dead_letters:
        assert letter.headers["x-version"] == "vnext"
        assert (letter.exchange, letter.routing_key, letter.body) == (ORDERS_DEAD, QUEUE, body)
        assert "order" in letter.headers[REASON_HEADER]


@pytest.mark.parametrize("launch", ["first", "", 7, [LAUNCH], LAUNCH + "\n"])
async def test_an_order_of_a_launch_that_is_no_id_is_dead_lettered(launch: Any) -> None:
    broker = await opened()
    wild = posted(an_order(), "vnext")
    await broker.publish(
        [msgspec.structs.replace(wild, headers={**wild.headers, "launch": launch})]
    )
    async with working(broker):
        await until(lambda: len(broker.dead_letters) == 1, "it is dead-lettered")
    assert "launch" in broker.dead_letters[0].headers[REASON_HEADER]
    assert told(broker) == []


async def test_events_are_gathered_and_every_order_ends_once() -> None:
    broker = await opened()
    orders = [an_order(number=number) for number in range(500)]
    await broker.publish([posted(order, "vnext") for order in orders])
    async with working(broker):
        handled = await ended(broker, 500)
    messages = [message for message in broker.published if message.exchange == KITCHEN_EVENTS]
    assert Counter(event.order_id for event in handled) == {order.id: 1 for order in orders}
    assert len(messages) < 100
    assert all(message.routing_key == "candidate.vnext" for message in messages)
    for message in messages:
        events = decode_events(message.body)
        assert len(events) <= 100
        assert (message.type == "order.events") == (len(events) > 1)
        assert message.persistent == any(event.kind in ENDS for event in events)
    ids = [event.event_id for one in messages for event in decode_events(one.body)]
    assert len(set(ids)) == len(ids)


async def test_large_events_never_make_a_message_too_large() -> None:
    Kitchens.work = lambda order: {"soup": "x" * (MAX_EVENT_BYTES - 1000)}
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext") for _ in range(12)])
    async with working(broker, SYNC):
        handled = await ended(broker, 12)
    assert {event.kind for event in handled} == {EventKind.HANDLED}


async def test_an_order_that_ends_sooner_gets_no_received_event() -> None:
    hold = asyncio.Event()

    async def work(order: PlacedOrder) -> Any:
        if order.note == "slow":
            await hold.wait()
        return {}

    Kitchens.work = work
    broker = await opened()
    slow = an_order(note="slow")
    await broker.publish([posted(order, "vnext") for order in (an_order(), an_order(), slow)])
    async with working(broker, ASYNC):
        await until(lambda: told(broker, EventKind.RECEIVED) != [], "the slow one is received")
        hold.set()
        await ended(broker, 3)
    assert [event.order_id for event in told(broker, EventKind.RECEIVED)] == [slow.id]


@pytest.mark.parametrize("again", [{"redelivered": True}, {"headers": {"x-delivery-count": 1}}])
async def test_work_on_a_redelivered_order_starts_after_its_received_event(
    again: dict[str, Any],
) -> None:
    said_before: list[list[EventKind]] = []

    async def work(order: PlacedOrder) -> Any:
        said_before.append([event.kind for event in told(broker)])
        return {}

    Kitchens.work = work
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext")])
    [first] = broker.queues[QUEUE].waiting
    broker.queues[QUEUE].waiting[0] = msgspec.structs.replace(first, **again)
    async with working(broker, ASYNC):
        await ended(broker, 1)
    assert said_before == [[EventKind.RECEIVED]]
    assert [event.kind for event in told(broker)] == [EventKind.RECEIVED, EventKind.HANDLED]


async def test_an_order_that_was_given_up_gets_no_received_event_afterwards() -> None:
    Kitchens.over = False
    Kitchens.work = _ignoring
    broker = await opened()
    await broker.publish([posted(an_order(note="hang"), "vnext")])
    async with working(broker, hasty(ASYNC)):
        await ended(broker, 1)
        later = asyncio.get_running_loop().time() + worker.RECEIVED_AFTER_S
        await until(lambda: asyncio.get_running_loop().time() > later, "it would be late")
        Kitchens.over = True
    assert [event.kind for event in told(broker)] == [EventKind.FAILED]


async def test_a_slow_order_gets_a_received_event() -> None:
    release = asyncio.Event()

    async def work(order: PlacedOrder) -> Any:
        await release.wait()
        return {}

    Kitchens.work = work
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext")])
    async with working(broker, ASYNC):
        await until(lambda: len(told(broker)) == 1, "the order is received")
        [message] = [one for one in broker.published if one.exchange == KITCHEN_EVENTS]
        assert (message.type, message.persistent) == ("order.received", False)
        release.set()
        await ended(broker, 1)
    assert broker.published[-1].type == "order.handled"


async def test_no_more_orders_than_the_concurrency_cook_at_once_in_threads_too() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(order: PlacedOrder) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return {}

    Kitchens.work = work
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext") for _ in range(30)])
    async with working(broker, replace(SYNC, concurrency=3)):
        await ended(broker, 30)
    assert most == 3


async def test_handling_time_is_the_kitchens_work_alone() -> None:
    def work(order: PlacedOrder) -> Any:
        time.sleep(0.03)
        return {}

    Kitchens.work = work
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext") for _ in range(4)])
    async with working(broker, replace(SYNC, concurrency=1)):
        handled = await ended(broker, 4)
    assert all(30 <= (event.handling_ms or 0) < 110 for event in handled)


async def test_simulated_time_follows_the_minutes() -> None:
    broker = await opened()
    order = an_order(an_item("burger", 4))
    await broker.publish([posted(order, "vnext")])
    async with working(broker, replace(CONFIG, minute_ms=2, seed=1)):
        [handled] = await ended(broker, 1)
    assert handled.handling_ms is not None
    assert 25 < handled.handling_ms < 200


async def test_asked_to_stop_it_finishes_what_it_holds_and_takes_no_more() -> None:
    release = asyncio.Event()

    async def work(order: PlacedOrder) -> Any:
        await release.wait()
        return {}

    Kitchens.work = work
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext") for _ in range(5)])
    async with working(broker, replace(ASYNC, concurrency=2, prefetch=2)) as shutdown:
        await until(lambda: len(told(broker)) == 2, "two orders cook")
        shutdown.request()
        await asyncio.sleep(0)
        release.set()
    assert len(told(broker, EventKind.HANDLED)) == 2
    assert len(broker.bodies(QUEUE)) == 3


async def test_what_does_not_finish_in_time_is_left_to_the_next() -> None:
    async def work(order: PlacedOrder) -> Any:
        await asyncio.Event().wait()

    Kitchens.work = work
    broker = await opened()
    await broker.publish([posted(an_order(), "vnext")])
    async with working(broker, ASYNC, drain_s=0.05):
        await until(lambda: len(told(broker)) == 1, "the order cooks")
    assert told(broker, *ENDS) == []
    broker.lose()
    assert len(broker.bodies(QUEUE)) == 1


async def test_a_broker_that_is_lost_ends_the_session_and_the_next_one_does_all() -> None:
    hold, cooked = asyncio.Event(), 0

    async def work(order: PlacedOrder) -> Any:
        nonlocal cooked
        cooked += 1
        await hold.wait()
        return {}

    Kitchens.work = work
    broker = await opened()
    orders = [an_order() for _ in range(20)]
    await broker.publish([posted(order, "vnext") for order in orders])
    session = begun(broker, replace(ASYNC, concurrency=7), Shutdown())
    await until(lambda: cooked == 7, "seven orders cook")
    broker.lose("pulled the plug")
    with pytest.raises(BrokerError, match="plug"):
        await asyncio.wait_for(session, DEADLINE_S)
    assert told(broker, *ENDS) == []

    broker.restore()
    hold.set()
    async with working(broker, replace(ASYNC, concurrency=7)):
        handled = await ended(broker, 20)
    assert {event.order_id for event in handled} == {order.id for order in orders}
    again = [event for event in handled if event.redelivered]
    assert len(again) >= 7
    assert all(event.delivery == 2 for event in again)


class _Deaf(MemoryBroker):
    """A broker that takes orders and no events."""

    async def publish(self, messages: Any) -> Any:
        if any(message.exchange == KITCHEN_EVENTS for message in messages):
            return await super().publish([Outgoing(exchange="nowhere", body=b"")])
        return await super().publish(messages)


async def test_an_order_whose_event_is_not_confirmed_is_not_acknowledged() -> None:
    broker = _Deaf()
    await broker.declare(WHOLE)
    await broker.publish([posted(an_order(), "vnext")])
    with pytest.raises(PublishFailed, match="no such exchange"):
        await asyncio.wait_for(begun(broker, CONFIG, Shutdown()), DEADLINE_S)
    broker.lose()
    assert len(broker.bodies(QUEUE)) == 1


async def test_a_dark_kitchen_declares_nothing_and_waits_for_both_queues(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_ASK_EVERY_S", 0.01)
    monkeypatch.setattr(worker, "_STARTING_S", 0.0)
    broker, health = MemoryBroker(), Health()
    whole = WHOLE
    own = tuple(queue for queue in whole.queues if queue.name == QUEUE)
    async with working(broker, health=health):
        await until(lambda: "no queue kitchen.vnext" in caplog.text, "it says what is missing")
        await broker.declare(replace(whole, queues=own, bindings=()))
        await until(lambda: "no queue dashboard.stream" in caplog.text, "it misses the observer")
        assert (health.live, health.connected) == (True, False)
        await broker.declare(whole)
        await broker.publish([posted(an_order(), "vnext")])
        await ended(broker, 1)
        assert health.connected
    no_queue, no_observer = [
        one.getMessage() for one in caplog.records if "waiting" in one.getMessage()
    ]
    assert no_queue == (
        "no launch names vnext: the relay has declared no queue kitchen.vnext; "
        "add vnext to the open launch as a candidate; waiting for it"
    )
    assert no_observer.endswith("no queue dashboard.stream; start the observer; waiting for it")


async def test_a_control_without_a_queue_logs_it_at_once_and_exits(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "CONTROL_TIMEOUT_S", 0.05)
    monkeypatch.setattr(worker, "_STARTING_S", 0.0)
    config = replace(SYNC, version="vfoo", role=Role.CONTROL)
    session = begun(await opened(), config, Shutdown())
    await until(lambda: "no queue kitchen.vfoo; waiting" in caplog.text, "it says so at once")
    with pytest.raises(worker.NoQueue, match=r"^no launch has vfoo as its control: .*vfoo$"):
        await asyncio.wait_for(session, DEADLINE_S)


async def test_a_kitchen_that_waits_for_its_queue_stops_when_asked_to() -> None:
    async with working(MemoryBroker()):
        await asyncio.sleep(0)


def hasty(config: WorkerConfig) -> WorkerConfig:
    """Three at once, each of them for a moment."""
    return replace(config, order_timeout_seconds=0.2, concurrency=3)


@pytest.fixture
def hold() -> Iterator[threading.Event]:
    """Holds back kitchens that hang in threads until the test is over."""
    event = threading.Event()
    yield event
    event.set()


async def _ignoring(order: PlacedOrder) -> Any:
    while order.note == "hang" and not Kitchens.over:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)
    return {}


async def _hanging(order: PlacedOrder) -> Any:
    await asyncio.sleep(600 if order.note == "hang" else 0)
    return {}


@pytest.mark.parametrize("way", ["thread", "async", "ignoring"])
async def test_an_order_that_never_ends_is_timed_out_and_gives_its_slot_back(
    way: str, hold: threading.Event
) -> None:
    def work(order: PlacedOrder) -> Any:
        if order.note == "hang":
            hold.wait(60)
        return {}

    Kitchens.over = False
    Kitchens.work = {"thread": work, "async": _hanging, "ignoring": _ignoring}[way]
    config = hasty(SYNC if way == "thread" else ASYNC)
    broker = await opened()
    hanging, fine = an_order(note="hang"), [an_order() for _ in range(12)]
    await broker.publish([posted(order, "vnext") for order in (hanging, *fine)])
    async with working(broker, config):
        ends = await ended(broker, 13)
        Kitchens.over = True
        hold.set()
        await broker.publish([posted(an_order(), "vnext")])
        ends = await ended(broker, 14)
    [failed] = [event for event in ends if event.kind is EventKind.FAILED]
    assert failed.order_id == hanging.id
    assert failed.error == Failure(type="TimedOut", message="no result within 0.2 s")
    assert failed.handling_ms == 200
    assert len(ends) == 14, "what comes after the time limit is not reported again"
    assert broker.bodies(QUEUE) == []


@pytest.mark.parametrize("way", ["thread", "ignoring"])
async def test_a_process_most_of_whose_slots_hang_reports_them_and_ends(
    way: str, hold: threading.Event
) -> None:
    def work(order: PlacedOrder) -> Any:
        if order.note == "hang":
            hold.wait(60)
        return {}

    Kitchens.over = False
    Kitchens.work = {"thread": work, "ignoring": _ignoring}[way]
    config = hasty(SYNC if way == "thread" else ASYNC)
    broker, health = await opened(), Health()
    orders = [an_order(note=note) for note in ("hang", "", "hang", "")]
    await broker.publish([posted(order, "vnext") for order in orders])
    session = begun(broker, config, Shutdown(), health=health)
    with pytest.raises(
        worker.KitchenHangs, match=r"^2 orders are still in work .* 0.2 s; at most 3 run"
    ):
        await asyncio.wait_for(session, DEADLINE_S)
    Kitchens.over = True
    ends = Counter(event.error.type if event.error else "" for event in told(broker, *ENDS))
    assert ends == {"TimedOut": 2, "": 2}
    assert not health.ready
    broker.lose()
    assert broker.bodies(QUEUE) == []


def _returned(order: PlacedOrder, times: int) -> Outgoing:
    """An order as a quorum queue delivers it after so many deliveries."""
    message = posted(order, "vnext")
    headers = {**message.headers, "x-delivery-count": times}
    return msgspec.structs.replace(message, headers=headers)


async def test_orders_that_came_back_several_times_are_held_one_at_a_time() -> None:
    held: list[int] = []
    broker = await opened()

    async def work(order: PlacedOrder) -> Any:
        held.append(sum(one.held for one in broker._consumers))
        await asyncio.sleep(0.001)
        return {}

    Kitchens.work = work
    await broker.publish([_returned(an_order(), 2) for _ in range(20)])
    await broker.publish([_returned(an_order(), 1) for _ in range(40)])
    async with working(broker, ASYNC):
        ends = await ended(broker, 60)
    assert held[:20] == [1] * 20
    assert max(held) > 10
    assert Counter(event.delivery for event in ends) == {3: 20, 2: 40}
    assert broker.bodies(QUEUE) == []


async def test_a_suspect_order_does_not_keep_the_next_ones_one_at_a_time() -> None:
    release = asyncio.Event()

    async def work(order: PlacedOrder) -> Any:
        await release.wait()
        return {}

    Kitchens.work = work
    broker = await opened()
    async with working(broker, ASYNC):
        await until(
            lambda: [one._prefetch for one in broker._consumers] == [CONFIG.prefetch],
            "nothing in an empty queue is suspect",
        )
        await broker.publish([_returned(an_order(), 5), posted(an_order(), "vnext")])
        await until(lambda: len(told(broker)) == 2, "both are cooked at once")
        release.set()
        await ended(broker, 2)
