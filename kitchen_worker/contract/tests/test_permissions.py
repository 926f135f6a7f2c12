"""Every act of every broker user, tried on a real broker: what is not allowed is refused."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiormq
import pytest
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused, ChannelClosed

from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.permissions import password_hash, url_of, vhost_of
from kitchen_worker.contract.topology import (
    ANNOUNCEMENTS,
    ANSWERS_QUEUE,
    DASHBOARD_ORDERS,
    DEAD_LETTERS_QUEUE,
    DEAD_ORDERS_QUEUE,
    FORMER_OBSERVER_QUEUE,
    HANDOVER_QUEUES,
    KITCHEN_EVENTS,
    KITCHEN_EVENTS_COPIES,
    ORDERS,
    ORDERS_COPIES,
    ORDERS_DARK,
    ORDERS_DEAD,
    ORDERS_DEAD_COPIES,
    ORDERS_LIVE,
    ORDERS_UNROUTED,
    STREAM_QUEUE,
    UNROUTED_QUEUE,
    Exchange,
    Queue,
    QueueType,
    QueueTypes,
    Topology,
)
from tests.users import urls_of_users

KITCHENS = ("vlatest", "vnext", "vlatest-b")
TYPES = QueueTypes()
#: Each web process has its own; here it is not exclusive, so that others may try to take it.
BOARD_QUEUE = f"{ANNOUNCEMENTS}.00000000-0000-4000-8000-000000000000"
RELAYS = topology.live("vlatest", TYPES) + topology.dark("vnext", TYPES)
RELAYS += topology.dark("vlatest-b", TYPES)
#: What the relay declares in a cluster alone.
_CLUSTERS = topology.live("vlatest", QueueTypes(live=QueueType.QUORUM))
RELAYS += Topology(queues=tuple(one for one in _CLUSTERS.queues if one.name in HANDOVER_QUEUES))
#: What earlier releases declared there, which the relay deletes.
RELAYS += Topology(queues=topology.FORMER_HANDOVER.queues)
_BOARDS = topology.board(BOARD_QUEUE)
WHOLE = (
    RELAYS
    + topology.stream(TYPES)
    + Topology(queues=(Queue(name=FORMER_OBSERVER_QUEUE),))
    + replace(_BOARDS, queues=tuple(replace(one, exclusive=False) for one in _BOARDS.queues))
    # What a stranger has on the same virtual host.
    + Topology(exchanges=(Exchange(name="strange", type="topic"),), queues=(Queue(name="strange"),))
)
EXCHANGES = tuple(one.name for one in WHOLE.exchanges)
QUEUES = tuple(one.name for one in WHOLE.queues)
EVENT_KEYS = ("control.vlatest", "candidate.vnext", "baseline.vlatest-b", "control.vnext", "")
KITCHEN_QUEUES = ("kitchen.vlatest", "kitchen.vnext", "kitchen.vlatest-b")
PRODUCTION = (ORDERS, ORDERS_LIVE, ORDERS_UNROUTED, ORDERS_DARK, KITCHEN_EVENTS, ORDERS_DEAD)
COPIES = (KITCHEN_EVENTS_COPIES, ORDERS_DEAD_COPIES)
RESTAURANTS = (ANSWERS_QUEUE, UNROUTED_QUEUE, DEAD_ORDERS_QUEUE)


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What one user may do, by the names of what it does it to; spelled out, not worked out."""

    declares: tuple[str, ...] = ()
    #: Exchanges, with the keys of those where not every key is allowed.
    publishes: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    #: Queues and exchanges that it may bind.
    binds: tuple[str, ...] = ()
    #: Exchanges that it may bind to, and with which keys.
    sources: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)


def _a_kitchen(version: str, role: Role) -> Allowed:
    queue = f"kitchen.{version}"
    return Allowed(
        publishes={KITCHEN_EVENTS: (f"{role}.{version}",), ORDERS_DEAD: (queue,)}, reads=(queue,)
    )


