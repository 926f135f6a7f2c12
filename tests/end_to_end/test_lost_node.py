"""Three broker nodes, one of which is lost under load: where it has every dark queue, customers and
control notice nothing; where it has a live one, the orders wait for it and none is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kitchen_worker.amqp.connection import connect
from kitchen_worker.amqp.tests.waiting import taken
from kitchen_worker.contract import topology
from kitchen_worker.contract.topology import (
    ORDERS_LIVE,
    STREAM_QUEUE,
    Binding,
    Queue,
    QueueType,
    QueueTypes,
    Topology,
    kitchen_queue,
)
from local.broker_cluster import BrokerCluster
from tests.stack import KITCHENS, Stack, a_stack, until
from tests.users import users_for_tests

ANSWERED = "select count(*) from restaurant_order where state = 'ready'"
SENT_AGAIN = "select coalesce(sum(times_again), 0) from restaurant_order"
SENT_AGAIN_THOUGH_ANSWERED = """
select count(*) from restaurant_order where times_again > 0 and answered_at < ?
"""
OBSERVED = "select count(*) from observations where version = ? and state = 'handled'"
PLACED = "select count(*) from restaurant_order"
TIMES = "select placed_at, answered_at from restaurant_order order by placed_at"
#: Orders before the load, and under load.
WARM, LOAD = 50, 700
RATE = 25
#: The messages that a full stream holds.
FULL = 20
#: What the slowest of a hundred customers may wait for more, and their median.
SLOWER_S, MEDIAN_SLOWER_S = 1.0, 0.1
#: Gets each message that the control gets.
PROBE = Topology(
    queues=(Queue(name="probe", arguments={"x-queue-type": "quorum"}),),
    bindings=(Binding(source=ORDERS_LIVE, destination="probe", routing_key="vlatest"),),
)


@pytest.fixture(params=list(QueueType))
def dark_type(request: pytest.FixtureRequest) -> QueueType:
    return QueueType(request.param)


@pytest.fixture
def stack(tmp_path: Path, broker_cluster: BrokerCluster, dark_type: QueueType) -> Iterator[Stack]:
    """A stack on the first two nodes of a cluster, all of whose dark queues are on the last."""
    first, second, last = broker_cluster.nodes
    types = QueueTypes(live=QueueType.QUORUM, dark=dark_type)
    dark = topology.dark("vnext", types) + topology.dark("vlatest-b", types)
    dark += topology.stream(types)
    first.import_definitions(json.dumps(users_for_tests(first.url)))
    declare(first.url, topology.live("vlatest", types) + PROBE)
    declare(last.url, dark)
    if dark_type is QueueType.QUORUM:
        for queue in dark.queues:
            for node in (first, second):
                last.control("delete_member", queue.name, node.name, program="rabbitmq-queues")
    settings = {"QUEUE_TYPE": "quorum", "DARK_QUEUE_TYPE": dark_type.value}
    with a_stack(tmp_path, f"{first.url},{second.url}", **settings) as one:
        yield one


@pytest.mark.parametrize("is_observed", [True, False], ids=["observed", "full-stream"])
def test_customers_and_the_control_notice_nothing_when_every_dark_queue_is_lost(
    stack: Stack,
    broker_cluster: BrokerCluster,
    dark_type: QueueType,
    is_observed: bool,
    record_property: Callable[[str, object], None],
) -> None:
    if not is_observed:
        lower = ("^dashboard[.]stream$", json.dumps({"max-length": FULL}), "--apply-to", "queues")
        broker_cluster.nodes[0].control("set_policy", "full", *lower)
    stack.start("relay", *(["observer"] if is_observed else []), *KITCHENS)
    stack.manage("rush", "--orders", str(WARM), "--rate", str(RATE), "--seed", "1")
    until(lambda: stack.number(ANSWERED) == WARM, "the first orders are answered")
    warm_until = now()
    rush = ["--orders", str(LOAD), "--rate", str(RATE), "--seed", "2"]
    stack.start("rush", options=rush)
    until(lambda: stack.number(ANSWERED) > WARM + LOAD // 2, "half the orders are answered")
    if is_observed:
        until(lambda: stack.number(OBSERVED, "vnext") > LOAD // 4, "and observed")
    else:
        assert depth(broker_cluster.nodes[0].url, STREAM_QUEUE) == FULL
    lost_at = now()
    broker_cluster.nodes[2].stop(gently=False)
    until(lambda: stack.number(ANSWERED) == WARM + LOAD, "every customer has an answer")

    before, after = waits(stack, warm_until, lost_at), waits(stack, lost_at, now())
    figures = f"waited before {summary(before)}, after {summary(after)}"
    record_property(dark_type, figures)
    print(figures)
    assert min(len(before), len(after)) > LOAD // 5
    assert percentile(after, 50) < percentile(before, 50) + MEDIAN_SLOWER_S, figures
    assert percentile(after, 99) < percentile(before, 99) + SLOWER_S, figures
    assert stack.number(SENT_AGAIN) == 0
    assert "were rejected" not in stack.log("relay")
    assert "session with the broker ended" not in stack.log("relay") + stack.log("vlatest")
    assert len(set(probed(broker_cluster, WARM + LOAD))) == WARM + LOAD
    if not is_observed:
        return

    broker_cluster.nodes[2].start()
    observed = stack.number(OBSERVED, "vnext")
    until(lambda: is_handled_in_the_dark(stack, observed), "dark versions and observer are back")


def test_orders_wait_for_live_queues_on_a_lost_node_and_each_is_answered(
    tmp_path: Path, broker_cluster: BrokerCluster
) -> None:
    first, second, last = broker_cluster.nodes
    first.import_definitions(json.dumps(users_for_tests(first.url)))
    declare(last.url, topology.live("vlatest", QueueTypes()))
    with a_stack(tmp_path, f"{first.url},{second.url}", RESEND_SECONDS="5") as stack:
        stack.start("relay", *KITCHENS)
        stack.start("rush", options=["--orders", "400", "--rate", str(RATE), "--seed", "1"])
        until(lambda: stack.number(ANSWERED) > 50, "orders are answered")
        last.stop(gently=False)
        until(lambda: stack.number(PLACED) > 250, "orders are placed without it")
        last.start()
        # A control whose queue is not there for 10 seconds has ended; a supervisor starts it again.
        stack.stop("vlatest")
        stack.start("vlatest")
        until(lambda: stack.number(PLACED) == stack.number(ANSWERED) == 400, "all are answered")
        sessions = stack.log("relay").count("connected to the broker")
        print(f"{sessions} sessions of the relay, {stack.number(SENT_AGAIN)} orders sent again")
        assert sessions > 1


def test_no_order_is_lost_with_the_controls_queue_on_a_cluster(
    tmp_path: Path, broker_cluster: BrokerCluster
) -> None:
    first, second, last = broker_cluster.nodes
    first.import_definitions(json.dumps(users_for_tests(first.url)))
    settings = {"QUEUE_TYPE": "quorum", "RESEND_SECONDS": "5"}
    urls = ",".join(node.url for node in (first, second, last))
    with a_stack(tmp_path, urls, **settings) as stack:
        stack.start("relay", "observer", *KITCHENS)
        stack.start("rush", options=["--orders", "400", "--rate", str(RATE), "--seed", "1"])
        until(lambda: stack.number(ANSWERED) > 100, "orders are answered")
        lost = now()
        delete(first.url, kitchen_queue("vlatest"))
        until(lambda: stack.number(ANSWERED) == 400, "every customer has an answer")
        until(lambda: stack.number(OBSERVED, "vlatest") == 400, "each is observed once")
        repeats = "select repeats from dashboard_participant where version = 'vlatest'"
        again = stack.number(SENT_AGAIN)
        print(f"{again} orders sent again, {stack.number(repeats)} repeats")
        assert again > 0
        assert stack.number(repeats) <= again
        assert stack.number(SENT_AGAIN_THOUGH_ANSWERED, lost) == 0


def depth(url: str, queue: str) -> int:
    async def play() -> int:
        async with connect(url, "test") as broker:
            return await broker.depth(queue)

    return asyncio.run(play())


def delete(url: str, queue: str) -> None:
    async def play() -> None:
        async with connect(url, "test") as broker:
            assert await broker.delete_queue(queue, only_if_empty=False)

    asyncio.run(play())


def is_handled_in_the_dark(stack: Stack, observed: int) -> bool:
    """Place an order, and say whether any was observed since."""
    stack.manage("rush", "--orders", "1", "--rate", "100", "--seed", "3", "--wait", "0")
    return stack.number(OBSERVED, "vnext") > observed


def declare(url: str, whole: Topology) -> None:
    async def play() -> None:
        async with connect(url, "test") as broker:
            await broker.declare(whole)

    asyncio.run(play())


def probed(cluster: BrokerCluster, count: int) -> list[str | None]:
    """The orders of all messages that the control got: so many, and none more."""

    async def play() -> list[str | None]:
        async with connect(cluster.nodes[0].url, "test") as broker:
            assert await broker.depth("probe") == count
            return [one.message_id for one in await taken(broker, "probe", count)]

    return asyncio.run(play())


def now() -> datetime:
    """The time as SQLite keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def waits(stack: Stack, since: datetime, until: datetime) -> list[float]:
    """How long the customers of these orders waited, in seconds, shortest first."""
    times = [
        (datetime.fromisoformat(placed), datetime.fromisoformat(answered))
        for placed, answered in stack.query(TIMES)
    ]
    return sorted(
        (answered - placed).total_seconds() for placed, answered in times if since <= placed < until
    )


def percentile(waited: list[float], percent: int) -> float:
    return waited[min(len(waited) * percent // 100, len(waited) - 1)]


def summary(waited: list[float]) -> str:
    p50, p99 = percentile(waited, 50), percentile(waited, 99)
    return f"p50 {p50:.3f} s, p99 {p99:.3f} s, longest {waited[-1]:.3f} s of {len(waited)}"
