"""The exchanges, queues and bindings as data: the only place where their names are spelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from kitchen_worker.contract.messages import Role

_Part = TypeVar("_Part")

ORDERS = "orders"
#: Fed from ``orders``: the control's copy, by the routing key of the order.
ORDERS_LIVE = "orders.live"
#: Gets orders that ``orders.live`` could not route to a control's queue.
ORDERS_UNROUTED = "orders.unrouted"
#: Copies of the orders, for everything outside production.
ORDERS_COPIES = "orders.copies"
#: Fed from the copies: a dark version's orders, by header. Replays are published here.
ORDERS_DARK = "orders.dark"
KITCHEN_EVENTS = "kitchen.events"
#: Copies of the events and dead letters, for the dashboard.
KITCHEN_EVENTS_COPIES = "kitchen.events.copies"
ORDERS_DEAD = "orders.dead"
ORDERS_DEAD_COPIES = "orders.dead.copies"
#: Fed from the copies: all orders, for the dashboard.
DASHBOARD_ORDERS = "dashboard.orders"
ANNOUNCEMENTS = "dashboard.announcements"

ANSWERS_QUEUE = "restaurant.answers"
#: Orders without a control's queue: the relay resends them.
UNROUTED_QUEUE = "restaurant.unrouted"
#: Orders that the control's queue dead-lettered: they fail for their customers.
DEAD_ORDERS_QUEUE = "restaurant.dead"
#: Everything the dashboard reads: all orders and all events.
STREAM_QUEUE = "dashboard.stream"
DEAD_LETTERS_QUEUE = "dashboard.dead"

#: The exchanges that production publishes to, and those of their copies.
_COPIES = {
    ORDERS: ORDERS_COPIES,
    KITCHEN_EVENTS: KITCHEN_EVENTS_COPIES,
    ORDERS_DEAD: ORDERS_DEAD_COPIES,
}
#: In a cluster, a handover queue stands between each of these exchanges and its copies, so that
#: publishers don't wait for the dashboard's and the dark versions' queues.
_HANDOVER = {
    ORDERS: "orders.copies.handover",
    KITCHEN_EVENTS: "kitchen.events.handover",
    ORDERS_DEAD: "orders.dead.handover",
}
HANDOVER_QUEUES = tuple(_HANDOVER.values())
#: The binding key that matches everything; a fanout exchange ignores keys.
_ANY_KEY = {ORDERS: "", KITCHEN_EVENTS: "#", ORDERS_DEAD: "#"}

#: The exchange tells what a message of the stream is. Bindings between exchanges keep the exchange
#: that a message was published to; a handover queue publishes it again, to the copies.
ORDER_SOURCES = frozenset({ORDERS, ORDERS_COPIES})
EVENT_SOURCES = frozenset({KITCHEN_EVENTS, KITCHEN_EVENTS_COPIES})

#: Header of an order: the id of the launch it was placed in.
LAUNCH_HEADER = "launch"
#: Header of a replayed order: the id of the live order.
REPLAY_HEADER = "replay"
#: Headers of an order on ``orders``: when it was published, the relay process, and its sequence
#: number among this process's orders of the launch.
SENT_AT_HEADER, RELAY_HEADER, SEQ_HEADER = "sent_at", "relay", "seq"
#: Header of a dead letter: why it could not be read or handled.
REASON_HEADER = "x-reason"
#: Headers of a dead letter: the version and order that it is about, if known.
VERSION_HEADER, ORDER_HEADER = "x-version", "x-order"

# Bounds of the queues that production does not need. Queue arguments can't be changed; operators
# lower a bound with a RabbitMQ policy, and the lower of the two applies.
_MB = 1024 * 1024
DARK_BOUND = {"x-max-length": 100_000, "x-max-length-bytes": 128 * _MB}
_DROP_OLDEST = {"x-overflow": "drop-head"}
#: Longest time that an order waits for a dark kitchen.
DARK_TTL_MS = 600_000
#: About an hour and a half at 100 orders a second (docs/performance.md).
STREAM_BOUND = {"x-max-length": 2_000_000, "x-max-length-bytes": 1024 * _MB}
DEAD_BOUND = {"x-max-length": 10_000, "x-max-length-bytes": 64 * _MB}
#: Deliveries of an order before a live quorum queue dead-letters it: RabbitMQ 3 has no limit of its
#: own, RabbitMQ 4 has 20. Kitchens take twice redelivered orders one at a time, so only an order
#: that crashes the process itself gets this far.
LIVE_DELIVERY_LIMIT = 6


class QueueType(StrEnum):
    """``classic`` on one node, ``quorum`` in a cluster."""

    CLASSIC = "classic"
    QUORUM = "quorum"


@dataclass(frozen=True, kw_only=True)
class QueueTypes:
    """The queue type of production's queues, and of all others."""

    live: QueueType = QueueType.CLASSIC
    dark: QueueType = QueueType.CLASSIC


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """An exchange; always durable."""

    name: str
    type: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue: durable, or exclusive to the connection that declares it."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    exclusive: bool = False


