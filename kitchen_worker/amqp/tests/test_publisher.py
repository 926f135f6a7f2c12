"""Messages are published a window at a time, and none counts as confirmed that was lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kitchen_worker.amqp import publisher
from kitchen_worker.amqp.broker import Delivery, Outgoing, PublishFailed
from kitchen_worker.amqp.connection import RabbitBroker
from kitchen_worker.amqp.dead_letters import RefusedMessage, publish_dead_letters
from kitchen_worker.amqp.publisher import WINDOW, WINDOW_BYTES, _next_window
from kitchen_worker.amqp.tests.making import posted_bytes
from kitchen_worker.amqp.tests.waiting import DEADLINE_S, fresh_rabbit, taken, until
from kitchen_worker.contract import topology
from kitchen_worker.contract.topology import QueueTypes, dead_queue, kitchen_queue
from local.broker_node import BrokerNode

CONTROL = topology.live("vlatest", QueueTypes())
QUEUE = kitchen_queue("vlatest")


def unroutable(message_id: str | None = None) -> Outgoing:
    return Outgoing(
        exchange=topology.ORDERS_DEAD, routing_key="nobody", body=b"{}", message_id=message_id
    )


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[RabbitBroker]:
    async with fresh_rabbit(amqp_url, CONTROL) as opened:
        await opened.declare(CONTROL)
        yield opened


def _windows(*messages: Outgoing) -> list[list[int]]:
    windows: list[list[int]] = []
    waiting = [*range(len(messages))]
    while waiting:
        window, rest = _next_window(messages, waiting, ())
        windows, waiting = [*windows, window], [*rest]
    return windows


def test_a_window_is_bounded_in_messages_and_in_bytes() -> None:
    def sizes(*bodies: int) -> list[int]:
        messages = [Outgoing(exchange="", body=b"x" * size) for size in bodies]
        return [len(window) for window in _windows(*messages)]

    assert sizes() == []
    assert sizes(*[1] * (2 * WINDOW + 1)) == [WINDOW, WINDOW, 1]
    assert sizes(WINDOW_BYTES + 1, 1, WINDOW_BYTES - 1, 1) == [1, 2, 1]


def test_messages_of_one_id_are_in_different_windows_in_their_order() -> None:
    messages = [Outgoing(exchange="", body=b"x", message_id=name) for name in "abacba"]
    assert _windows(*messages) == [[0, 1, 3], [2, 4], [5]]
    assert _windows(*[Outgoing(exchange="", body=b"x")] * 3) == [[0, 1, 2]]
    assert _next_window(messages, range(6), {"a"}) == ([1, 3], [0, 2, 4, 5])


async def test_bodies_of_any_length_arrive_whole(broker: RabbitBroker) -> None:
    bodies = [b"", b"x", b"y" * 131_064, b"z" * 400_000]
    assert await broker.publish([posted_bytes(body) for body in bodies]) == [None] * 4
    assert [one.body for one in await taken(broker, QUEUE, 4)] == bodies


async def test_two_that_publish_at_once_are_both_confirmed(broker: RabbitBroker) -> None:
    many = [posted_bytes(b"%d" % number) for number in range(450)]
    for outcomes in await asyncio.gather(broker.publish(many), broker.publish(many)):
        assert outcomes == [None] * 450
    assert await broker.depth(QUEUE) == 900


async def test_a_broker_that_blocks_publishers_is_sent_no_more_than_one_window(
    broker_node: BrokerNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fresh_rabbit(broker_node.url, CONTROL) as broker:
        await broker.declare(CONTROL)
        assert await broker.publish([posted_bytes(b"first")]) == [None]
        broker_node.control("set_vm_memory_high_watermark", "0.00001")
        with monkeypatch.context() as patched:
            patched.setattr(publisher, "TIMEOUT_S", 0.5)
            reasons = [str((await broker.publish([posted_bytes(b"late")]))[0]) for _ in range(3)]
        assert ["no confirm in time" in reason for reason in reasons] == [True, False, False]
        assert ["accepts no messages" in reason for reason in reasons] == [False, True, True]
        broker_node.control("set_vm_memory_high_watermark", "0.4")
        assert await broker.publish([posted_bytes(b"second")]) == [None]
        bodies = [one.body for one in await taken(broker, QUEUE, 3)]
        assert bodies == [b"first", b"late", b"second"]
        assert await broker.depth(QUEUE) == 0


@asynccontextmanager
async def _silent(node: BrokerNode, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """For a while the node does nothing, and publishers have little patience."""
    pid = node._pid()
    assert pid is not None
    threads = Path(f"/proc/{pid}/task")
    os.kill(pid, signal.SIGSTOP)
    try:
        await until(
            lambda: all(") T " in one.read_text() for one in threads.glob("*/stat")), "it stopped"
        )
        with monkeypatch.context() as patched:
            patched.setattr(publisher, "TIMEOUT_S", 0.3)
            yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_window_that_timed_out_keeps_its_ids_until_the_broker_answers(
    broker_node: BrokerNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fresh_rabbit(broker_node.url, CONTROL) as broker:
        await broker.declare(CONTROL)
        routable = posted_bytes(b"routable", message_id="same")
        assert await broker.publish([routable]) == [None]
        async with _silent(broker_node, monkeypatch):
            [first, other] = await broker.publish([routable, posted_bytes(b"other")])
            [second] = await broker.publish([unroutable("same")])
            [third] = await broker.publish([posted_bytes(b"other")])
        assert "no confirm in time" in str(first)
        assert "no confirm in time" in str(other)
        assert "an earlier one" in str(second)
        assert "no confirm in time" in str(third)
        [failure] = await broker.publish([unroutable("same")])
        assert "NO_ROUTE" in str(failure)

        async with _silent(broker_node, monkeypatch):
            [late] = await broker.publish([unroutable("same")])
        assert "no confirm in time" in str(late)
        assert await broker.publish([routable]) == [None]
        bodies = [one.body for one in await taken(broker, QUEUE, 5)]
        assert bodies == [b"routable", b"routable", b"other", b"other", b"routable"]


async def test_a_publish_that_is_cancelled_at_any_time_leaves_the_next_confirmed_rightly(
    broker: RabbitBroker,
) -> None:
    assert await broker.publish([posted_bytes(b"first")]) == [None]
    for turns in range(25):
        cancelled = asyncio.create_task(
            broker.publish([posted_bytes(b"cancelled"), unroutable("same")])
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled.cancel()
        routed, failure = await broker.publish([posted_bytes(b"next"), unroutable("same")])
        assert routed is None
        assert failure is not None
    bodies = [one.body for one in await taken(broker, QUEUE, await broker.depth(QUEUE))]
    assert bodies.count(b"next") == 25
    assert 0 < bodies.count(b"cancelled") <= 25


async def test_messages_of_one_id_fail_each_for_itself(broker: RabbitBroker) -> None:
    good = posted_bytes(b"good", message_id="same")
    bad = unroutable("same")
    outcomes = await broker.publish([bad, good, bad])
    assert [outcome is None for outcome in outcomes] == [False, True, False]


async def test_messages_of_one_id_that_are_published_at_once_fail_each_for_itself(
    broker: RabbitBroker,
) -> None:
    good = posted_bytes(b"good", message_id="same")
    outcomes = await asyncio.gather(
        *(broker.publish([good, unroutable("same")]) for _ in range(20)),
        *(broker.publish([unroutable("same")]) for _ in range(20)),
    )
    assert [[one is None for one in several] for several in outcomes] == [
        *[[True, False]] * 20,
        *[[False]] * 20,
    ]
    assert await broker.depth(QUEUE) == 20


async def test_the_refused_parts_of_one_delivery_do_not_wait_for_each_other(
    broker: RabbitBroker,
) -> None:
    delivery = Delivery(tag=1, queue=QUEUE, body=b"[1, 2]", message_id="many events")
    parts = [RefusedMessage(delivery, b"%d" % number, "not an event") for number in range(300)]
    await publish_dead_letters(
        broker, [*parts, RefusedMessage(delivery, delivery.body, "not events")]
    )
    letters = await taken(broker, dead_queue(QUEUE), 301)
    # Those of one id would have been published one after the other.
    assert len({one.message_id for one in letters}) == 301
    assert letters[-1].message_id == "many events"


async def test_what_the_broker_refuses_has_failed(broker: RabbitBroker) -> None:
    channel = await broker._consuming.channel()
    full = await channel.declare_queue(
        "full",
        exclusive=True,
        arguments={"x-max-length": 1, "x-overflow": "reject-publish"},
    )
    await full.bind(topology.ORDERS_DEAD, routing_key="full")
    message = Outgoing(exchange=topology.ORDERS_DEAD, routing_key="full", body=b"{}")
    outcomes = [(await broker.publish([message]))[0] for _ in range(3)]
    assert outcomes[0] is None
    assert "refused" in str(outcomes[2])


async def test_an_exchange_that_does_not_stand_fails_all_that_waits_and_ends_the_session(
    broker: RabbitBroker,
) -> None:
    nowhere = Outgoing(exchange="nowhere", body=b"{}")
    for failure in await broker.publish([nowhere] * 3):
        assert isinstance(failure, PublishFailed)
    assert "nowhere" in await asyncio.wait_for(broker.lost, DEADLINE_S)
    [failure] = await broker.publish([posted_bytes(b"too late")])
    assert isinstance(failure, PublishFailed)
