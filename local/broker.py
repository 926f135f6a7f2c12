"""The broker of `make run`: the given one, a private node, or a container; and its users.

A user's password follows from the run's secret and its name, so that each command of this machine
knows it.
"""

from __future__ import annotations

import hmac
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kitchen_worker.contract import permissions
from kitchen_worker.contract.permissions import BrokerUser
from local.broker_node import BrokerNode
from local.install import RABBITMQ, CannotInstall, install
from local.ports import LOOPBACK, free_ports
from local.settings import BROKER, kept_secrets, run_directory

WAYS_OUT = """There is no RabbitMQ on this machine, and it cannot be installed from here. One of:
  - set AMQP_URL to a broker of yours, as in AMQP_URL=amqp://user:password@host:5672/ make run
  - install RabbitMQ, as in: sudo apt-get install rabbitmq-server
  - install a container engine (Docker or Podman) that this user may use"""
IMAGE = "rabbitmq:4.2.9"
_ENGINES = ("docker", "podman")
_START_TIMEOUT_S = 90.0
_IMPORT = (
    "umask 077; cat > /tmp/users.json && rabbitmqctl --quiet import_definitions /tmp/users.json"
)


class NoBroker(RuntimeError):
    """Raised when there is no way to a broker, or its container fails; says what would help."""


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
        engine = next(filter(_works, _ENGINES), None)
        if engine is None:
            raise NoBroker(WAYS_OUT) from impossible
        with _container(engine) as container:
            make_users(container, users, directory)
            yield _own(container, f"a {engine} container", directory)
        return
    node = BrokerNode(directory / BROKER)
    try:
        node.start()
        make_users(node, users, directory)
        yield _own(node, "private", directory)
    finally:
        node.stop()


def make_users(
    broker: BrokerNode | ContainerBroker, users: Iterable[BrokerUser], directory: Path
) -> None:
    """Make the users on a broker of the run in ``directory``, or change those that are there."""
    users = tuple(users)
    passwords = {user.name: _password(user.name, directory) for user in users}
    made = permissions.definitions(users, passwords, vhost="/")
    broker.import_definitions(json.dumps(made))


def url_of(url: str, name: str, directory: Path) -> str:
    """The broker's URL for the user of that name."""
    return permissions.url_of(url, name, _password(name, directory))


def _own(node: BrokerNode | ContainerBroker, kind: str, directory: Path) -> Broker:
    return Broker(
        name=f"{node.url} ({kind})", url_of=lambda user: url_of(node.url, user, directory)
    )


def _password(name: str, directory: Path) -> str:
    key = kept_secrets(directory).secret_key.encode()
    return hmac.digest(key, f"broker user {name}".encode(), "sha256").hex()


@dataclass(frozen=True)
class ContainerBroker:
    """A broker that runs in a container, where RabbitMQ can neither be found nor installed."""

    url: str
    engine: str
    container: str

    def import_definitions(self, definitions: str) -> None:
        """Make the users, permissions and so on of this JSON, or change those that exist."""
        command = ("exec", "--interactive", self.container, "sh", "-c", _IMPORT)
        done = _run(self.engine, *command, stdin=definitions)
        if done.returncode:
            raise NoBroker(f"rabbitmqctl import_definitions: {done.stderr.strip()}")


@contextmanager
def _container(engine: str) -> Iterator[ContainerBroker]:
    """A container that is there for the time of the block."""
    (port,) = free_ports(1)
    published = f"{LOOPBACK}:{port}:5672"
    started = _run(engine, "run", "--detach", "--rm", "--publish", published, IMAGE)
    if started.returncode:
        raise NoBroker(f"{engine} could not start {IMAGE}: {started.stderr.strip()}")
    container = started.stdout.strip()
    # The engine itself takes connections on the port from the start: ask the broker.
    question = ("exec", container, "rabbitmq-diagnostics", "--quiet", "check_port_connectivity")
    deadline = time.monotonic() + _START_TIMEOUT_S
    try:
        while _run(engine, *question).returncode:
            if time.monotonic() > deadline:
                raise NoBroker(f"{IMAGE} did not start within {_START_TIMEOUT_S:.0f} s.")
            time.sleep(0.2)
        yield ContainerBroker(f"amqp://guest:guest@{LOOPBACK}:{port}/", engine, container)
    finally:
        _run(engine, "rm", "--force", "--volumes", container)


def _works(engine: str) -> bool:
    return bool(shutil.which(engine)) and not _run(engine, "info").returncode


def _run(*command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=stdin, capture_output=True, text=True)
