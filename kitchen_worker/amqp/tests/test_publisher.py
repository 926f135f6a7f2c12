"""Messages are written a window at a time, each is confirmed, and none is counted wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kitchen_worker.amqp import publisher
from kitchen_worker.amqp.broker import Outgoing, PublishFailed
from kitchen_worker.amqp.connection import RabbitBroker
from kitchen_worker.amqp.publisher import WINDOW, WINDOW_BYTES, _windows
from kitchen_worker.amqp.tests.making import posted_bytes
from kitchen_worker.amqp.tests.waiting import DEADLINE_S, fresh_rabbit, taken
from kitchen_worker.contract import topology
from kitchen_worker.contract.topology import QueueTypes, kitchen_queue

CONTROL = topology.live("vlatest", QueueTypes())
QUEUE = kitchen_queue("vlatest")


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[RabbitBroker]:
    async with fresh_rabbit(amqp_url, CONTROL) as opened:
        await opened.declare(CONTROL)
        yield opened


def test_a_window_is_bounded_in_messages_and_in_bytes() -> None:
    def sizes(*bodies: int) -> list[int]:
        messages = [Outgoing(exchange="", body=b"x" * size) for size in bodies]
        return [len(window) for window in _windows(messages)]

    assert sizes() == []
    assert sizes(*[1] * (2 * WINDOW + 1)) == [WINDOW, WINDOW, 1]
    assert sizes(WINDOW_BYTES + 1, 1, WINDOW_BYTES - 1, 1) == [1, 2, 1]


async def test_bodies_of_any_length_arrive_whole(broker: RabbitBroker) -> None:
    bodies = [b"", b"x", b"y" * 131_064, b"z" * 400_000]
    assert await broker.publish([posted_bytes(body) for body in bodies]) == [None] * 4
    assert [one.body for one in await taken(broker, QUEUE, 4)] == bodies


async def test_two_that_publish_at_once_are_both_confirmed(broker: RabbitBroker) -> None:
    many = [posted_bytes(b"%d" % number) for number in range(450)]
    for outcomes in await asyncio.gather(broker.publish(many), broker.publish(many)):
        assert outcomes == [None] * 450
    assert await broker.depth(QUEUE) == 900


async def test_what_could_not_be_written_in_time_fails_and_the_next_is_counted_right(
    broker: RabbitBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await broker.publish([posted_bytes(b"first")]) == [None]
    with monkeypatch.context() as patched:
        patched.setattr(broker._publishing.line, "room", asyncio.Event().wait)
        patched.setattr(publisher, "TIMEOUT_S", 0.05)
        [one, other] = await broker.publish([posted_bytes(b"lost"), posted_bytes(b"lost too")])
    assert one is not None
    assert other is not None
    assert await broker.publish([posted_bytes(b"second")]) == [None]
    assert [one.body for one in await taken(broker, QUEUE, 2)] == [b"first", b"second"]


async def test_who_no_longer_waits_for_a_confirm_leaves_the_next_counted_right(
    broker: RabbitBroker,
) -> None:
    assert await broker.publish([posted_bytes(b"first")]) == [None]
    unheard = Outgoing(exchange=topology.ORDERS_DEAD, routing_key="nobody", body=b"{}")
    impatient = asyncio.create_task(broker.publish([posted_bytes(b"second"), unheard]))
    await asyncio.sleep(0)
    impatient.cancel()
    third, failure = await broker.publish([posted_bytes(b"third"), unheard])
    assert third is None
    assert failure is not None
    bodies = [one.body for one in await taken(broker, QUEUE, 3)]
    assert bodies == [b"first", b"second", b"third"]


async def test_messages_of_one_id_fail_each_for_itself(broker: RabbitBroker) -> None:
    good = posted_bytes(b"good", message_id="same")
    bad = Outgoing(
        exchange=topology.ORDERS_DEAD, routing_key="nobody", body=b"{}", message_id="same"
    )
    outcomes = await broker.publish([bad, good, bad])
    assert [outcome is None for outcome in outcomes] == [False, True, False]


async def test_what_is_written_anew_after_a_silence_and_comes_back_has_failed(
    broker: RabbitBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    unheard = Outgoing(
        exchange=topology.ORDERS_DEAD, routing_key="nobody", body=b"{}", message_id="same"
    )
    assert await broker.publish([posted_bytes(b"first")]) == [None]
    with monkeypatch.context() as patched:
        patched.setattr(publisher, "TIMEOUT_S", 0.0)
        patched.setattr(publisher.Publisher, "_on_frame", lambda *_: True)
        [silence] = await broker.publish([unheard])
    assert silence is not None
    assert broker._publisher is not None
    assert broker._publisher._unconfirmed == {}
    [failure] = await broker.publish([unheard])
    assert "NO_ROUTE" in str(failure)


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
