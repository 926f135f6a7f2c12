"""The users of a broker of our own: made with its rabbitmqctl, with passwords kept in `.run/`.

A password follows from the run's secret and the user's name, so that each command of this machine
knows it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from kitchen_worker.contract import permissions
from kitchen_worker.contract.permissions import BrokerUser
from local.settings import kept_secrets


class OwnBroker(Protocol):
    """A broker that we may administer."""

    def import_definitions(self, definitions: str) -> None:
        """Make the users of this JSON, or change those that exist."""
        ...


def make_users(broker: OwnBroker, users: Iterable[BrokerUser], directory: Path) -> None:
    """Make the users on a broker of the run in ``directory``, or change those that are there."""
    users = tuple(users)
    passwords = {user.name: _password(user.name, directory) for user in users}
    made = permissions.definitions(users, passwords, vhost="/")
    broker.import_definitions(json.dumps(made))


def url_of(url: str, name: str, directory: Path) -> str:
    """The broker's URL for the user of that name."""
    return permissions.url_of(url, name, _password(name, directory))


def _password(name: str, directory: Path) -> str:
    key = kept_secrets(directory).secret_key.encode()
    return hmac.digest(key, f"broker user {name}".encode(), "sha256").hex()
