"""Three private RabbitMQ nodes as one cluster; each can be killed and started separately."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.broker_node import BrokerNode, Membership
from local.ports import free_ports

_SIZE = 3


class BrokerCluster:
    """The nodes of one directory, with a shared cookie and name server."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        (epmd,) = free_ports(1)
        names = tuple(f"dark-kitchen-{number}@localhost" for number in range(1, _SIZE + 1))
        self._membership = Membership(directory=self._directory, first=names[0], epmd=epmd)
        self.nodes: Sequence[BrokerNode] = [
            BrokerNode(
                self._directory / name.partition("@")[0], name=name, cluster=self._membership
            )
            for name in names
        ]

    @property
    def url(self) -> str:
        """The URLs of all nodes, to be tried in turn."""
        return ",".join(node.url for node in self.nodes)

    def start(self) -> None:
        """Start the first node, then the others, which join it; wait until they form a cluster."""
        home = self._directory / "home"
        home.mkdir(parents=True)
        cookie = home / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(20))
        cookie.chmod(0o400)
        self.nodes[0].start()
        for node in self.nodes[1:]:
            node.begin()
        for node in self.nodes[1:]:
            node.wait_until_begun()
        self.nodes[0].control("await_online_nodes", str(_SIZE))

    def stop(self) -> None:
        for node in self.nodes:
            node.stop(gently=False)
        self.nodes[0].stop_epmd()


@contextmanager
def broker_cluster(directory: Path) -> Iterator[BrokerCluster]:
    """A running cluster; nothing is left of it afterwards."""
    cluster = BrokerCluster(directory)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
