"""The exchanges, queues and bindings as data: the only spelling of each name on the broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from kitchen_worker.contract.messages import Role

_Part = TypeVar("_Part")

ORDERS = "orders"
ORDERS_DARK = "orders.dark"
KITCHEN_EVENTS = "kitchen.events"
ORDERS_DEAD = "orders.dead"
ANNOUNCEMENTS = "dashboard.announcements"

ANSWERS_QUEUE = "restaurant.answers"
OBSERVER_QUEUE = "dashboard.observer"
DEAD_LETTERS_QUEUE = "dashboard.dead"

#: Header of an order: the id of the launch it was placed in.
LAUNCH_HEADER = "launch"
#: Header of an order that is sent again to one dark version: the id of the live order.
REPLAY_HEADER = "replay"
#: Header of a dead letter: why nobody could read or handle it.
REASON_HEADER = "x-reason"


class QueueType(StrEnum):
    """How the broker keeps a durable queue: ``classic`` on one node, ``quorum`` in a cluster."""

    CLASSIC = "classic"
    QUORUM = "quorum"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How queues are kept, and how far the ones that may overflow can grow."""

    queue_type: QueueType = QueueType.CLASSIC
    #: Orders that wait for a dark kitchen at most; the oldest are dropped.
    dark_queue_length: int = 10_000
    #: How long an order waits for a dark kitchen at most.
    dark_queue_ttl_ms: int = 600_000
    #: Event messages that wait for the observer at most; the oldest are dropped.
    observer_queue_length: int = 1_000_000
    #: Dead letters kept per queue; the oldest are dropped.
    dead_queue_length: int = 10_000


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """An exchange; durable, always."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue: durable, or exclusive to the connection that declares it."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    exclusive: bool = False


@dataclass(frozen=True, kw_only=True)
class Binding:
    """The road from an exchange to a queue, or to another exchange."""

    source: str
    destination: str
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    to_exchange: bool = False


@dataclass(frozen=True, kw_only=True)
class Topology:
    """What one process needs on the broker; declared anew at every connection."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __add__(self, other: Topology) -> Topology:
        return Topology(
            exchanges=_distinct(self.exchanges, other.exchanges),
            queues=_distinct(self.queues, other.queues),
            bindings=_distinct(self.bindings, other.bindings),
        )


def kitchen_queue(version: str) -> str:
    """The queue from which a version's kitchens take their orders."""
    return f"kitchen.{version}"


def dead_queue(queue: str) -> str:
    """The queue that keeps what could not be read or handled from ``queue``."""
    return f"dead.{queue}"


def dark_header(version: str) -> str:
    """The header that sends an order to a dark version, with the value "1"."""
    return f"dark.{version}"


def events_key(role: Role, version: str) -> str:
    """The routing key under which a version says what it did."""
    return f"{role}.{version}"


_EXCHANGES = Topology(
    exchanges=(
        Exchange(name=ORDERS, type="fanout"),
        Exchange(name=ORDERS_DARK, type="headers"),
        Exchange(name=KITCHEN_EVENTS, type="topic"),
        Exchange(name=ORDERS_DEAD, type="topic"),
    ),
    bindings=(Binding(source=ORDERS, destination=ORDERS_DARK, to_exchange=True),),
)


def answers(limits: Limits) -> Topology:
    """The site's own queue: answers of the control, and of nobody else by construction."""
    return _EXCHANGES + _kept_queue(
        ANSWERS_QUEUE, source=KITCHEN_EVENTS, key=f"{Role.CONTROL}.*", limits=limits
    )


