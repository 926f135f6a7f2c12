"""The relay publishes and consumes at once, and finishes what it holds when it stops."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from kitchen_worker.amqp.broker import Broker, BrokerLost
from kitchen_worker.amqp.connection import (
    ANSWER_TIMEOUT_S,
    DRAIN_S,
    connect,
    keep_connected,
)
from kitchen_worker.amqp.health import Health
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.amqp.tests.making import topology_of
from kitchen_worker.amqp.tests.waiting import fresh_rabbit, taken
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import Event, EventKind
from kitchen_worker.contract.topology import QueueTypes, kitchen_queue
from kitchen_worker.testing import MemoryBroker
from local.broker_cluster import BrokerCluster
from local.broker_node import BrokerNode
from local.settings import ROOT
from restaurant import answers, outbox
from restaurant.models import Order, OrderState, OutboxMessage, SentCount
from restaurant.order_signal import OrderSignal
from restaurant.outbox import BATCH, REFUSED_IN_A_ROW, UnsentMessage
from restaurant.relay import Relay
from restaurant.tests.making import DEADLINE_S, a_launch, an_event, run, said, some_orders, until

TYPES = QueueTypes()
#: How long it may take from the first refusal to the next host: three batches are a second apart.
LEFT_WITHIN_S = 8.0


async def _all_sent() -> bool:
    return not await sync_to_async(OutboxMessage.objects.exists)()


async def _all_ready() -> bool:
    return not await sync_to_async(Order.objects.exclude(state=OrderState.READY).exists)()


def _relay(shutdown: Shutdown, health: Health) -> Relay:
    return Relay(types=TYPES, resend_after=timedelta(seconds=60), shutdown=shutdown, health=health)


def _session(broker: Broker, shutdown: Shutdown, health: Health) -> Coroutine[Any, Any, None]:
    return _relay(shutdown, health).session(broker)


@pytest.mark.django_db(transaction=True)
def test_orders_are_published_and_answers_taken_until_shutdown() -> None:
    a_launch()
    orders = some_orders(3)
    broker, health = MemoryBroker(), Health()

    async def play() -> None:
        shutdown = Shutdown()
        session = asyncio.ensure_future(_session(broker, shutdown, health))
        await until(_all_sent, "the orders are sent")
        more = await sync_to_async(some_orders)(2)
        await until(_all_sent, "the orders that came later are sent")
        await broker.publish([said(an_event(order.uuid)) for order in [*orders, *more]])
        await until(_all_ready, "all orders are ready")
        shutdown.request()
        await asyncio.wait_for(session, DEADLINE_S)

    run(play)
    assert len(broker.bodies(kitchen_queue("vlatest"))) == 5
    assert health.live


@pytest.mark.django_db(transaction=True)
def test_what_was_delivered_before_shutdown_is_recorded() -> None:
    orders = some_orders(3)
    broker = MemoryBroker()

    async def play() -> None:
        await broker.declare(topology.live("vlatest", TYPES))
        await broker.publish([said(an_event(order.uuid, EventKind.HANDLED)) for order in orders])
        shutdown = Shutdown()
        session = asyncio.ensure_future(_session(broker, shutdown, Health()))
        await until(_all_ready, "all orders are ready")
        shutdown.request()
        await asyncio.wait_for(session, DEADLINE_S)
        assert await broker.depth(topology.ANSWERS_QUEUE) == 0

    run(play)


@pytest.mark.django_db(transaction=True)
def test_a_lost_broker_ends_the_session_and_the_next_one_goes_on() -> None:
    broker = MemoryBroker()

    async def play() -> None:
        shutdown = Shutdown()
        session = asyncio.ensure_future(_session(broker, shutdown, Health()))
        await until(_standing, "the queues stand")
        broker.lose()
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(session, DEADLINE_S)
        assert ended.value.split(BrokerLost)[1] is None
        await sync_to_async(some_orders)(2)
        broker.restore()
        session = asyncio.ensure_future(_session(broker, shutdown, Health()))
        await until(_all_sent, "what was placed meanwhile is sent")
        shutdown.request()
        await asyncio.wait_for(session, DEADLINE_S)

    async def _standing() -> bool:
        return bool(broker._consumers)

    run(play)
    assert len(broker.bodies(kitchen_queue("vlatest"))) == 2


@pytest.mark.broker
@pytest.mark.django_db(transaction=True)
def test_the_command_relays_over_a_real_broker_and_stops_on_sigterm(amqp_url: str) -> None:
    a_launch(candidate="100", baseline="0")
    orders = some_orders(5)
    everything = topology_of("vnext", "vlatest-b")

    async def play() -> None:
        async with fresh_rabbit(amqp_url, everything) as broker:
            await broker.declare(everything)
            process = _relay_process(amqp_url)
            try:
                for version in ("vlatest", "vnext"):
                    got = await taken(broker, kitchen_queue(version), 5)
                    assert [one.message_id for one in got] == [str(one.uuid) for one in orders]
                await until(_all_sent, "the orders are marked")
                await broker.publish([said(an_event(order.uuid)) for order in orders])
                await until(_all_ready, "all orders are ready")
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, DEADLINE_S) == 0
            finally:
                process.kill()
                process.wait()

    run(play)


@pytest.mark.django_db(transaction=True)
def test_a_host_that_refuses_every_order_is_left_for_the_next_one_within_seconds(
    broker_node: BrokerNode,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusing, taking = f"{broker_node.url}refusing", broker_node.url
    broker_node.control("add_vhost", "refusing")
    broker_node.control("set_permissions", "-p", "refusing", "guest", ".*", ".*", ".*")
    full = '{"max-length": 0, "overflow": "reject-publish"}'
    broker_node.control("set_policy", "-p", "refusing", "full", r"^kitchen\.vlatest$", full)
    a_launch(candidate="0", baseline="0")
    some_orders(5)

    async def play() -> None:
        async with _relaying(refusing, taking):
            await until(_all_sent, "the other host takes the orders")
        for url, depth in ((refusing, 0), (taking, 5)):
            async with connect(url, "test") as broker:
                assert await broker.depth(kitchen_queue("vlatest")) == depth

    run(play)
    refused = _times_of(caplog, "messages_postponed")
    assert len(refused) == REFUSED_IN_A_ROW
    sent = Order.objects.order_by("sent_at").values_list("sent_at", flat=True)[0]
    assert sent is not None
    took_s = sent.timestamp() - refused[0]
    print(f"{took_s:.2f} s from the first refusal to the first order on the other host")
    assert took_s < LEFT_WITHIN_S


@pytest.mark.django_db(transaction=True)
def test_a_host_that_does_not_answer_a_declaration_is_left_for_the_next_one_within_seconds(
    broker_cluster: BrokerCluster,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Classic queues on a lost node end the session; RabbitMQ 4 then gives no answer to their
    declaration on any other node, and RabbitMQ 3 refuses it."""
    first, second, last = broker_cluster.nodes
    a_launch(candidate="0", baseline="0")

    async def play() -> None:
        async with connect(last.url, "test") as broker:
            await broker.declare(topology.live("vlatest", TYPES))
        async with _relaying(first.url, second.url):
            await sync_to_async(some_orders)(5)
            await until(_all_sent, "the orders are sent")
            await asyncio.to_thread(last.stop, gently=False)
            await until(_has_tried_both, "the first host is tried again")

    async def _has_tried_both() -> bool:
        return len(_times_of(caplog, "connected")) > 2

    run(play)
    _, at_second, at_first_again, *_ = _times_of(caplog, "connected")
    took_s = at_first_again - at_second
    print(f"{took_s:.2f} s from a connection with a host to one with the next")
    assert took_s < ANSWER_TIMEOUT_S + LEFT_WITHIN_S


