"""The command that a person copies from an order's page sends it to one dark version alone."""

from __future__ import annotations

import asyncio
import os

import pytest

from dashboard.pages import orders
from kitchen_worker.amqp.tests.making import LAUNCH, an_order, topology_of
from kitchen_worker.amqp.tests.waiting import fresh_rabbit, taken
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import decode_order, encode_order
from kitchen_worker.contract.topology import kitchen_queue

pytestmark = pytest.mark.broker

WHOLE = topology_of("vnext", "vlatest-b")


async def test_the_copied_command_reaches_the_queue_of_its_version_and_no_other(
    amqp_url: str,
) -> None:
    order = an_order(note="no 'onions' \\ $HOME «été»")
    body = encode_order(order).decode()
    commands = dict(orders.to_dark(body, LAUNCH, ["vnext", "vlatest-b"]))
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        for version, command in commands.items():
            environ = {**os.environ, "AMQP_URL": amqp_url}
            copied = await asyncio.create_subprocess_exec("bash", "-c", command, env=environ)
            assert await copied.wait() == 0
            [sent] = await taken(broker, kitchen_queue(version), 1)
            assert decode_order(sent.body) == order
            headers = {topology.LAUNCH_HEADER: LAUNCH, topology.dark_header(version): "1"}
            assert dict(sent.headers) == headers
        for version in ("vlatest", *commands):
            assert await broker.depth(kitchen_queue(version)) == 0
