"""A broker user for each process, with permissions derived from its topology.

RabbitMQ requires ``configure`` to declare or delete; ``write`` on an exchange to publish to it, and
on a binding's destination; ``read`` on a queue to consume or purge it, and on a binding's source.
A queue with a dead-letter exchange, or an exchange with an alternate one, needs ``read`` on itself
and ``write`` on the other. On topic exchanges, topic permissions also check the routing key.
Passive declarations need nothing.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import VERSION_NAME, Role
from kitchen_worker.contract.topology import (
    Binding,
    Queue,
    QueueType,
    QueueTypes,
    Topology,
    kitchen_queue,
)

#: Placeholder for any version in a name, and for the id in the name of a board's queue.
_ANY = "ANY"
#: Queues and exchanges share patterns: a version's queue must not match the events' exchange.
_ANY_PATTERN = f"(?!events$){VERSION_NAME}"
_NOTHING = "^$"
#: Matches no routing key, not even the empty one.
_NO_KEY = "^(?!)"
_EVERY_KEY = ".*"


@dataclass(frozen=True, kw_only=True)
class TopicPermission:
    """The routing keys with which a user may publish and bind on a topic exchange."""

    exchange: str
    write: str
    read: str


@dataclass(frozen=True, kw_only=True)
class BrokerUser:
    """A broker user, with a regular expression for each permission."""

    name: str
    configure: str
    write: str
    read: str
    topics: tuple[TopicPermission, ...] = ()


def relay() -> BrokerUser:
    """Declares everything of production and the dark queues; publishes orders, but no events."""
    own = topology.dark(_ANY, QueueTypes()) + topology.FORMER_HANDOVER
    for queue_type in QueueType:
        own += topology.live(_ANY, QueueTypes(live=queue_type))
    return _user(
        "relay",
        own,
        publishes=(topology.ORDERS, topology.ORDERS_LIVE, topology.ORDERS_DEAD),
        topics=(
            TopicPermission(
                exchange=topology.KITCHEN_EVENTS, write=_NO_KEY, read=rf"^({Role.CONTROL}\.|#$)"
            ),
            _dead_letters_of(
                topology.ANSWERS_QUEUE, topology.UNROUTED_QUEUE, topology.DEAD_ORDERS_QUEUE
            ),
            # The relay binds them, but publishes nothing there.
            TopicPermission(exchange=topology.KITCHEN_EVENTS_COPIES, write=_NO_KEY, read=_NO_KEY),
            TopicPermission(exchange=topology.ORDERS_DEAD_COPIES, write=_NO_KEY, read=_NO_KEY),
        ),
    )


def observer() -> BrokerUser:
    """Declares what belongs to the dashboard; publishes announcements, and replays to dark
    queues."""
    return _user(
        "observer",
        topology.stream(QueueTypes())
        # The observer deletes this one.
        + Topology(queues=(Queue(name=topology.FORMER_OBSERVER_QUEUE),)),
        publishes=(topology.ANNOUNCEMENTS, topology.ORDERS_DEAD, topology.ORDERS_DARK),
        consumes=(
            topology.STREAM_QUEUE,
            topology.FORMER_OBSERVER_QUEUE,
            topology.DEAD_LETTERS_QUEUE,
        ),
        unbinds=topology.former_observer_bindings(),
        topics=(
            _dead_letters_of(
                topology.STREAM_QUEUE, topology.FORMER_OBSERVER_QUEUE, topology.DEAD_LETTERS_QUEUE
            ),
        ),
    )


def site() -> BrokerUser:
    """Consumes announcements on queues of its own; taking orders needs no broker."""
    queue = f"{topology.ANNOUNCEMENTS}.{_ANY}"
    return _user("site", topology.board(queue), consumes=(queue,))


def kitchen(version: str, role: Role) -> BrokerUser:
    """Consumes its version's orders, and publishes events under its own name only."""
    queue = kitchen_queue(version)
    return _user(
        f"kitchen-{version}",
        Topology(),
        publishes=(topology.KITCHEN_EVENTS, topology.ORDERS_DEAD),
        consumes=(queue,),
        topics=(
            TopicPermission(
                exchange=topology.KITCHEN_EVENTS,
                write=_pattern([topology.events_key(role, version)]),
                read=_NO_KEY,
            ),
            TopicPermission(exchange=topology.ORDERS_DEAD, write=_pattern([queue]), read=_NO_KEY),
        ),
    )


