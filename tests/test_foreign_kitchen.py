"""A kitchen that nobody wrote in Python joins by docs/asyncapi.yaml alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest

from kitchen_worker.amqp.broker import Broker, Delivery
from kitchen_worker.amqp.tests.making import (
    LAUNCH,
    an_item,
    an_order,
    decode_events,
    posted,
    posted_bytes,
    topology_of,
)
from kitchen_worker.amqp.tests.waiting import fresh_rabbit, taken, until
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import EventKind, Role
from kitchen_worker.contract.topology import (
    REASON_HEADER,
    STREAM_QUEUE,
    dark_header,
    dead_queue,
    kitchen_queue,
)
from kitchen_worker.kitchens import vlatest
from restaurant.menu import MENU

pytestmark = pytest.mark.broker

SCRIPT = Path(__file__).parents[1] / "docs" / "examples" / "kitchen.sh"
#: What stands once vshell is a version of the launch: the relay declares its queue.
WHOLE = topology_of("vshell")


@contextmanager
def _shell_kitchen(url: str, log: Path = Path(os.devnull)) -> Iterator[None]:
    environ = {**os.environ, "AMQP_URL": url, "LAUNCH": LAUNCH}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [str(SCRIPT)], env=environ, stderr=errors, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


async def said(broker: Broker, count: int) -> list[Delivery]:
    """The next events of the stream, without the orders before them."""
    found: list[Delivery] = []
    while len(found) < count:
        [one] = await taken(broker, STREAM_QUEUE, 1)
        if one.exchange in topology.EVENT_SOURCES:
            found.append(one)
    return found


async def test_a_shell_script_handles_orders_as_a_fourth_version(amqp_url: str) -> None:
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        menu = [an_item(item.name, 2) for item in MENU]
        order = an_order(*menu, an_item("crêpe «été»"), note="no 'onions' \\ $HOME")
        unreadable = posted_bytes(b"no order", {dark_header("vshell"): "1"})
        sent = posted(order, "vshell")
        said_by_the_relay = {
            "sent_at": "2026-11-23T10:00:00.125100Z",
            "relay": "0" * 32,
            "seq": "1",
        }
        sent = msgspec.structs.replace(sent, headers={**sent.headers, **said_by_the_relay})
        assert not any(await broker.publish([unreadable, sent]))
        with _shell_kitchen(amqp_url):
            [told] = await said(broker, 1)
            [letter] = await taken(broker, dead_queue(kitchen_queue("vshell")), 1)
            await broker.publish([posted(an_order(), "vshell")])
            await said(broker, 1)
        [event] = decode_events(told.body)
        assert told.routing_key == topology.events_key(Role.CANDIDATE, "vshell")
        assert (event.kind, event.order_id) == (EventKind.HANDLED, order.id)
        assert (event.version, event.launch, event.placed_at) == (
            "vshell",
            LAUNCH,
            order.placed_at,
        )
        assert event.result == {**vlatest.cook(order, Random(1)), "cook": "jq"}
        assert letter.body.rstrip(b"\n") == b"no order"
        assert letter.headers[REASON_HEADER] == "not an order"
        # Killed, it may not have acknowledged its last order; those before it are done with.
        assert await broker.depth(kitchen_queue("vshell")) <= 1


async def test_a_shell_kitchen_waits_until_a_launch_names_it(amqp_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        with _shell_kitchen(amqp_url, log):
            await until(lambda: "open launch name vshell?" in log.read_text(), "it waits")
            await broker.declare(WHOLE)
            await broker.publish([posted(an_order(), "vshell")])
            await said(broker, 1)