@pytest.mark.django_db(transaction=True)
def test_the_next_batch_is_published_while_the_marking_of_one_is_held_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders = some_orders(BATCH + 3)
    held, mark_sent = threading.Event(), outbox.mark_sent

    def mark_later(sent: Sequence[UnsentMessage]) -> None:
        assert held.wait(DEADLINE_S)
        mark_sent(sent)

    monkeypatch.setattr(outbox, "mark_sent", mark_later)
    broker = MemoryBroker()

    async def play() -> None:
        async with _in_session(broker):
            await until(_published(broker, orders), "both batches are published")
            assert await sync_to_async(OutboxMessage.objects.count)() == len(orders)
            held.set()
            await until(_all_sent, "both are marked")

    run(play)
    assert [one.message_id for one in broker.published] == [str(one.uuid) for one in orders]


@pytest.mark.django_db(transaction=True)
def test_answers_in_a_slow_transaction_do_not_hold_up_publishing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [answered, *orders] = some_orders(BATCH + 4)
    recording, held = threading.Event(), threading.Event()
    unsent, record = outbox.unsent, answers.record

    def record_slowly(events: Iterable[Event]) -> int:
        with transaction.atomic():
            changed = record(events)
            recording.set()
            assert held.wait(DEADLINE_S)
            return changed

    def unsent_then(**which: Any) -> Any:
        return unsent(**which) if recording.is_set() else []

    monkeypatch.setattr(answers, "record", record_slowly)
    monkeypatch.setattr(outbox, "unsent", unsent_then)
    broker = MemoryBroker()

    async def play() -> None:
        async with _in_session(broker):
            await broker.declare(topology.live("vlatest", TYPES))
            await broker.publish([said(an_event(answered.uuid))])
            await until(_published(broker, [answered, *orders]), "all orders are published")
            assert not held.is_set()
            held.set()
            await until(_all_sent, "all are marked")

    run(play)
    answered.refresh_from_db()
    assert answered.state == OrderState.READY