@dataclass(frozen=True, kw_only=True)
class Binding:
    """From an exchange to a queue, or to another exchange."""

    source: str
    destination: str
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    to_exchange: bool = False


@dataclass(frozen=True, kw_only=True)
class Topology:
    """What one process declares on the broker, at every connection."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()
    #: Exchanges that another process declares, and that must exist.
    needed: tuple[str, ...] = ()

    def __add__(self, other: Topology) -> Topology:
        return Topology(
            exchanges=_distinct(self.exchanges, other.exchanges),
            queues=_distinct(self.queues, other.queues),
            bindings=_distinct(self.bindings, other.bindings),
            needed=_distinct(self.needed, other.needed),
        )


def _distinct(first: tuple[_Part, ...], second: tuple[_Part, ...]) -> tuple[_Part, ...]:
    return first + tuple(one for one in second if one not in first)


def _queue(name: str, *arguments: Mapping[str, Any]) -> Topology:
    merged = {key: value for some in arguments for key, value in some.items()}
    return Topology(queues=(Queue(name=name, arguments=merged),))


def _type(queue_type: QueueType) -> dict[str, Any]:
    return {"x-queue-type": queue_type.value}


def kitchen_queue(version: str) -> str:
    """The queue of a version's orders."""
    return f"kitchen.{version}"


def dead_queue(queue: str) -> str:
    """The queue for dead letters from ``queue``."""
    return f"dead.{queue}"


def dark_header(version: str) -> str:
    """The header that routes an order to a dark version, if its value is "1"."""
    return f"dark.{version}"


def events_key(role: Role, version: str) -> str:
    """The routing key of a version's events."""
    return f"{role}.{version}"


def _exchanges(types: QueueTypes) -> Topology:
    """Production's exchanges, and those of the copies for everybody else.

    A message is confirmed when every queue has accepted it. If a cluster loses a dark queue,
    publishes are held or refused (docs/performance.md has the measurements). So copies go through a
    handover queue, which is replicated like production's queues.
    """
    alternate = {"alternate-exchange": ORDERS_UNROUTED}
    topology = Topology(
        exchanges=(
            Exchange(name=ORDERS, type="fanout"),
            Exchange(name=ORDERS_UNROUTED, type="fanout"),
            Exchange(name=ORDERS_LIVE, type="direct", arguments=alternate),
            Exchange(name=ORDERS_COPIES, type="fanout"),
            Exchange(name=ORDERS_DARK, type="headers"),
            Exchange(name=KITCHEN_EVENTS, type="topic"),
            Exchange(name=KITCHEN_EVENTS_COPIES, type="topic"),
            Exchange(name=ORDERS_DEAD, type="topic"),
            Exchange(name=ORDERS_DEAD_COPIES, type="topic"),
        ),
        bindings=(
            Binding(source=ORDERS, destination=ORDERS_LIVE, to_exchange=True),
            Binding(source=ORDERS_COPIES, destination=ORDERS_DARK, to_exchange=True),
        ),
    )
    if types.live is QueueType.CLASSIC:
        return topology + Topology(bindings=_DIRECT_COPIES)
    for source in _COPIES:
        topology += _handover(source)
    return topology


#: On one node: bindings instead of handover queues, as no queue is lost there without production's.
_DIRECT_COPIES = tuple(
    Binding(source=source, destination=copies, routing_key=_ANY_KEY[source], to_exchange=True)
    for source, copies in _COPIES.items()
)