def observer(limits: Limits) -> Topology:
    """What the observer reads: every event, and a copy of every dead letter.

    Bounded, so that an observer that is away for days cannot fill the broker: an event that is
    dropped shows as a missing observation, never as a stopped restaurant.
    """
    bound = {"x-max-length": limits.observer_queue_length, "x-overflow": "drop-head"}
    copies = Topology(
        queues=(
            Queue(
                name=DEAD_LETTERS_QUEUE,
                arguments={**_kept(limits), **_bounded(limits.dead_queue_length)},
            ),
        ),
        bindings=(Binding(source=ORDERS_DEAD, destination=DEAD_LETTERS_QUEUE, routing_key="#"),),
    )
    events = _kept_queue(
        OBSERVER_QUEUE, source=KITCHEN_EVENTS, key="#", limits=limits, arguments=bound
    )
    return _EXCHANGES + events + copies + announcements()


def kitchen(version: str, role: Role, limits: Limits) -> Topology:
    """What a kitchen needs: its own queue, and the queue that hears it, so that no event is lost.

    The control's is the site's: production stands without the dashboard.
    """
    if role is Role.CONTROL:
        return _control_queue(version, limits) + answers(limits)
    return _dark_queue(version, limits) + observer(limits)


def relay(control: str, dark: Iterable[str], limits: Limits) -> Topology:
    """What must stand before an order is posted: a queue for every version that is to have it."""
    whole = _control_queue(control, limits) + answers(limits)
    for version in dark:
        whole += _dark_queue(version, limits)
    return whole


def announcements() -> Topology:
    """The exchange on which the observer says that a launch changed."""
    return Topology(exchanges=(Exchange(name=ANNOUNCEMENTS, type="fanout"),))


def board(queue: str) -> Topology:
    """One web process's own ear for announcements: lives as long as its connection."""
    return announcements() + Topology(
        queues=(
            Queue(
                name=queue,
                arguments=_bounded(1),
                exclusive=True,
            ),
        ),
        bindings=(Binding(source=ANNOUNCEMENTS, destination=queue),),
    )


def _control_queue(version: str, limits: Limits) -> Topology:
    return _EXCHANGES + _kept_queue(kitchen_queue(version), source=ORDERS, key="", limits=limits)


def _dark_queue(version: str, limits: Limits) -> Topology:
    name = kitchen_queue(version)
    arguments = {
        **_kept(limits),
        **_dead_lettered(name),
        **_bounded(limits.dark_queue_length),
        "x-message-ttl": limits.dark_queue_ttl_ms,
    }
    header = {"x-match": "all", dark_header(version): "1"}
    return (
        _EXCHANGES
        + _dead(name, limits)
        + Topology(
            queues=(Queue(name=name, arguments=arguments),),
            bindings=(Binding(source=ORDERS_DARK, destination=name, arguments=header),),
        )
    )


def _kept_queue(
    name: str,
    *,
    source: str,
    key: str,
    limits: Limits,
    arguments: Mapping[str, Any] | None = None,
) -> Topology:
    whole = {**_kept(limits), **_dead_lettered(name), **(arguments or {})}
    return _dead(name, limits) + Topology(
        queues=(Queue(name=name, arguments=whole),),
        bindings=(Binding(source=source, destination=name, routing_key=key),),
    )


def _dead(queue: str, limits: Limits) -> Topology:
    name = dead_queue(queue)
    arguments = {**_kept(limits), **_bounded(limits.dead_queue_length)}
    return Topology(
        exchanges=(Exchange(name=ORDERS_DEAD, type="topic"),),
        queues=(Queue(name=name, arguments=arguments),),
        bindings=(Binding(source=ORDERS_DEAD, destination=name, routing_key=queue),),
    )


def _kept(limits: Limits) -> dict[str, Any]:
    return {"x-queue-type": limits.queue_type.value}


def _dead_lettered(queue: str) -> dict[str, Any]:
    return {"x-dead-letter-exchange": ORDERS_DEAD, "x-dead-letter-routing-key": queue}


def _bounded(length: int) -> dict[str, Any]:
    return {"x-max-length": length, "x-overflow": "drop-head"}


def _distinct(first: tuple[_Part, ...], second: tuple[_Part, ...]) -> tuple[_Part, ...]:
    return first + tuple(one for one in second if one not in first)
