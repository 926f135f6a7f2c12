"""The exchanges, queues and bindings as data: the only spelling of each name on the broker."""

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
#: Takes what ``orders.live`` could route to no control's queue.
ORDERS_UNROUTED = "orders.unrouted"
ORDERS_DARK = "orders.dark"
KITCHEN_EVENTS = "kitchen.events"
#: The same events and dead letters, for those who watch.
KITCHEN_EVENTS_COPIES = "kitchen.events.copies"
ORDERS_DEAD = "orders.dead"
ORDERS_DEAD_COPIES = "orders.dead.copies"
ANNOUNCEMENTS = "dashboard.announcements"

ANSWERS_QUEUE = "restaurant.answers"
#: Orders that found no control's queue: the relay sends them again.
UNROUTED_QUEUE = "restaurant.unrouted"
#: Orders that the control's queue dead-lettered: their customers are told.
DEAD_ORDERS_QUEUE = "restaurant.dead"
OBSERVER_QUEUE = "dashboard.observer"
DEAD_LETTERS_QUEUE = "dashboard.dead"

#: What production publishes, and where those who only watch get their copies of it.
_COPIES = {
    ORDERS: ORDERS_DARK,
    KITCHEN_EVENTS: KITCHEN_EVENTS_COPIES,
    ORDERS_DEAD: ORDERS_DEAD_COPIES,
}
#: The key that binds what is published under any: a fanout exchange looks at none.
_ANY_KEY = {ORDERS: "", KITCHEN_EVENTS: "#", ORDERS_DEAD: "#"}

#: Header of an order: the id of the launch it was placed in.
LAUNCH_HEADER = "launch"
#: Header of an order that is sent again to one dark version: the id of the live order.
REPLAY_HEADER = "replay"
#: Headers of an order on ``orders``: when it was published, by which relay process, and its number
#: among all that this process published there.
SENT_AT_HEADER, RELAY_HEADER, SEQ_HEADER = "sent_at", "relay", "seq"
#: Header of a dead letter: why nobody could read or handle it.
REASON_HEADER = "x-reason"
#: Headers of a dead letter: the version and the order that it concerns, where they can be read.
VERSION_HEADER, ORDER_HEADER = "x-version", "x-order"

# Bounds of the queues that production does not need, fixed in their arguments: a queue's arguments
# cannot be changed. An operator lowers them with RabbitMQ policies; the lower of the two holds.
_MB = 1024 * 1024
DARK_BOUND = {"x-max-length": 100_000, "x-max-length-bytes": 128 * _MB}
#: How long an order waits for a dark kitchen at most.
DARK_TTL_MS = 600_000
OBSERVER_BOUND = {"x-max-length": 1_000_000, "x-max-length-bytes": 1024 * _MB}
DEAD_BOUND = {"x-max-length": 10_000, "x-max-length-bytes": 64 * _MB}
#: How often a live quorum queue delivers an order before it dead-letters it: RabbitMQ 3 has no
#: limit of its own, RabbitMQ 4 has 20. A kitchen takes orders that came back twice one at a time,
#: so that only an order that ends the process itself comes this far.
LIVE_DELIVERY_LIMIT = 6


class QueueType(StrEnum):
    """How the broker keeps a durable queue: ``classic`` on one node, ``quorum`` in a cluster."""

    CLASSIC = "classic"
    QUORUM = "quorum"