def _handover(source: str) -> Topology:
    """A queue in which every message expires at once and is dead-lettered to the copies, for whose
    queues no publisher waits."""
    return _expiring_queue(source, _HANDOVER[source], _COPIES[source])


def _expiring_queue(source: str, name: str, copies: str) -> Topology:
    arguments = {
        **_type(QueueType.QUORUM),
        "x-message-ttl": 0,
        "x-dead-letter-exchange": copies,
    }
    return _queue(name, arguments) + Topology(
        bindings=(Binding(source=source, destination=name, routing_key=_ANY_KEY[source]),)
    )


#: How earlier releases copied orders to the dark versions: in a cluster, and on one node.
FORMER_HANDOVER_QUEUE = "orders.handover"
FORMER_HANDOVER = _expiring_queue(ORDERS, FORMER_HANDOVER_QUEUE, ORDERS_DARK)
FORMER_COPIES = Binding(source=ORDERS, destination=ORDERS_DARK, to_exchange=True)


def former_copies(types: QueueTypes) -> tuple[tuple[Binding, ...], tuple[str, ...]]:
    """The bindings and queues of copies under the other QUEUE_TYPE or an earlier release; with
    both, copies would come twice. An unbound queue still hands over what it holds."""
    bindings: tuple[Binding, ...] = (FORMER_COPIES, *FORMER_HANDOVER.bindings)
    if types.live is QueueType.QUORUM:
        return (*bindings, *_DIRECT_COPIES), (FORMER_HANDOVER_QUEUE,)
    handover = sum(map(_handover, _COPIES), Topology())
    return (*bindings, *handover.bindings), (FORMER_HANDOVER_QUEUE, *HANDOVER_QUEUES)


def live(control: str, types: QueueTypes) -> Topology:
    """Everything production needs for one control, declared by the relay alone.

    The control's queue gets the orders of its own launch, by routing key; an order without a queue
    goes to ``restaurant.unrouted``. The control's answers, and the dead letters of its queue, go to
    the site.
    """
    return _exchanges(types) + live_queues(types) + control_queue(control, types)


def live_queues(types: QueueTypes) -> Topology:
    """The site's own queues, shared by all controls."""
    topology = Topology()
    for name in (ANSWERS_QUEUE, UNROUTED_QUEUE, DEAD_ORDERS_QUEUE):
        topology += _dead_letters_of(name, types.live)
        topology += _queue(name, _type(types.live), _dead_to(name))
    return topology + Topology(
        bindings=(Binding(source=ORDERS_UNROUTED, destination=UNROUTED_QUEUE),)
    )


def control_queue(control: str, types: QueueTypes) -> Topology:
    """A control's queue and its bindings; a former control is unbound."""
    name = kitchen_queue(control)
    limit = {"x-delivery-limit": LIVE_DELIVERY_LIMIT} if types.live is QueueType.QUORUM else {}
    queue = _queue(name, _type(types.live), _dead_to(name), limit)
    bindings = Topology(bindings=control_bindings(control))
    return _dead_letters_of(name, types.live) + queue + bindings


def control_bindings(control: str) -> tuple[Binding, ...]:
    """Orders to a control; its answers and dead letters back to the site."""
    name, key = kitchen_queue(control), events_key(Role.CONTROL, control)
    return (
        Binding(source=ORDERS_LIVE, destination=name, routing_key=control),
        Binding(source=KITCHEN_EVENTS, destination=ANSWERS_QUEUE, routing_key=key),
        Binding(source=ORDERS_DEAD, destination=DEAD_ORDERS_QUEUE, routing_key=name),
    )


def former_bindings(control: str) -> tuple[Binding, ...]:
    """Bindings of earlier releases; with them the control would get each order twice."""
    return (
        Binding(source=ORDERS, destination=kitchen_queue(control)),
        Binding(source=KITCHEN_EVENTS, destination=ANSWERS_QUEUE, routing_key=f"{Role.CONTROL}.*"),
    )


