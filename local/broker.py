"""Chooses the broker of `make run`: the given one, a private node, or a container."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kitchen_worker.contract.permissions import BrokerUser
from local import broker_users
from local.broker_container import ContainerBroker, container_broker, engine
from local.broker_node import BrokerNode
from local.install import RABBITMQ, CannotInstall, install
from local.settings import BROKER, run_directory

WAYS_OUT = """There is no RabbitMQ on this machine, and it cannot be installed from here. One of:
  - set AMQP_URL to a broker of yours, as in AMQP_URL=amqp://user:password@host:5672/ make run
  - install RabbitMQ, as in: sudo apt-get install rabbitmq-server
  - install a container engine (Docker or Podman) that this user may use"""


class NoBroker(RuntimeError):
    """Raised when there is no way to a broker; names the ways out."""


@dataclass(frozen=True, kw_only=True)
class Broker:
    """A broker that runs: what to call it, and the AMQP_URL of each user."""

    name: str
    url_of: Callable[[str], str]


@contextmanager
def broker(environ: Mapping[str, str], users: Iterable[BrokerUser]) -> Iterator[Broker]:
    """Give a broker; one of our own has these users, a given one is used as it is."""
    given = environ.get("AMQP_URL", "").strip()
    if given:
        yield Broker(name="the one of AMQP_URL", url_of=lambda user: given)
        return
    directory = run_directory(environ)
    try:
        install([RABBITMQ])
    except CannotInstall as impossible:
        engine_name = engine()
        if engine_name is None:
            raise NoBroker(WAYS_OUT) from impossible
        with container_broker(engine_name) as container:
            broker_users.make_users(container, users, directory)
            yield _own(container, f"a {engine_name} container", directory)
        return
    node = BrokerNode(directory / BROKER)
    try:
        node.start()
        broker_users.make_users(node, users, directory)
        yield _own(node, "private", directory)
    finally:
        node.stop()


def _own(node: BrokerNode | ContainerBroker, kind: str, directory: Path) -> Broker:
    return Broker(
        name=f"{node.url} ({kind})",
        url_of=lambda user: broker_users.url_of(node.url, user, directory),
    )
