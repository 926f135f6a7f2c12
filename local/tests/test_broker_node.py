"""The private RabbitMQ node: it starts, keeps its data and ports, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract.topology import Queue, Topology
from local.broker_node import BrokerNode
from local.ports import answers
from local.settings import BROKER, ROOT

pytestmark = pytest.mark.broker


def _open_ports(node: BrokerNode) -> list[int]:
    return [port for port in asdict(node.ports).values() if answers(port)]


async def test_a_stopped_node_starts_again_at_the_same_address_with_its_queues(
    broker_node: BrokerNode,
) -> None:
    url = broker_node.url
    kept = Topology(exchanges=(), queues=(Queue(name="kept"),), bindings=())
    async with connect(url, "test") as broker:
        await broker.declare(kept)
    broker_node.stop()
    broker_node.start()
    assert broker_node.url == url
    async with connect(url, "test") as broker:
        assert await broker.depth("kept") == 0


def test_a_stopped_node_leaves_no_process_behind(broker_node: BrokerNode) -> None:
    assert broker_node.ports.epmd in _open_ports(broker_node)
    broker_node.stop()
    assert _open_ports(broker_node) == []
    assert not broker_node.is_running()


def test_rabbitmqctl_runs_on_the_node_of_another_process(tmp_path: Path) -> None:
    def rabbitmqctl() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "local.broker_node", "list_vhosts", "name"],
            env={**os.environ, "RUN_DIRECTORY": str(tmp_path)},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    refused = rabbitmqctl()
    assert (refused.returncode, "start `make run` first" in refused.stderr) == (3, True)
    node = BrokerNode(tmp_path / BROKER)
    node.start()
    try:
        assert rabbitmqctl().stdout.split()[-1] == "/"
    finally:
        node.stop(gently=False)


def test_a_node_that_runs_is_left_as_it_is(broker_node: BrokerNode, tmp_path: Path) -> None:
    before = broker_node.control("eval", "os:getpid().")
    BrokerNode(tmp_path / "broker-node").start()
    assert broker_node.control("eval", "os:getpid().") == before


def test_each_test_has_a_broker_with_nothing_in_it(
    amqp_url: str, make_amqp_url: Callable[[], str]
) -> None:
    assert urlsplit(amqp_url).path != urlsplit(make_amqp_url()).path
