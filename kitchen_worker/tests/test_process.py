"""Kitchen processes and a real RabbitMQ: killed, stopped, and left without a broker."""

from __future__ import annotations

import asyncio
import http.client
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import pytest

from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.amqp.connection import RabbitBroker, connect
from kitchen_worker.amqp.tests.making import (
    an_item,
    an_order,
    decode_events,
    posted,
    posted_bytes,
    topology_of,
)
from kitchen_worker.amqp.tests.waiting import DEADLINE_S, fresh_rabbit, taken, until
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import Event, EventKind, PlacedOrder
from kitchen_worker.contract.topology import (
    REASON_HEADER,
    STREAM_QUEUE,
    QueueType,
    QueueTypes,
    dark_header,
    dead_queue,
    kitchen_queue,
)
from local.broker_node import BrokerNode
from local.ports import free_ports

pytestmark = pytest.mark.broker

ROOT = Path(__file__).resolve().parents[2]
WHOLE = topology_of("vnext")
QUEUE = kitchen_queue("vnext")
ENDS = (EventKind.HANDLED, EventKind.FAILED)


@contextmanager
def running(url: str, *options: str, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A kitchen process of vnext, killed at the end if it is still there."""
    command = [sys.executable, "-m", "kitchen_worker", "--version", "vnext", *options]
    environ = {**os.environ, "AMQP_URL": url, "ROLE": "candidate"}
    with (log or Path(os.devnull)).open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def events_in(batch: Sequence[Delivery]) -> list[Event]:
    """The events among orders and events."""
    said = [one for one in batch if one.exchange in topology.EVENT_SOURCES]
    return [event for one in said for event in decode_events(one.body)]


async def observed(broker: RabbitBroker, count: int, *kinds: EventKind) -> list[Event]:
    """The next events of some kinds that an observer hears."""
    deliveries = await broker.consume(STREAM_QUEUE, prefetch=200)
    found: list[Event] = []
    while len(found) < count:
        batch = await deliveries.batch(at_most=100, gather_s=0, wait_s=DEADLINE_S)
        assert batch, f"heard {len(found)} events, not {count}"
        await deliveries.ack(batch)
        found += [one for one in events_in(batch) if one.kind in kinds]
    await deliveries.cancel()
    return found


async def all_ends(broker: RabbitBroker, orders: Sequence[PlacedOrder]) -> list[Event]:
    """What ends these orders, repeats among them."""
    deliveries = await broker.consume(STREAM_QUEUE, prefetch=200)
    ends: list[Event] = []
    while missing := {order.id for order in orders} - {event.order_id for event in ends}:
        batch = await deliveries.batch(at_most=100, gather_s=0, wait_s=DEADLINE_S)
        assert batch, f"{len(missing)} orders never ended"
        await deliveries.ack(batch)
        ends += [one for one in events_in(batch) if one.kind in ENDS]
    await deliveries.cancel()
    return ends


async def sent(broker: RabbitBroker, count: int) -> list[PlacedOrder]:
    """Orders of 10 to 12 minutes that were posted for vnext."""
    orders = [an_order(an_item("burger", 2), an_item("soda", one % 3 + 1)) for one in range(count)]
    assert not any(await broker.publish([posted(order, "vnext") for order in orders]))
    return orders


async def test_a_kitchen_killed_at_work_loses_no_order(amqp_url: str) -> None:
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        orders = await sent(broker, 60)
        with running(amqp_url, "--minute-ms", "30000", "--concurrency", "20") as process:
            await observed(broker, 20, EventKind.RECEIVED)
            process.kill()
            process.wait()
        with running(amqp_url, "--minute-ms", "0"):
            ends = await observed(broker, 60, *ENDS)
        assert Counter(event.order_id for event in ends) == {order.id: 1 for order in orders}
        assert {event.kind for event in ends} == {EventKind.HANDLED}
        assert sum(event.redelivered for event in ends) >= 20


async def test_sigterm_finishes_what_is_held_and_exits_0(amqp_url: str) -> None:
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        await sent(broker, 60)
        with running(amqp_url, "--minute-ms", "80", "--concurrency", "20") as process:
            await observed(broker, 20, EventKind.RECEIVED)
            process.terminate()
            assert await asyncio.to_thread(process.wait, DEADLINE_S) == 0
        ended = await observed(broker, 20, *ENDS)
        await until_depth(broker, 60 - len(ended))
        assert await broker.depth(STREAM_QUEUE) == 0
        assert len(ended) < 60


async def until_depth(broker: RabbitBroker, depth: int) -> None:
    """Wait until as many orders wait for vnext."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while (waiting := await broker.depth(QUEUE)) != depth:
        assert asyncio.get_running_loop().time() < deadline, f"{waiting} wait, not {depth}"
        await asyncio.sleep(0.02)


async def test_sigterm_without_a_broker_exits_0(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running("amqp://guest:guest@127.0.0.1:9/", log=log) as process:
        await until(lambda: b"no broker" in log.read_bytes(), "it looked for the broker")
        process.terminate()
        assert await asyncio.to_thread(process.wait, DEADLINE_S) == 0
        assert b"Traceback" not in log.read_bytes()
        assert b"guest:guest" not in log.read_bytes()


async def test_a_control_that_no_launch_names_exits_with_1_and_logs_the_reason(
    amqp_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    own = ("--version", "vfoo", "--role", "control", "--kitchen", "json:dumps")
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        with running(amqp_url, *own, log=log) as process:
            assert await asyncio.to_thread(process.wait, DEADLINE_S) == 1
        assert not await broker.has_queue(kitchen_queue("vfoo"))
    said = "no launch has vfoo as its control: the relay has declared no queue kitchen.vfoo"
    assert [line for line in log.read_text().splitlines() if said in line] == [
        f"WARNING {said}; waiting for it",
        f"CRITICAL {said}; exiting",
    ]


async def test_wild_orders_are_dead_lettered_with_their_reason(amqp_url: str) -> None:
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        header = {dark_header("vnext"): "1"}
        wild = [b"", b"\xff", b"[]", b"{}", b" " * 70_000]
        await broker.publish([posted_bytes(body, header) for body in wild])
        [order] = await sent(broker, 1)
        with running(amqp_url, "--minute-ms", "0"):
            [handled] = await observed(broker, 1, *ENDS)
            letters = await taken(broker, dead_queue(QUEUE), len(wild))
        assert handled.order_id == order.id
        assert sorted(letter.body for letter in letters) == sorted(wild)
        assert all("order" in letter.headers[REASON_HEADER] for letter in letters)


def _publish_wild(url: str, *headers: bytes) -> None:
    """Publish an order for vnext with headers that our own client cannot write."""
    wild = [word for header in headers for word in (b"--header", header)]
    command = [b"amqp-publish", b"--url", url.rstrip("/").encode(), b"--exchange", b"orders"]
    subprocess.run([*command, b"--header", b"dark.vnext: 1", *wild, b"--body", b"{}"], check=True)


async def test_headers_that_are_no_text_stop_nobody(amqp_url: str) -> None:
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        for header in (b"na\xffme: x", b"name: \xff\xfe", b"launch: \xff"):
            _publish_wild(amqp_url, header)
        [order] = await sent(broker, 1)
        with running(amqp_url, "--minute-ms", "0"):
            [handled] = await observed(broker, 1, *ENDS)
            assert len(await taken(broker, dead_queue(QUEUE), 3)) == 3
        assert handled.order_id == order.id


async def test_a_quorum_queue_counts_the_deliveries(amqp_url: str) -> None:
    whole = topology_of("vnext", types=QueueTypes(dark=QueueType.QUORUM))
    async with fresh_rabbit(amqp_url, WHOLE, whole) as broker:
        await broker.declare(whole)
        [order] = await sent(broker, 1)
        for _ in range(2):
            with running(amqp_url, "--minute-ms", "30000"):
                await observed(broker, 1, EventKind.RECEIVED)
        with running(amqp_url, "--minute-ms", "0"):
            [handled] = await observed(broker, 1, *ENDS)
        assert (handled.order_id, handled.delivery) == (order.id, 3)


async def test_a_users_own_kitchen_is_found_and_cooks(amqp_url: str) -> None:
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        await sent(broker, 1)
        with running(amqp_url, "--kitchen", "kitchen_worker.tests.own_kitchen:cook"):
            [handled] = await observed(broker, 1, *ENDS)
        assert handled.result == {"portions": 3}


OWN = "kitchen_worker.tests.own_kitchen"
LIMIT = ("--order-timeout-seconds", "1")


def probed(port: int, path: str) -> int | None:
    """The status that a probe gets; None where nobody answers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return None


async def test_a_kitchen_that_blocks_the_event_loop_is_not_live_and_then_ends(
    amqp_url: str, tmp_path: Path
) -> None:
    log, (port,) = tmp_path / "log", free_ports(1)
    options = ("--kitchen", f"{OWN}:cook_async", "--health-port", str(port), *LIMIT)
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        with running(amqp_url, *options, log=log) as process:
            await until(lambda: probed(port, "/ready") == 200, "it is ready")
            assert probed(port, "/live") == 200
            await broker.publish([posted(an_order(note="block the loop"), "vnext")])
            seen: set[tuple[int | None, int | None]] = set()

            def ended() -> bool:
                seen.add((probed(port, "/live"), probed(port, "/ready")))
                return process.poll() is not None

            await until(ended, "it ends")
        assert process.returncode == 1
        assert (503, 503) in seen
        assert (
            "CRITICAL the kitchen has blocked the event loop for 1 s; exiting." in log.read_text()
        )
        assert "own_kitchen.py" in log.read_text(), "it says where"
        assert await broker.depth(QUEUE) == 1


@pytest.mark.parametrize(
    ("kitchen", "note"), [("cook", "end the process"), ("cook_async", "block the loop")]
)
async def test_an_order_that_crashes_each_process_gets_a_received_event_on_redelivery(
    amqp_url: str, kitchen: str, note: str
) -> None:
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        order = an_order(note=note)
        await broker.publish([posted(order, "vnext")])
        for _ in range(2):
            with running(amqp_url, "--kitchen", f"{OWN}:{kitchen}", *LIMIT) as process:
                assert await asyncio.to_thread(process.wait, DEADLINE_S) != 0
        [received] = await observed(broker, 1, EventKind.RECEIVED)
        assert await broker.depth(STREAM_QUEUE) == 0
    assert (received.order_id, received.redelivered) == (order.id, True)


@pytest.mark.parametrize("kitchen", ["cook", "cook_async"])
async def test_a_kitchen_whose_slots_hang_ends_with_1_once_its_orders_are_reported(
    amqp_url: str, tmp_path: Path, kitchen: str
) -> None:
    log, note = tmp_path / "log", "hang" if kitchen == "cook" else "ignore cancellation"
    options = ("--kitchen", f"{OWN}:{kitchen}", "--concurrency", "3", *LIMIT)
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        orders = [an_order(note=note), an_order(), an_order(note=note), an_order()]
        await broker.publish([posted(order, "vnext") for order in orders])
        with running(amqp_url, *options, log=log) as process:
            ends = await observed(broker, 4, *ENDS)
            assert await asyncio.to_thread(process.wait, DEADLINE_S) == 1
        assert await broker.depth(QUEUE) == 0
    timed_out = {event.order_id for event in ends if event.error}
    assert timed_out == {orders[0].id, orders[2].id}
    assert "CRITICAL 2 orders are still in work after their time limit of 1 s" in log.read_text()


async def test_a_kitchen_that_ignores_cancellation_stops_when_asked_to(amqp_url: str) -> None:
    async with fresh_rabbit(amqp_url, WHOLE) as broker:
        await broker.declare(WHOLE)
        await broker.publish([posted(an_order(note="ignore cancellation"), "vnext")])
        with running(amqp_url, "--kitchen", f"{OWN}:cook_async") as process:
            await observed(broker, 1, EventKind.RECEIVED)
            process.terminate()
            assert await asyncio.to_thread(process.wait, DEADLINE_S) == 0


async def test_an_order_that_ends_the_process_is_dead_lettered_alone(amqp_url: str) -> None:
    whole = topology_of(types=QueueTypes(live=QueueType.QUORUM))
    dead = dead_queue(kitchen_queue("vlatest"))
    own = ("--version", "vlatest", "--role", "control", "--kitchen", f"{OWN}:cook")
    async with fresh_rabbit(amqp_url, WHOLE, whole) as broker:
        await broker.declare(whole)
        innocent = [an_order() for _ in range(200)]
        killer = an_order(note="end the process")
        orders = [*innocent[:100], killer, *innocent[100:]]
        assert not any(await broker.publish([posted(order) for order in orders]))
        async with started_again_and_again(amqp_url, *own):
            # Ten starts of a process take a while on a busy machine.
            async with asyncio.timeout(6 * DEADLINE_S):
                while not await broker.depth(dead):
                    await asyncio.sleep(0.1)
            ends = await all_ends(broker, innocent)
            [letter] = await taken(broker, dead, 1)
        assert letter.message_id == killer.id
        assert await broker.depth(dead) == 0
        assert max(event.delivery for event in ends) <= 3


@asynccontextmanager
async def started_again_and_again(url: str, *options: str) -> AsyncIterator[None]:
    """A kitchen under a supervisor that starts it again whenever it ends."""

    async def supervise() -> None:
        while True:
            with running(url, *options) as process:
                while process.poll() is None:
                    await asyncio.sleep(0.02)

    supervising = asyncio.create_task(supervise())
    try:
        yield
    finally:
        supervising.cancel()
        with suppress(asyncio.CancelledError):
            await supervising


@asynccontextmanager
async def own_node(directory: Path) -> AsyncIterator[BrokerNode]:
    """A broker that this test may stop."""
    node = BrokerNode(directory)
    await asyncio.to_thread(node.start)
    try:
        yield node
    finally:
        await asyncio.to_thread(node.stop)


async def drained(url: str, orders: Sequence[PlacedOrder]) -> list[Event]:
    """All ends of all these orders, repeats among them."""
    async with connect(url, "test") as broker:
        return await all_ends(broker, orders)


async def test_a_broker_that_stops_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with own_node(tmp_path / "node") as node:
        async with connect(node.url, "test") as broker:
            await broker.declare(WHOLE)
            orders = await sent(broker, 300)
            with running(node.url, "--minute-ms", "20", "--concurrency", "20", log=log) as kitchen:
                first = await observed(broker, 30, *ENDS)
                await asyncio.to_thread(node.stop)
                await until(lambda: b"no broker" in log.read_bytes(), "it misses the broker")
                await asyncio.to_thread(node.start)
                rest = [order for order in orders if order.id not in {e.order_id for e in first}]
                ends = await asyncio.wait_for(drained(node.url, rest), 3 * DEADLINE_S)
                assert kitchen.poll() is None
        assert {event.order_id for event in first + ends} == {order.id for order in orders}
        assert b"Traceback" not in log.read_bytes()
