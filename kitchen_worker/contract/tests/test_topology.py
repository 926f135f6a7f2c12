"""The topology: nothing is transient, the dark stays dark, and every name is typed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitchen_worker.contract import topology
from kitchen_worker.contract.memory import MemoryBroker
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.tests.making import an_order, posted
from kitchen_worker.contract.topology import Limits, QueueType, Topology, kitchen_queue
from kitchen_worker.contract.wire import Outgoing

ROOT = Path(__file__).resolve().parents[3]
LIMITS = Limits(queue_type=QueueType.QUORUM)
ALL: dict[str, Topology] = {
    "control": topology.kitchen("vlatest", Role.CONTROL, LIMITS),
    "candidate": topology.kitchen("vnext", Role.CANDIDATE, LIMITS),
    "baseline": topology.kitchen("vlatest-b", Role.BASELINE, LIMITS),
    "relay": topology.relay("vlatest", ["vnext", "vlatest-b"], LIMITS),
    "answers": topology.answers(LIMITS),
    "observer": topology.observer(LIMITS),
    "board": topology.board("dashboard.board.frame.1"),
}
QUEUES = [(process, queue) for process, whole in ALL.items() for queue in whole.queues]


@pytest.mark.parametrize(("process", "queue"), QUEUES, ids=lambda one: getattr(one, "name", one))
def test_every_queue_is_durable_or_exclusive_and_says_its_type(
    process: str, queue: topology.Queue
) -> None:
    # RabbitBroker declares durable what is not exclusive; only those can be quorum queues.
    assert queue.exclusive == (process == "board")
    assert queue.exclusive or queue.arguments["x-queue-type"] == "quorum"


@pytest.mark.parametrize(("process", "queue"), QUEUES, ids=lambda one: getattr(one, "name", one))
def test_every_queue_but_those_of_production_is_bounded(
    process: str, queue: topology.Queue
) -> None:
    production = {kitchen_queue("vlatest"), topology.ANSWERS_QUEUE}
    assert ("x-max-length" in queue.arguments) == (queue.name not in production)
    assert ("x-max-length" in queue.arguments) == (queue.arguments.get("x-overflow") == "drop-head")


def test_processes_agree_on_every_queue_that_they_share() -> None:
    standing: dict[str, topology.Queue] = {}
    for _, queue in QUEUES:
        assert standing.setdefault(queue.name, queue) == queue


async def _standing() -> MemoryBroker:
    broker = MemoryBroker()
    for name, whole in ALL.items():
        if name != "board":
            await broker.declare(whole)
    return broker


async def test_an_order_reaches_the_control_and_the_sampled_versions_alone() -> None:
    broker = await _standing()
    order = an_order()
    assert await broker.publish([posted(order, "vlatest-b")]) == [None]
    waiting = {name: len(queue.waiting) for name, queue in broker.queues.items()}
    assert {name for name, count in waiting.items() if count} == {
        kitchen_queue("vlatest"),
        kitchen_queue("vlatest-b"),
    }


@pytest.mark.parametrize("role", Role)
async def test_only_the_controls_events_reach_the_restaurant(role: Role) -> None:
    broker = await _standing()
    key = topology.events_key(role, "vnext")
    await broker.publish([Outgoing(exchange=topology.KITCHEN_EVENTS, routing_key=key, body=b"{}")])
    assert len(broker.bodies(topology.ANSWERS_QUEUE)) == (role is Role.CONTROL)
    assert len(broker.bodies(topology.OBSERVER_QUEUE)) == 1


NAMES = {
    topology.ORDERS_DARK,
    topology.KITCHEN_EVENTS,
    topology.ORDERS_DEAD,
    topology.ANNOUNCEMENTS,
    topology.ANSWERS_QUEUE,
    topology.OBSERVER_QUEUE,
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
