"""Chooses the broker of `make run`: the given one, a private node, or a container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.broker_container import container_broker, engine
from local.broker_node import BrokerNode
from local.install import RABBITMQ, CannotInstall, install

WAYS_OUT = """There is no RabbitMQ on this machine, and it cannot be installed from here. One of:
  - set AMQP_URL to a broker of yours, as in AMQP_URL=amqp://user:password@host:5672/ make run
  - install RabbitMQ, as in: sudo apt-get install rabbitmq-server
  - install a container engine (Docker or Podman) that this user may use"""


class NoBroker(RuntimeError):
    """Raised when there is no way to a broker; names the ways out."""


@contextmanager
def broker(environ: Mapping[str, str], directory: Path) -> Iterator[tuple[str, str]]:
    """Give a broker's URL and what to call it; a node of our own lives in ``directory``."""
    given = environ.get("AMQP_URL", "").strip()
    if given:
        yield given, "the one of AMQP_URL"
        return
    try:
        install([RABBITMQ])
    except CannotInstall as impossible:
        engine_name = engine()
        if engine_name is None:
            raise NoBroker(WAYS_OUT) from impossible
        with container_broker(engine_name) as url:
            yield url, f"{url} (a {engine_name} container)"
        return
    node = BrokerNode(directory)
    try:
        node.start()
        yield node.url, f"{node.url} (private)"
    finally:
        node.stop()