_RELAYS_QUEUES = (*KITCHEN_QUEUES, *RESTAURANTS, *HANDOVER_QUEUES, "orders.handover")
_RELAYS_DEAD = tuple(f"dead.{queue}" for queue in (*KITCHEN_QUEUES, *RESTAURANTS))
ALLOWED = {
    "relay": Allowed(
        declares=(*PRODUCTION, ORDERS_COPIES, *COPIES, *_RELAYS_QUEUES, *_RELAYS_DEAD),
        publishes={
            ORDERS: None,
            ORDERS_LIVE: None,
            # To write there is to bind there, or to name it as the alternate exchange.
            ORDERS_COPIES: None,
            ORDERS_DARK: None,
            ORDERS_UNROUTED: None,
            ORDERS_DEAD: RESTAURANTS,
        },
        # To declare a queue that dead-letters is to read it.
        reads=_RELAYS_QUEUES,
        binds=(
            *_RELAYS_QUEUES, *_RELAYS_DEAD, *COPIES,
            ORDERS, ORDERS_COPIES, ORDERS_LIVE, ORDERS_UNROUTED, ORDERS_DARK, ORDERS_DEAD,
        ),
        sources={
            **dict.fromkeys((*PRODUCTION, ORDERS_COPIES)),
            KITCHEN_EVENTS: ("control.vlatest", "control.vnext", "#"),
        },
    ),
    "observer": Allowed(
        declares=(
            ANNOUNCEMENTS, DASHBOARD_ORDERS, STREAM_QUEUE, FORMER_OBSERVER_QUEUE,
            DEAD_LETTERS_QUEUE, f"dead.{STREAM_QUEUE}",
        ),
        publishes={
            ANNOUNCEMENTS: None,
            # To write there is to bind there; what is published there is taken for no order.
            DASHBOARD_ORDERS: None,
            ORDERS_DARK: None,
            ORDERS_DEAD: (STREAM_QUEUE, FORMER_OBSERVER_QUEUE, DEAD_LETTERS_QUEUE),
        },
        # What waits in the former one is taken, and then it is deleted.
        reads=(STREAM_QUEUE, FORMER_OBSERVER_QUEUE, DEAD_LETTERS_QUEUE),
        binds=(
            STREAM_QUEUE, FORMER_OBSERVER_QUEUE, DEAD_LETTERS_QUEUE, f"dead.{STREAM_QUEUE}",
            ANNOUNCEMENTS, DASHBOARD_ORDERS, ORDERS_DARK, ORDERS_DEAD,
        ),
        # From the first two only to unbind what earlier releases bound.
        sources=dict.fromkeys(
            (KITCHEN_EVENTS, ORDERS_DEAD, ORDERS_COPIES, DASHBOARD_ORDERS, *COPIES)
        ),
    ),
    "site": Allowed(
        declares=(ANNOUNCEMENTS, BOARD_QUEUE),
        reads=(BOARD_QUEUE,),
        binds=(BOARD_QUEUE,),
        sources={ANNOUNCEMENTS: None},
    ),
    "kitchen-vlatest": _a_kitchen("vlatest", Role.CONTROL),
    "kitchen-vnext": _a_kitchen("vnext", Role.CANDIDATE),
    "kitchen-vlatest-b": _a_kitchen("vlatest-b", Role.BASELINE),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Act:
    """A call on a channel that a user tries."""

    what: str
    is_allowed: bool
    method: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    async def do(self, channel: AbstractChannel) -> None:
        await getattr(channel, self.method)(*self.arguments, **self.options)


def _acts(may: Allowed) -> Iterator[Act]:
    yield from _publishing(may)
    yield from _binding(may)
    yield from _reading(may)
    yield from _declaring(may)


def _publishing(may: Allowed) -> Iterator[Act]:
    for exchange in ("", *EXCHANGES):
        for key in (*EVENT_KEYS, *QUEUES, "vlatest"):
            keys = may.publishes.get(exchange, ())
            yield Act(
                what=f"publish to {exchange or 'the default exchange'} with {key!r}",
                is_allowed=keys is None or key in keys,
                method="basic_publish",
                arguments=(b"{}",),
                options={"exchange": exchange, "routing_key": key},
            )


def _binding(may: Allowed) -> Iterator[Act]:
    destinations = [("queue", name) for name in QUEUES] + [("exchange", name) for name in EXCHANGES]
    for source in EXCHANGES:
        for key in (*EVENT_KEYS, "#") if source == KITCHEN_EVENTS else ("#",):
            keys = may.sources.get(source, ())
            is_source = keys is None or key in keys
            for verb, (kind, name) in itertools.product(("bind", "unbind"), destinations):
                yield Act(
                    what=f"{verb} {kind} {name} to {source} with {key!r}",
                    is_allowed=is_source and name in may.binds,
                    method=f"{kind}_{verb}",
                    arguments=(name, source, key),
                )


def _reading(may: Allowed) -> Iterator[Act]:
    for queue in QUEUES:
        for method, arguments in (
            ("basic_consume", (queue, _ignore)),
            ("basic_get", (queue,)),
            ("queue_purge", (queue,)),
        ):
            yield Act(
                what=f"{method} {queue}",
                is_allowed=queue in may.reads,
                method=method,
                arguments=arguments,
            )


async def _ignore(_message: object) -> None:
    """Take a delivery and do nothing with it."""


def _declaring(may: Allowed) -> Iterator[Act]:
    """Declare each queue and exchange as it stands, delete it, and declare it where it is not."""
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("queue", queue.name, {"arguments": dict(queue.arguments)}) for queue in WHOLE.queues
    ]
    calls += [
        (
            "exchange",
            exchange.name,
            {"exchange_type": exchange.type, "arguments": dict(exchange.arguments)},
        )
        for exchange in WHOLE.exchanges
    ]
    for kind, name, options in calls:
        for verb in ("declare", "delete", "declare"):
            yield Act(
                what=f"{verb} {kind} {name}",
                is_allowed=name in may.declares,
                method=f"{kind}_{verb}",
                arguments=(name,),
                options={"durable": True, **options} if verb == "declare" else {},
            )
    for queue in ("", "amq.mine"):
        yield Act(
            what=f"declare queue {queue!r}",
            is_allowed=False,
            method="queue_declare",
            arguments=(queue,),
            options={"exclusive": True},
        )


