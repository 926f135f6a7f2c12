"""A backlog of events: what two kitchens tell of orders that stand in the database."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from itertools import chain
from uuid import UUID

from kitchen_worker.amqp.broker import Delivery, Outgoing
from kitchen_worker.config import WorkerConfig
from kitchen_worker.contract.messages import Role, join_events, utc_now
from kitchen_worker.contract.topology import KITCHEN_EVENTS, LAUNCH_HEADER, events_key
from kitchen_worker.cooking import Cooked, kitchen_of
from kitchen_worker.telling import OrderTold
from local.stack import Stack

#: The versions that tell.
ROLES = {"vlatest": Role.CONTROL, "vnext": Role.CANDIDATE}
#: Orders that a kitchen has begun before it ends the first of them.
_UNDER_WAY = 20
#: Mean and deviation of the logarithm of the milliseconds that are told.
_HANDLING = (4.0, 0.8)

_LAST = "select coalesce(max(id), 0) from restaurant_order"
_NEW = "select order_id, body, launch_id from restaurant_letter where order_id > ? order by id"
_SENT = "update restaurant_letter set sent_at = current_timestamp where sent_at is null"


def placed_orders(stack: Stack, count: int, *, seed: int) -> list[Delivery]:
    """Place so many orders as a rush does, and give them as a kitchen would get them."""
    before = stack.number(_LAST)
    how_many = ("--orders", str(count), "--rate", str(100 * count), "--seed", str(seed))
    stack.manage("rush", *how_many, "--wait", "0")
    stack.query(f"{_SENT} returning id")
    return [
        Delivery(tag=number, queue="", body=bytes(body), headers={LAUNCH_HEADER: _text(launch)})
        for number, body, launch in stack.query(_NEW, before)
    ]


def told(orders: Sequence[Delivery], *, gathered: int) -> list[Outgoing]:
    """What both kitchens say of orders, so many events in one message."""
    several = [_messages(version, orders, gathered) for version in ROLES]
    return list(chain.from_iterable(zip(*several, strict=True)))


def _messages(version: str, orders: Sequence[Delivery], gathered: int) -> list[Outgoing]:
    events = asyncio.run(_events(version, orders))
    key = events_key(ROLES[version], version)
    return [
        Outgoing(
            exchange=KITCHEN_EVENTS,
            routing_key=key,
            body=join_events(events[start : start + gathered]),
        )
        for start in range(0, len(events), gathered)
    ]


async def _events(version: str, orders: Sequence[Delivery]) -> list[bytes]:
    """The events of a kitchen that has several orders under way, in the order of telling."""
    config = WorkerConfig(version=version, role=ROLES[version], build="bench", minute_ms=0, seed=7)
    kitchen, rng = kitchen_of(config), random.Random(version)
    several = [OrderTold.read(one, config=config, worker="bench:1") for one in orders]
    received = [one.received(utc_now()).encoded for one in several]
    ended = [one.ended(_slowed(await kitchen.cook(one.order), rng)).encoded for one in several]
    return list(_in_turn(received, ended))


def _slowed(cooked: Cooked, rng: random.Random) -> Cooked:
    return Cooked(
        received_at=cooked.received_at,
        finished_at=cooked.finished_at,
        handling_ms=rng.lognormvariate(*_HANDLING),
        result=cooked.result,
        failure=cooked.failure,
    )


def _in_turn(received: Sequence[bytes], ended: Sequence[bytes]) -> Iterator[bytes]:
    yield from received[:_UNDER_WAY]
    for begun, done in zip(received[_UNDER_WAY:], ended, strict=False):
        yield done
        yield begun
    yield from ended[max(0, len(received) - _UNDER_WAY) :]


def _text(launch: object) -> str:
    """The id of a launch as messages write it; SQLite keeps its digits alone."""
    return str(UUID(str(launch)))