@dataclass(frozen=True, kw_only=True)
class QueueTypes:
    """How the broker keeps the queues of production, and all others."""

    live: QueueType = QueueType.CLASSIC
    dark: QueueType = QueueType.CLASSIC


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """An exchange; durable, always."""

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
    #: Exchanges that another process declares, and that must be there.
    needed: tuple[str, ...] = ()

    def __add__(self, other: Topology) -> Topology:
        return Topology(
            exchanges=_distinct(self.exchanges, other.exchanges),
            queues=_distinct(self.queues, other.queues),
            bindings=_distinct(self.bindings, other.bindings),
            needed=_distinct(self.needed, other.needed),
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


def _exchanges(types: QueueTypes) -> Topology:
    """What is published to, and how copies of it come to those who only watch.

    A message is confirmed when every queue has accepted it. In a cluster a dark queue may be lost
    while production is not, and then a publish is held or refused (docs/architecture.md has the
    measurements): copies go over a handover queue, which is kept as production's queues are.
    """
    alternate = {"alternate-exchange": ORDERS_UNROUTED}
    whole = Topology(
        exchanges=(
            Exchange(name=ORDERS, type="fanout"),
            Exchange(name=ORDERS_UNROUTED, type="fanout"),
            Exchange(name=ORDERS_LIVE, type="direct", arguments=alternate),
            Exchange(name=ORDERS_DARK, type="headers"),
            Exchange(name=KITCHEN_EVENTS, type="topic"),
            Exchange(name=KITCHEN_EVENTS_COPIES, type="topic"),
            Exchange(name=ORDERS_DEAD, type="topic"),
            Exchange(name=ORDERS_DEAD_COPIES, type="topic"),
        ),
        bindings=(Binding(source=ORDERS, destination=ORDERS_LIVE, to_exchange=True),),
    )
    if types.live is QueueType.CLASSIC:
        return whole + Topology(bindings=_DIRECT_COPIES)
    for source in _COPIES:
        whole += _handover(source)
    return whole


def handover_queue(source: str) -> str:
    """The queue that hands copies of what ``source`` gets on to those who only watch."""
    return f"{source}.handover"


HANDOVER_QUEUES = tuple(handover_queue(source) for source in _COPIES)
#: Where no queue can be lost without production.
_DIRECT_COPIES = tuple(
    Binding(source=source, destination=copies, routing_key=_ANY_KEY[source], to_exchange=True)
    for source, copies in _COPIES.items()
)


def _handover(source: str) -> Topology:
    """A queue in which every message expires at once: the broker dead-letters it to the copies,
    for whose queues nobody waits."""
    name = handover_queue(source)
    arguments = {
        **_type(QueueType.QUORUM),
        "x-message-ttl": 0,
        "x-dead-letter-exchange": _COPIES[source],
    }
    return _queue(name, arguments) + Topology(
        bindings=(Binding(source=source, destination=name, routing_key=_ANY_KEY[source]),)
    )


def former_copies(types: QueueTypes) -> tuple[tuple[Binding, ...], tuple[str, ...]]:
    """The bindings and the queues by which copies go with the other QUEUE_TYPE: with both, they
    would come twice."""
    if types.live is QueueType.QUORUM:
        return _DIRECT_COPIES, ()
    return (), HANDOVER_QUEUES


def live(control: str, types: QueueTypes) -> Topology:
    """All that production needs, for one control: declared by the relay, and by nobody else.

    Of the orders only those of the control's own launch come to its queue, by their routing key;
    one that finds no queue goes to ``restaurant.unrouted``. Its answers come to the site, and so
    do the orders that its queue dead-letters.
    """
    return _exchanges(types) + live_queues(types) + control_queue(control, types)


def live_queues(types: QueueTypes) -> Topology:
    """The site's own queues, which every control shares."""
    whole = Topology()
    for name in (ANSWERS_QUEUE, UNROUTED_QUEUE, DEAD_ORDERS_QUEUE):
        whole += _dead_letters_of(name, types.live)
        whole += _queue(name, _type(types.live), _dead_to(name))
    return whole + Topology(bindings=(Binding(source=ORDERS_UNROUTED, destination=UNROUTED_QUEUE),))


def control_queue(control: str, types: QueueTypes) -> Topology:
    """A control's queue and what is bound for it; a control that retires is unbound again."""
    name = kitchen_queue(control)
    limit = {"x-delivery-limit": LIVE_DELIVERY_LIMIT} if types.live is QueueType.QUORUM else {}
    queue = _queue(name, _type(types.live), _dead_to(name), limit)
    bindings = Topology(bindings=control_bindings(control))
    return _dead_letters_of(name, types.live) + queue + bindings


def control_bindings(control: str) -> tuple[Binding, ...]:
    """What leads orders to a control, and its answers and dead letters back to the site."""
    name, key = kitchen_queue(control), events_key(Role.CONTROL, control)
    return (
        Binding(source=ORDERS_LIVE, destination=name, routing_key=control),
        Binding(source=KITCHEN_EVENTS, destination=ANSWERS_QUEUE, routing_key=key),
        Binding(source=ORDERS_DEAD, destination=DEAD_ORDERS_QUEUE, routing_key=name),
    )


def former_bindings(control: str) -> tuple[Binding, ...]:
    """What earlier releases bound: with it the control would get each order twice."""
    return (
        Binding(source=ORDERS, destination=kitchen_queue(control)),
        Binding(source=KITCHEN_EVENTS, destination=ANSWERS_QUEUE, routing_key=f"{Role.CONTROL}.*"),
    )


def dark(version: str, types: QueueTypes) -> Topology:
    """A dark version's queue: bounded, so that a slow or dead candidate cannot fill the broker."""
    name = kitchen_queue(version)
    bound = {**DARK_BOUND, **_DROP_OLDEST, "x-message-ttl": DARK_TTL_MS}
    queue = _queue(name, _type(types.dark), _dead_to(name), bound)
    bindings = Topology(bindings=(dark_binding(version),))
    return _dead_letters_of(name, types.dark) + queue + bindings


def dark_binding(version: str) -> Binding:
    """What leads the orders of its sample to a dark version."""
    header = {"x-match": "all", dark_header(version): "1"}
    return Binding(source=ORDERS_DARK, destination=kitchen_queue(version), arguments=header)


def observer(types: QueueTypes) -> Topology:
    """What the observer reads: every event, and a copy of every dead letter.

    Bounded, so that an observer that is away for days cannot fill the broker: an event that is
    dropped shows as a missing observation, never as a stopped restaurant.
    """
    events = _queue(
        OBSERVER_QUEUE, _type(types.dark), _dead_to(OBSERVER_QUEUE), OBSERVER_BOUND, _DROP_OLDEST
    )
    copies = _queue(DEAD_LETTERS_QUEUE, _type(types.dark), DEAD_BOUND, _DROP_OLDEST)
    bindings = Topology(
        bindings=(
            Binding(source=KITCHEN_EVENTS_COPIES, destination=OBSERVER_QUEUE, routing_key="#"),
            Binding(source=ORDERS_DEAD_COPIES, destination=DEAD_LETTERS_QUEUE, routing_key="#"),
        ),
        needed=(KITCHEN_EVENTS_COPIES, ORDERS_DEAD, ORDERS_DEAD_COPIES),
    )
    own = _dead_letters_of(OBSERVER_QUEUE, types.dark) + events + copies
    return own + bindings + announcements()


def former_observer_bindings() -> tuple[Binding, ...]:
    """What earlier releases bound: with it everything would come twice."""
    return (
        Binding(source=KITCHEN_EVENTS, destination=OBSERVER_QUEUE, routing_key="#"),
        Binding(source=ORDERS_DEAD, destination=DEAD_LETTERS_QUEUE, routing_key="#"),
    )


def announcements() -> Topology:
    """The exchange on which the observer says that a launch changed."""
    return Topology(exchanges=(Exchange(name=ANNOUNCEMENTS, type="fanout"),))


def board(queue: str) -> Topology:
    """One web process's own ear for announcements: lives as long as its connection."""
    own = Queue(name=queue, arguments={"x-max-length": 1, **_DROP_OLDEST}, exclusive=True)
    return announcements() + Topology(
        queues=(own,), bindings=(Binding(source=ANNOUNCEMENTS, destination=queue),)
    )


_DROP_OLDEST = {"x-overflow": "drop-head"}


def _queue(name: str, *arguments: Mapping[str, Any]) -> Topology:
    whole = {key: value for some in arguments for key, value in some.items()}
    return Topology(queues=(Queue(name=name, arguments=whole),))


def _dead_letters_of(queue: str, queue_type: QueueType) -> Topology:
    """The queue that keeps the dead letters of ``queue`` for a person, kept as that one is."""
    name = dead_queue(queue)
    return _queue(name, _type(queue_type), DEAD_BOUND, _DROP_OLDEST) + Topology(
        bindings=(Binding(source=ORDERS_DEAD, destination=name, routing_key=queue),)
    )


def _type(queue_type: QueueType) -> dict[str, Any]:
    return {"x-queue-type": queue_type.value}


def _dead_to(queue: str) -> dict[str, Any]:
    return {"x-dead-letter-exchange": ORDERS_DEAD, "x-dead-letter-routing-key": queue}


def _distinct(first: tuple[_Part, ...], second: tuple[_Part, ...]) -> tuple[_Part, ...]:
    return first + tuple(one for one in second if one not in first)
