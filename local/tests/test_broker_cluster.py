"""A private cluster: three nodes that are one broker, each of which can be killed by itself."""

from __future__ import annotations

from dataclasses import asdict

from kitchen_worker.amqp.broker import Outgoing
from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract.topology import Queue, Topology
from local.broker_cluster import BrokerCluster
from local.ports import answers

KEPT = Topology(queues=(Queue(name="kept", arguments={"x-queue-type": "quorum"}),))
MESSAGE = Outgoing(exchange="", routing_key="kept", body=b"{}")


async def test_a_cluster_goes_on_without_one_node_and_takes_it_back(
    broker_cluster: BrokerCluster,
) -> None:
    first, second, third = broker_cluster.nodes
    async with connect(first.url, "test") as broker:
        await broker.declare(KEPT)
        assert await broker.publish([MESSAGE]) == [None]
        third.stop(gently=False)
        assert await broker.publish([MESSAGE]) == [None]
    third.start()
    second.stop(gently=False)
    async with connect(third.url, "test") as broker:
        assert await broker.publish([MESSAGE]) == [None]
        assert await broker.depth("kept") == 3


def test_a_cluster_that_ends_leaves_no_process_behind(broker_cluster: BrokerCluster) -> None:
    assert len({node.ports.epmd for node in broker_cluster.nodes}) == 1
    broker_cluster.stop()
    ports = {port for node in broker_cluster.nodes for port in asdict(node.ports).values()}
    assert [port for port in ports if answers(port)] == []
    assert not any(node.is_running() for node in broker_cluster.nodes)
