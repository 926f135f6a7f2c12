"""The relay posts and takes at once, and stops by finishing what it holds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

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
from kitchen_worker.contract.messages import EventKind
from kitchen_worker.contract.topology import QueueTypes, kitchen_queue
from kitchen_worker.testing import MemoryBroker
from local.broker_cluster import BrokerCluster
from local.broker_node import BrokerNode
from local.settings import ROOT
from restaurant.models import Letter, Order, OrderState
from restaurant.outbox import REFUSED_IN_A_ROW
from restaurant.relay import Relay
from restaurant.tests.making import DEADLINE_S, a_launch, an_event, run, said, some_orders, until

TYPES = QueueTypes()
#: How long it may take from the first refusal to the next host: three batches are a second apart.
LEFT_WITHIN_S = 8.0


async def _all_sent() -> bool:
    return not await sync_to_async(Letter.objects.filter(sent_at__isnull=True).exists)()


async def _all_ready() -> bool:
    return not await sync_to_async(Order.objects.exclude(state=OrderState.READY).exists)()


def _relay(shutdown: Shutdown, health: Health) -> Relay:
    return Relay(types=TYPES, resend_after=timedelta(seconds=60), shutdown=shutdown, health=health)


def _session(broker: Broker, shutdown: Shutdown, health: Health) -> Coroutine[Any, Any, None]:
    return _relay(shutdown, health).session(broker)


@pytest.mark.django_db
def test_letters_are_posted_and_answers_taken_until_shutdown() -> None:
    a_launch()
    orders = some_orders(3)
    broker, health = MemoryBroker(), Health()

    async def play() -> None:
        shutdown = Shutdown()
        session = asyncio.ensure_future(_session(broker, shutdown, health))
        await until(_all_sent, "the letters are sent")
        more = await sync_to_async(some_orders)(2)
        await until(_all_sent, "the letters that came later are sent")
        await broker.publish([said(an_event(order.uuid)) for order in [*orders, *more]])
        await until(_all_ready, "all orders are ready")
        shutdown.request()
        await asyncio.wait_for(session, DEADLINE_S)

    run(play)
    assert len(broker.bodies(kitchen_queue("vlatest"))) == 5
    assert health.live


@pytest.mark.django_db
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


@pytest.mark.django_db
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
                await until(_all_sent, "the letters are marked")
                await broker.publish([said(an_event(order.uuid)) for order in orders])
                await until(_all_ready, "all orders are ready")
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, DEADLINE_S) == 0
            finally:
                process.kill()
                process.wait()

    run(play)


@pytest.mark.django_db
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
    refused = _times_of(caplog, "letters_put_off")
    assert len(refused) == REFUSED_IN_A_ROW
    sent = Letter.objects.order_by("sent_at").values_list("sent_at", flat=True)[0]
    assert sent is not None
    took_s = sent.timestamp() - refused[0]
    print(f"{took_s:.2f} s from the first refusal to the first order on the other host")
    assert took_s < LEFT_WITHIN_S


@pytest.mark.django_db
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


def _relay_process(amqp_url: str) -> subprocess.Popen[bytes]:
    """The relay as its own process, on this test's database."""
    database = connection.settings_dict
    url = f"sqlite:///{database['NAME']}"
    if connection.vendor == "postgresql":
        who = f"{database['USER']}:{database['PASSWORD']}"
        where = f"{database['HOST']}:{database['PORT']}"
        url = f"postgres://{who}@{where}/{database['NAME']}"
    environ = {**os.environ, "AMQP_URL": amqp_url, "DATABASE_URL": url, "HEALTH_PORT": "0"}
    command = [sys.executable, "manage.py", "relay"]
    return subprocess.Popen(command, cwd=ROOT, env={**environ, "DEBUG": "1"})