def dark(version: str, types: QueueTypes) -> Topology:
    """A dark version's queue, bounded so that a slow candidate can't fill the broker."""
    name = kitchen_queue(version)
    bound = {**DARK_BOUND, **_DROP_OLDEST, "x-message-ttl": DARK_TTL_MS}
    queue = _queue(name, _type(types.dark), _dead_to(name), bound)
    bindings = Topology(bindings=(dark_binding(version),))
    return _dead_letters_of(name, types.dark) + queue + bindings


def dark_binding(version: str) -> Binding:
    """Routes the orders of its sample to a dark version."""
    header = {"x-match": "all", dark_header(version): "1"}
    return Binding(source=ORDERS_DARK, destination=kitchen_queue(version), arguments=header)


def stream(types: QueueTypes) -> Topology:
    """What the dashboard reads: every order, every event, and a copy of every dead letter.

    Only the observer declares its exchange and queue. Orders that were sent before that are not
    observed. One observer at a time gets deliveries.

    The queue is bounded, so that an absent observer can't fill the broker. Dropped messages are not
    dead-lettered, which would be a dead letter per order; dropped orders show as gaps in the
    relay's numbers, dropped events as missing observations.
    """
    topology = _queue(
        STREAM_QUEUE,
        _type(types.dark),
        STREAM_BOUND,
        _DROP_OLDEST,
        {"x-single-active-consumer": True},
    )
    topology += _queue(DEAD_LETTERS_QUEUE, _type(types.dark), DEAD_BOUND, _DROP_OLDEST)
    topology += _dead_letters_of(STREAM_QUEUE, types.dark)
    # Orders first, so that no event comes without its order.
    bindings = (
        Binding(source=DASHBOARD_ORDERS, destination=STREAM_QUEUE),
        Binding(source=ORDERS_COPIES, destination=DASHBOARD_ORDERS, to_exchange=True),
        Binding(source=KITCHEN_EVENTS_COPIES, destination=STREAM_QUEUE, routing_key="#"),
        Binding(source=ORDERS_DEAD_COPIES, destination=DEAD_LETTERS_QUEUE, routing_key="#"),
    )
    return (
        topology
        + announcements()
        + Topology(
            exchanges=(Exchange(name=DASHBOARD_ORDERS, type="fanout"),),
            bindings=bindings,
            needed=(ORDERS_COPIES, KITCHEN_EVENTS_COPIES, ORDERS_DEAD, ORDERS_DEAD_COPIES),
        )
    )


#: The queue of earlier releases: the observer drains and deletes it.
FORMER_OBSERVER_QUEUE = "dashboard.ingest.observer"


def former_observer_bindings() -> tuple[Binding, ...]:
    """Bindings of earlier releases; with them everything would come twice.

    They are removed after the stream is bound, so that no event is lost. An event that came to both
    queues in between is recognized by its id.
    """
    return (
        Binding(source=KITCHEN_EVENTS, destination=FORMER_OBSERVER_QUEUE, routing_key="#"),
        Binding(source=KITCHEN_EVENTS_COPIES, destination=FORMER_OBSERVER_QUEUE, routing_key="#"),
        Binding(source=ORDERS_DEAD, destination=DEAD_LETTERS_QUEUE, routing_key="#"),
    )


def announcements() -> Topology:
    """The exchange on which the observer announces that a launch changed."""
    return Topology(exchanges=(Exchange(name=ANNOUNCEMENTS, type="fanout"),))


def board(queue: str) -> Topology:
    """A web process's queue for announcements; lives as long as its connection."""
    own = Queue(name=queue, arguments={"x-max-length": 1, **_DROP_OLDEST}, exclusive=True)
    return announcements() + Topology(
        queues=(own,), bindings=(Binding(source=ANNOUNCEMENTS, destination=queue),)
    )


def _dead_letters_of(queue: str, queue_type: QueueType) -> Topology:
    """The queue that keeps the dead letters of ``queue``, of the same type."""
    name = dead_queue(queue)
    return _queue(name, _type(queue_type), DEAD_BOUND, _DROP_OLDEST) + Topology(
        bindings=(Binding(source=ORDERS_DEAD, destination=name, routing_key=queue),)
    )


def _dead_to(queue: str) -> dict[str, Any]:
    return {"x-dead-letter-exchange": ORDERS_DEAD, "x-dead-letter-routing-key": queue}
