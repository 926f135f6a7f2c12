"""Makes launches, orders and the control's events for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID, uuid4

from asgiref.sync import async_to_sync
from django.db import connections
from django.test.utils import CaptureQueriesContext

from kitchen_worker.amqp.broker import Broker, Outgoing
from kitchen_worker.contract.messages import Event, EventKind, Failure, Role, encode_event, utc_now
from kitchen_worker.contract.topology import KITCHEN_EVENTS, events_key
from restaurant import launches
from restaurant.models import Launch, Order
from restaurant.orders import place_orders
from restaurant.outbox import Outbox, UnsentMessage
from restaurant.pricing import OrderRequest, lines_from_menu

_Result = TypeVar("_Result")

#: Longest that a test waits for anything.
DEADLINE_S = 60.0


def a_launch(*, candidate: str = "100", baseline: str = "20") -> Launch:
    """An open launch of vnext and vlatest-b beside vlatest."""
    return start_launch(
        "first",
        "vlatest",
        [
            ("vnext", Role.CANDIDATE, Decimal(candidate)),
            ("vlatest-b", Role.BASELINE, Decimal(baseline)),
        ],
    )


def start_launch(name: str, control: str, dark: Sequence[tuple[str, Role, Decimal]]) -> Launch:
    """Start a launch, as somebody."""
    return launches.start_launch(name, control, dark, author="ada", reason="a test")


def end_launch(launch: Launch, *, at: datetime | None = None) -> None:
    """End a launch, as somebody."""
    launches.end_launch(launch, author="ada", reason="over", at=at)


def some_orders(count: int = 1, *, note: str = "") -> list[Order]:
    """So many orders of a burger, placed together."""
    return place_orders([OrderRequest(lines_from_menu({"burger": 1}), note)] * count)


def messages_of(orders: Sequence[Order]) -> list[UnsentMessage]:
    """The messages of orders as the outbox reads them."""
    return [
        UnsentMessage(
            id=order.pk,
            order=str(order.uuid),
            launch=str(order.launch_id) if order.launch_id else None,
            launch_change=order.launch_change,
            control=order.control,
            sample=tuple(order.sample),
            body=bytes(order.body),
        )
        for order in orders
    ]


async def publish(outbox: Outbox, broker: Broker) -> float:
    """Publish and mark one batch; gives the seconds after which to look again."""
    slot = outbox.new_slot()
    await outbox.mark(slot, await outbox.publish(broker, slot))
    return outbox.pause_s


@contextmanager
def impatient() -> Iterator[None]:
    """This thread's connections, closed in the end; SQLite refuses at once what is locked."""
    try:
        for connection in connections.all():
            if connection.vendor == "sqlite":
                with connection.cursor() as cursor:
                    cursor.execute("PRAGMA busy_timeout = 0")
        yield
    finally:
        connections.close_all()


@contextmanager
def all_statements() -> Iterator[list[str]]:
    """What is asked of every database meanwhile, of one after the other; there in the end."""
    said: list[str] = []
    with ExitStack() as stack:
        each = [stack.enter_context(CaptureQueriesContext(one)) for one in connections.all()]
        yield said
    said += [query["sql"] for captured in each for query in captured]


def an_event(order: UUID, kind: EventKind = EventKind.HANDLED, **changes: Any) -> Event:
    """What the control says of an order."""
    fields: dict[str, Any] = {
        "event_id": str(uuid4()),
        "kind": kind,
        "order_id": str(order),
        "version": "vlatest",
        "role": Role.CONTROL,
        "received_at": utc_now(),
    }
    if kind is not EventKind.RECEIVED:
        fields |= {"finished_at": utc_now(), "handling_ms": 1.5}
    if kind is EventKind.HANDLED:
        fields["result"] = {"cook": "Esi"}
    if kind is EventKind.FAILED:
        fields["error"] = Failure(type="OvenError", message="too hot")
    return Event(**{**fields, **changes})


def said(event: Event, *, key: str | None = None) -> Outgoing:
    """An event as its kitchen publishes it."""
    return said_bytes(encode_event(event), key or events_key(event.role, event.version))


def said_bytes(body: bytes, key: str = "control.vlatest") -> Outgoing:
    """Any bytes where an event is expected."""
    return Outgoing(exchange=KITCHEN_EVENTS, routing_key=key, body=body)


def run(play: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
    """Run a coroutine whose database calls belong to this test's own transaction."""

    async def whole() -> _Result:
        return await play()

    return async_to_sync(whole)()


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until ``condition`` holds, with a deadline."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE_S
    while not await condition():
        assert loop.time() < end, f"waited {DEADLINE_S} s in vain until {what}"
        await asyncio.sleep(0.01)
