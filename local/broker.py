"""The broker of `make run`, given or private, and its users.

Passwords are derived from the run's secret and the user's name, so that every command on this
machine can compute them.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kitchen_worker.contract import permissions
from kitchen_worker.contract.permissions import BrokerUser
from local.broker_node import BrokerNode
from local.install import RABBITMQ, CannotInstall, install
from local.settings import BROKER, kept_secrets, run_directory

WAYS_OUT = """There is no RabbitMQ on this machine, and it cannot be installed from here. One of:
  - install RabbitMQ, as in: sudo apt-get install rabbitmq-server
  - set AMQP_URL to a broker of yours, as in AMQP_URL=amqp://user:password@host:5672/ make run
  - run the one of compose.yaml in a container; its first lines say how"""


class NoBroker(RuntimeError):
    """Raised when there is no broker; says what would help."""


@dataclass(frozen=True, kw_only=True)
class RunningBroker:
    """A running broker: its display name, and each user's AMQP_URL."""

    name: str
    url_of: Callable[[str], str]


@contextmanager
def broker(environ: Mapping[str, str], users: Iterable[BrokerUser]) -> Iterator[RunningBroker]:
    """A given broker, used as it is, or a private one with these users."""
    given = environ.get("AMQP_URL", "").strip()
    if given:
        yield RunningBroker(name="the one of AMQP_URL", url_of=lambda user: given)
        return
    directory = run_directory(environ)
    try:
        install([RABBITMQ])
    except CannotInstall as impossible:
        raise NoBroker(WAYS_OUT) from impossible
    node = BrokerNode(directory / BROKER)
    try:
        node.start()
        make_users(node, users, directory)
        yield RunningBroker(
            name=f"{node.url} (private)", url_of=lambda user: url_of(node.url, user, directory)
        )
    finally:
        node.stop()


def make_users(node: BrokerNode, users: Iterable[BrokerUser], directory: Path) -> None:
    """Create or update the users on the run's broker."""
    users = tuple(users)
    passwords = {user.name: _password(user.name, directory) for user in users}
    made = permissions.definitions(users, passwords, vhost="/")
    node.import_definitions(json.dumps(made))


def url_of(url: str, name: str, directory: Path) -> str:
    return permissions.url_of(url, name, _password(name, directory))


def _password(name: str, directory: Path) -> str:
    key = kept_secrets(directory).secret_key.encode()
    return hmac.digest(key, f"broker user {name}".encode(), "sha256").hex()