def users(kitchens: Mapping[str, Role]) -> tuple[BrokerUser, ...]:
    """The users of all processes, for kitchens of these versions and roles."""
    return (relay(), observer(), site(), *(kitchen(*one) for one in kitchens.items()))


def definitions(
    whom: Iterable[BrokerUser], passwords: Mapping[str, str], *, vhost: str
) -> dict[str, Any]:
    """The users in RabbitMQ's import format, with password hashes."""
    whom = tuple(whom)
    return {
        "users": [
            {
                "name": user.name,
                "password_hash": password_hash(passwords[user.name], secrets.token_bytes(4)),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            }
            for user in whom
        ],
        "permissions": [
            {
                "user": user.name,
                "vhost": vhost,
                "configure": user.configure,
                "write": user.write,
                "read": user.read,
            }
            for user in whom
        ],
        "topic_permissions": [
            {
                "user": user.name,
                "vhost": vhost,
                "exchange": topic.exchange,
                "write": topic.write,
                "read": topic.read,
            }
            for user in whom
            for topic in user.topics
        ],
    }


def password_hash(password: str, salt: bytes) -> str:
    """RabbitMQ's format: four bytes of salt, then the SHA-256 of salt and password."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def vhost_of(url: str) -> str:
    """The virtual host of a broker URL, or of the first of several."""
    return unquote(urlsplit(url.partition(",")[0].strip()).path[1:]) or "/"


def url_of(url: str, name: str, password: str) -> str:
    """A broker URL, or several, with a user's name and password."""
    login = f"{quote(name, safe='')}:{quote(password, safe='')}"
    return ",".join(_with_login(urlsplit(one.strip()), login) for one in url.split(","))


def _with_login(address: SplitResult, login: str) -> str:
    host = address.netloc.rpartition("@")[2]
    return urlunsplit(address._replace(netloc=f"{login}@{host}"))


def _user(
    name: str,
    declared: Topology,
    *,
    publishes: Iterable[str] = (),
    consumes: Iterable[str] = (),
    unbinds: Iterable[Binding] = (),
    topics: tuple[TopicPermission, ...] = (),
) -> BrokerUser:
    bindings = (*declared.bindings, *unbinds)
    sources = [one.source for one in bindings]
    destinations = [one.destination for one in bindings]
    named = [(one.name, one.arguments.get("alternate-exchange")) for one in declared.exchanges]
    named += [(one.name, one.arguments.get("x-dead-letter-exchange")) for one in declared.queues]
    passing_on = {name: other for name, other in named if other is not None}
    return BrokerUser(
        name=name,
        configure=_pattern(name for name, _ in named),
        write=_pattern([*destinations, *passing_on.values(), *publishes]),
        read=_pattern([*sources, *passing_on, *consumes]),
        topics=topics,
    )


def _dead_letters_of(*queues: str) -> TopicPermission:
    return TopicPermission(exchange=topology.ORDERS_DEAD, write=_pattern(queues), read=_EVERY_KEY)


def _pattern(names: Iterable[str]) -> str:
    """A regular expression that matches exactly these names."""
    escaped = sorted({name.replace(".", r"\.").replace(_ANY, _ANY_PATTERN) for name in names})
    if not escaped:
        return _NOTHING
    return f"^({'|'.join(escaped)})$" if len(escaped) > 1 else f"^{escaped[0]}$"