@pytest.mark.django_db(transaction=True)
def test_a_new_order_is_published_within_milliseconds_by_the_signal_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "IDLE_S", 10 * DEADLINE_S)
    waits = _noted_waits(monkeypatch)
    broker, seconds = MemoryBroker(), []

    async def play() -> None:
        async with _in_session(broker):
            for _ in range(5):
                await _waits_for_a_signal(waits)
                orders = await sync_to_async(some_orders)()
                placed = time.monotonic()
                await until(_published(broker, orders), "the order is published")
                seconds.append(time.monotonic() - placed)

    run(play)
    print(f"published after {', '.join(f'{1000 * one:.0f} ms' for one in seconds)}")
    assert min(seconds) < 0.1


@pytest.mark.django_db(transaction=True)
def test_an_order_whose_signal_was_lost_is_published_within_a_second_or_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(OrderSignal, "_signal", lambda self: None)
    waits = _noted_waits(monkeypatch)
    broker = MemoryBroker()

    async def play() -> None:
        async with _in_session(broker):
            await _waits_for_a_signal(waits)
            orders = await sync_to_async(some_orders)()
            placed = time.monotonic()
            await until(_published(broker, orders), "the order is published")
            assert time.monotonic() - placed < outbox.IDLE_S + 1.0

    run(play)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_relays_share_the_orders_and_publish_none_twice() -> None:
    orders = _two_thousand()
    broker = MemoryBroker()

    async def play() -> None:
        async with _in_session(broker), _in_session(broker):
            await until(_all_sent, "all are marked")

    run(play)
    assert Counter(one.message_id for one in broker.published) == {
        str(order.uuid): 1 for order in orders
    }
    shares = Counter(one.headers["relay"] for one in broker.published)
    assert len(shares) == 2, shares
    assert SentCount.objects.count() == 0, "of no launch"


@pytest.mark.postgres
@pytest.mark.broker
@pytest.mark.django_db(transaction=True)
def test_a_relay_that_is_killed_beside_another_one_loses_no_order(amqp_url: str) -> None:
    a_launch(candidate="0", baseline="0")

    async def sent() -> int:
        return await sync_to_async(Order.objects.filter(sent_at__isnull=False).count)()

    async def play() -> None:
        async with fresh_rabbit(amqp_url, topology_of("vnext", "vlatest-b")) as broker:
            relays = [_relay_process(amqp_url) for _ in range(2)]

            async def both_at_work() -> bool:
                return await broker.consumers(topology.ANSWERS_QUEUE) == 2

            try:
                await sync_to_async(some_orders)(1)
                await until(_all_sent, "a relay is at work")
                await until(both_at_work, "both are at work")
                placed = await sync_to_async(_two_thousand)()

                async def one_in_four() -> bool:
                    return await sent() > 500

                await until(one_in_four, "some are sent")
                relays[0].kill()
                await until(_all_sent, "the other relay sends the rest")
                assert await asyncio.to_thread(relays[0].wait, DEADLINE_S) == -signal.SIGKILL
                # What the killed one had published and not marked came twice.
                queue = kitchen_queue("vlatest")
                got = await taken(broker, queue, await broker.depth(queue))
                assert {str(order.uuid) for order in placed} <= {one.message_id for one in got}
            finally:
                for relay in relays:
                    relay.kill()
                    relay.wait()

    run(play)


