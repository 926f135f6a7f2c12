"""Messages are written a window at a time, each is confirmed, and none is counted wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aiormq.abc import ChannelFrame

from kitchen_worker.contract import publishing, topology
from kitchen_worker.contract.broker import RabbitBroker
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.publishing import WINDOW, WINDOW_BYTES, Publisher, _windows
from kitchen_worker.contract.tests.making import posted_bytes
from kitchen_worker.contract.tests.waiting import fresh_rabbit, taken
from kitchen_worker.contract.topology import Limits, kitchen_queue
from kitchen_worker.contract.wire import Outgoing

CONTROL = topology.kitchen("vlatest", Role.CONTROL, Limits())
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
    channel = cast(Publisher, broker._publisher)._channel
    stuck: asyncio.Queue[ChannelFrame] = asyncio.Queue(maxsize=1)
    stuck.put_nowait(ChannelFrame(b"", False))
    with monkeypatch.context() as patched:
        patched.setattr(channel, "write_queue", stuck)
        patched.setattr(publishing, "TIMEOUT_S", 0.05)
        [one, other] = await broker.publish([posted_bytes(b"lost"), posted_bytes(b"lost too")])
    assert one is not None
    assert other is not None
    assert await broker.publish([posted_bytes(b"second")]) == [None]
    assert [one.body for one in await taken(broker, QUEUE, 2)] == [b"first", b"second"]
    assert not channel.confirmations