async def _tried(connection: AbstractConnection, act: Act) -> str:
    """What the broker said to an act, on a channel for it alone."""
    channel = await connection.channel(publisher_confirms=True)
    try:
        await act.do(channel)
    except ChannelAccessRefused:
        return "refused"
    except ChannelClosed as closed:
        return str(closed)
    await channel.close()
    return "allowed"


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AbstractConnection]:
    connection = await aiormq.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.broker
@pytest.mark.parametrize("user", ALLOWED)
async def test_a_user_may_do_what_it_needs_and_is_refused_everything_else(
    amqp_url: str, user: str
) -> None:
    urls = urls_of_users(amqp_url)
    async with connect(amqp_url, "test") as broker:
        await broker.declare(WHOLE)
    wrong = []
    async with _connected(urls[user]) as connection:
        for act in _acts(ALLOWED[user]):
            expected = "allowed" if act.is_allowed else "refused"
            said = await _tried(connection, act)
            if said != expected:
                wrong.append(f"{act.what}: {said}, not {expected}")
    assert wrong == []


@pytest.mark.broker
async def test_each_process_declares_its_part_on_an_empty_broker(
    amqp_url: str,
) -> None:
    urls = urls_of_users(amqp_url)
    for user, part in {
        "relay": RELAYS,
        "observer": topology.stream(TYPES),
        "site": topology.board(BOARD_QUEUE),
    }.items():
        async with connect(urls[user], user) as broker:
            await broker.declare(part)
    for version in KITCHENS:
        async with connect(urls[f"kitchen-{version}"], version) as broker:
            assert await broker.depth(topology.kitchen_queue(version)) == 0
            assert await broker.depth(STREAM_QUEUE) == 0


@pytest.mark.broker
async def test_a_version_with_the_name_of_the_events_reads_none_of_them(
    amqp_url: str,
) -> None:
    urls = urls_of_users(amqp_url)
    async with connect(amqp_url, "test") as broker:
        await broker.declare(WHOLE + Topology(queues=(Queue(name="kitchen.events"),)))
    async with _connected(urls["kitchen-events"]) as connection:
        for key in ("", "#", "candidate.vnext", "candidate.events"):
            bind = Act(
                what="bind",
                is_allowed=False,
                method="queue_bind",
                arguments=("kitchen.events", KITCHEN_EVENTS, key),
            )
            assert await _tried(connection, bind) == "refused"


def test_a_password_is_kept_as_rabbitmq_keeps_it() -> None:
    # The example of RabbitMQ's documentation.
    salt = bytes.fromhex("908DC60A")
    assert password_hash("test12", salt) == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


@pytest.mark.parametrize(
    ("url", "vhost"),
    [
        ("amqp://host", "/"),
        ("amqp://host/", "/"),
        ("amqp://host/%2F", "/"),
        ("amqp://host/a%2Fb?heartbeat=5", "a/b"),
        ("amqp://one/kitchen,amqp://two/kitchen", "kitchen"),
    ],
)
def test_a_urls_virtual_host_is_the_one_that_clients_take(url: str, vhost: str) -> None:
    assert vhost_of(url) == vhost


def test_a_url_gets_a_login_and_keeps_everything_else() -> None:
    url = "amqps://guest:guest@one:5671/a%2Fb?cafile=/ca.pem, amqp://two/"
    assert url_of(url, "kitchen-vnext", "a/b@c:d") == (
        "amqps://kitchen-vnext:a%2Fb%40c%3Ad@one:5671/a%2Fb?cafile=/ca.pem,"
        "amqp://kitchen-vnext:a%2Fb%40c%3Ad@two/"
    )