@pytest.mark.sqlite
@pytest.mark.broker
@pytest.mark.django_db(transaction=True)
def test_a_second_relay_on_sqlite_waits_until_the_first_one_is_gone(
    amqp_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"

    async def is_waiting() -> bool:
        return "another relay uses this database; waiting" in log.read_text()

    async def play() -> None:
        async with fresh_rabbit(amqp_url, topology_of()) as broker:
            first = _relay_process(amqp_url)
            try:
                await sync_to_async(some_orders)()
                await until(_all_sent, "the first relay is at work")
                with log.open("w") as file:
                    second = _relay_process(amqp_url, log=file)
                try:
                    await until(is_waiting, "the second one says that it waits")
                    assert await broker.consumers(topology.ANSWERS_QUEUE) == 1
                    first.kill()
                    first.wait()
                    await sync_to_async(some_orders)()
                    await until(_all_sent, "the second one goes on")
                    second.send_signal(signal.SIGTERM)
                    assert await asyncio.to_thread(second.wait, DEADLINE_S) == 0
                finally:
                    second.kill()
                    second.wait()
            finally:
                first.kill()
                first.wait()

    run(play)


def _two_thousand() -> list[Order]:
    return [order for _ in range(10) for order in some_orders(200)]


def _noted_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each lane that looks for orders waits for a signal now: none, or one number."""
    waits: list[float] = []
    wait = OrderSignal.wait

    async def noted(self: OrderSignal, timeout_s: float) -> None:
        waits.append(timeout_s)
        await wait(self, timeout_s)
        waits.remove(timeout_s)

    monkeypatch.setattr(OrderSignal, "wait", noted)
    return waits


async def _waits_for_a_signal(waits: list[float]) -> None:
    async def is_waiting() -> bool:
        return waits == [outbox.IDLE_S]

    await until(is_waiting, "the relay waits for a signal")


def _published(broker: MemoryBroker, orders: Sequence[Order]) -> Callable[[], Awaitable[bool]]:
    """Whether these orders are published."""

    async def are_published() -> bool:
        return {str(one.uuid) for one in orders} <= {one.message_id for one in broker.published}

    return are_published


@asynccontextmanager
async def _in_session(broker: Broker) -> AsyncIterator[None]:
    """A relay for a time."""
    shutdown = Shutdown()
    session = asyncio.ensure_future(_session(broker, shutdown, Health()))
    try:
        yield
    finally:
        shutdown.request()
        await asyncio.wait_for(session, DEADLINE_S)


@asynccontextmanager
async def _relaying(*hosts: str) -> AsyncIterator[None]:
    """A relay for a time, with these hosts to be tried in turn."""
    shutdown = Shutdown()
    session = _relay(shutdown, Health()).session
    relay = keep_connected(url=",".join(hosts), name="relay", shutdown=shutdown, session=session)
    relaying = asyncio.ensure_future(relay)
    try:
        yield
    finally:
        shutdown.request()
        await asyncio.wait_for(relaying, DEADLINE_S + DRAIN_S)


def _times_of(caplog: pytest.LogCaptureFixture, action: str) -> list[float]:
    """When something was logged."""
    return [one.created for one in caplog.records if getattr(one, "action", "") == action]


def _relay_process(amqp_url: str, *, log: IO[str] | None = None) -> subprocess.Popen[bytes]:
    """The relay as its own process, on this test's database."""
    database = connection.settings_dict
    url = f"sqlite:///{database['NAME']}"
    if connection.vendor == "postgresql":
        who = f"{database['USER']}:{database['PASSWORD']}"
        where = f"{database['HOST']}:{database['PORT']}"
        url = f"postgres://{who}@{where}/{database['NAME']}"
    environ = {**os.environ, "AMQP_URL": amqp_url, "DATABASE_URL": url, "HEALTH_PORT": "0"}
    command = [sys.executable, "manage.py", "relay"]
    return subprocess.Popen(command, cwd=ROOT, env={**environ, "DEBUG": "1"}, stderr=log)
