"""The relay posts and takes at once, and stops by finishing what it holds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from kitchen_worker.contract import topology
from kitchen_worker.contract.health import Health
from kitchen_worker.contract.memory import MemoryBroker
from kitchen_worker.contract.messages import EventKind
from kitchen_worker.contract.shutdown import Shutdown
from kitchen_worker.contract.tests.making import topology_of
from kitchen_worker.contract.tests.waiting import fresh_rabbit, taken
from kitchen_worker.contract.topology import QueueTypes, kitchen_queue
from kitchen_worker.contract.wire import Broker, BrokerLost
from local.settings import ROOT
from restaurant.models import Letter, Order, OrderState
from restaurant.relay import Relay
from restaurant.tests.making import DEADLINE_S, a_launch, an_event, run, said, some_orders, until

TYPES = QueueTypes()


async def _all_sent() -> bool:
    return not await sync_to_async(Letter.objects.filter(sent_at__isnull=True).exists)()


async def _all_ready() -> bool:
    return not await sync_to_async(Order.objects.exclude(state=OrderState.READY).exists)()


def _session(broker: Broker, shutdown: Shutdown, health: Health) -> Coroutine[Any, Any, None]:
    relay = Relay(types=TYPES, resend_after=timedelta(seconds=60), shutdown=shutdown, health=health)
    return relay.session(broker)


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
