"""The topology: nothing is transient, the dark stays dark, and every name is typed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kitchen_worker.amqp.broker import Outgoing
from kitchen_worker.amqp.tests.making import an_order, posted
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import QueueType, QueueTypes, Topology, kitchen_queue
from kitchen_worker.testing import MemoryBroker

ROOT = Path(__file__).resolve().parents[3]
TYPES = QueueTypes(live=QueueType.QUORUM)
ALL: dict[str, Topology] = {
    "control": topology.live("vlatest", TYPES),
    "candidate": topology.dark("vnext", TYPES),
    "baseline": topology.dark("vlatest-b", TYPES),
    "observer": topology.stream(TYPES),
    "board": topology.board("dashboard.board.frame.1"),
}
QUEUES = [(process, queue) for process, whole in ALL.items() for queue in whole.queues]
PRODUCTION = {
    kitchen_queue("vlatest"),
    topology.ANSWERS_QUEUE,
    topology.UNROUTED_QUEUE,
    topology.DEAD_ORDERS_QUEUE,
    *topology.HANDOVER_QUEUES,
}
KEPT_AS_PRODUCTION = PRODUCTION | {topology.dead_queue(name) for name in PRODUCTION}


@pytest.mark.parametrize(("process", "queue"), QUEUES, ids=lambda one: getattr(one, "name", one))
def test_every_queue_is_durable_or_exclusive_and_only_production_has_quorum_queues(
    process: str, queue: topology.Queue
) -> None:
    # RabbitBroker declares durable what is not exclusive; only those can be quorum queues.
    assert queue.exclusive == (process == "board")
    wanted = "quorum" if queue.name in KEPT_AS_PRODUCTION else "classic"
    assert queue.exclusive or queue.arguments["x-queue-type"] == wanted


@pytest.mark.parametrize(("process", "queue"), QUEUES, ids=lambda one: getattr(one, "name", one))
def test_every_queue_but_those_of_production_is_bounded_in_count_and_in_bytes(
    process: str, queue: topology.Queue
) -> None:
    bounds = {"x-max-length", "x-max-length-bytes"} & queue.arguments.keys()
    if queue.name in PRODUCTION:
        assert bounds == set()
    else:
        assert bounds == {"x-max-length"} if queue.exclusive else len(bounds) == 2
        assert queue.arguments["x-overflow"] == "drop-head"


def test_a_live_quorum_queue_has_a_delivery_limit_of_ours_and_no_classic_one_has() -> None:
    [quorum] = [one for one in ALL["control"].queues if one.name == kitchen_queue("vlatest")]
    assert quorum.arguments["x-delivery-limit"] == topology.LIVE_DELIVERY_LIMIT
    classic = topology.live("vlatest", QueueTypes())
    assert all("x-delivery-limit" not in queue.arguments for queue in classic.queues)


@pytest.mark.parametrize("source", [topology.ORDERS, topology.KITCHEN_EVENTS, topology.ORDERS_DEAD])
def test_in_a_cluster_what_production_publishes_goes_to_its_own_queues_alone(source: str) -> None:
    reached = {source}
    for process, whole in ALL.items():
        for one in whole.bindings * 2:
            if one.source in reached and process not in ("candidate", "baseline"):
                reached.add(one.destination)
    queues = {queue.name for _, queue in QUEUES}
    assert reached & queues <= KEPT_AS_PRODUCTION | {topology.dead_queue(topology.STREAM_QUEUE)}


def test_copies_go_one_way_alone_whatever_the_queue_type_was_before() -> None:
    for live, other in [
        (QueueType.QUORUM, QueueType.CLASSIC),
        (QueueType.CLASSIC, QueueType.QUORUM),
    ]:
        now = topology.live("vlatest", QueueTypes(live=live))
        before = topology.live("vlatest", QueueTypes(live=other))
        bindings, queues = topology.former_copies(QueueTypes(live=live))
        left = [one for one in before.bindings if one not in bindings and one not in now.bindings]
        assert left == []
        gone = {one.name for one in before.queues} - {one.name for one in now.queues}
        assert gone | {"orders.handover"} == set(queues)
        former = (topology.FORMER_COPIES, *topology.FORMER_HANDOVER.bindings)
        assert all(one in bindings for one in former)
        assert not [one for one in bindings if one in now.bindings]
        assert not [one for one in now.queues if one.name in queues]


def test_processes_agree_on_every_queue_that_they_share() -> None:
    standing: dict[str, topology.Queue] = {}
    for _, queue in QUEUES:
        assert standing.setdefault(queue.name, queue) == queue


async def _standing() -> MemoryBroker:
    broker = MemoryBroker()
    for name, whole in ALL.items():
        if name != "board":
            await broker.declare(whole)
    await broker.declare(topology.live("vformer", TYPES))
    return broker


async def test_an_order_reaches_its_own_control_and_the_sampled_versions_alone() -> None:
    broker = await _standing()
    order = an_order()
    assert await broker.publish([posted(order, "vlatest-b")]) == [None]
    waiting = {name: len(queue.waiting) for name, queue in broker.queues.items()}
    assert {name: count for name, count in waiting.items() if count} == {
        kitchen_queue("vlatest"): 1,
        kitchen_queue("vlatest-b"): 1,
        topology.STREAM_QUEUE: 1,
    }


async def test_every_order_comes_to_the_dashboard_and_no_replay_does() -> None:
    broker = await _standing()
    order = an_order()
    again = msgspec.structs.replace(posted(order, "vnext"), exchange=topology.ORDERS_DARK)
    assert await broker.publish([posted(order), again]) == [None, None]
    [seen] = broker.queues[topology.STREAM_QUEUE].waiting
    assert seen.message_id == order.id
    assert len(broker.bodies(kitchen_queue("vnext"))) == 1


async def test_what_the_stream_drops_is_no_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(topology.STREAM_BOUND, "x-max-length", 2)
    broker = MemoryBroker()
    await broker.declare(ALL["control"] + topology.stream(TYPES))
    orders = [an_order() for _ in range(5)]
    assert await broker.publish([posted(order) for order in orders]) == [None] * 5
    kept = [one.message_id for one in broker.queues[topology.STREAM_QUEUE].waiting]
    assert kept == [order.id for order in orders[3:]]
    assert broker.dead_letters == []


async def test_orders_that_were_sent_before_the_observer_came_are_not_observed() -> None:
    broker = MemoryBroker()
    await broker.declare(ALL["control"])
    assert await broker.publish([posted(an_order())]) == [None]
    await broker.declare(topology.stream(TYPES))
    assert broker.bodies(topology.STREAM_QUEUE) == []


async def test_an_order_that_finds_no_queue_of_its_control_is_kept_for_the_relay() -> None:
    broker = await _standing()
    await broker.delete_queue(kitchen_queue("vlatest"), only_if_empty=False)
    assert await broker.publish([posted(an_order(), "vnext")]) == [None]
    assert len(broker.bodies(topology.UNROUTED_QUEUE)) == 1
    assert len(broker.bodies(kitchen_queue("vnext"))) == 1


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("version", ["vlatest", "vnext", "vstranger"])
async def test_only_the_events_of_a_control_in_use_reach_the_restaurant(
    role: Role, version: str
) -> None:
    broker = await _standing()
    key = topology.events_key(role, version)
    await broker.publish([Outgoing(exchange=topology.KITCHEN_EVENTS, routing_key=key, body=b"{}")])
    is_control = (role, version) == (Role.CONTROL, "vlatest")
    assert len(broker.bodies(topology.ANSWERS_QUEUE)) == is_control
    assert len(broker.bodies(topology.STREAM_QUEUE)) == 1


NAMES = {
    topology.KITCHEN_EVENTS_COPIES,
    topology.ORDERS_DEAD_COPIES,
    *topology.HANDOVER_QUEUES,
    topology.ORDERS_LIVE,
    topology.ORDERS_UNROUTED,
    topology.UNROUTED_QUEUE,
    topology.DEAD_ORDERS_QUEUE,
    topology.ORDERS_COPIES,
    topology.ORDERS_DARK,
    topology.DASHBOARD_ORDERS,
    topology.STREAM_QUEUE,
    topology.KITCHEN_EVENTS,
    topology.ORDERS_DEAD,
    topology.ANNOUNCEMENTS,
    topology.ANSWERS_QUEUE,
    topology.FORMER_OBSERVER_QUEUE,
    topology.DEAD_LETTERS_QUEUE,
}


def _strings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_brokers_names_are_typed_in_the_topology_alone() -> None:
    sources = [
        path
        for package in ("kitchen_worker", "restaurant", "dashboard")
        for path in (ROOT / package).rglob("*.py")
        if "tests" not in path.parts and path.name != "topology.py"
    ]
    typed = {
        f"{path.relative_to(ROOT)}: {text}"
        for path in sources
        for text in _strings(path)
        if text in NAMES or text.startswith(("kitchen.v", "dead.kitchen", "dark.v"))
    }
    assert len(sources) > 10
    assert typed == set()
