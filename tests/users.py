"""The broker users of the tests' processes: made on every virtual host, known by its URL alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitchen_worker.contract import permissions
from kitchen_worker.contract.messages import Role

#: The kitchens that tests run as processes.
KITCHENS = {
    "vlatest": Role.CONTROL,
    "vnext": Role.CANDIDATE,
    "vlatest-b": Role.BASELINE,
    "vlatest-c": Role.CANDIDATE,
    "vlatest-d": Role.CONTROL,
    "vshell": Role.CANDIDATE,
    # The queue of this version would have the name of the exchange of all events.
    "events": Role.CANDIDATE,
}
_PASSWORDS = {user.name: f"the {user.name}'s" for user in permissions.users(KITCHENS)}


def users_for_tests(url: str) -> dict[str, Any]:
    """The users with their permissions on the virtual host of a URL, as RabbitMQ imports them."""
    vhost = permissions.vhost_of(url)
    return permissions.definitions(permissions.users(KITCHENS), _PASSWORDS, vhost=vhost)


def urls_of_users(url: str) -> Mapping[str, str]:
    """The same broker's URL for each user, by name."""
    return {name: permissions.url_of(url, name, word) for name, word in _PASSWORDS.items()}
