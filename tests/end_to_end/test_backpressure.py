"""When a part is slower than the orders come: queues hold the work, the board says it, and the site
takes orders as before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import websockets
from websockets.typing import Origin

from local.postgres import private_postgres
from tests.end_to_end.test_launch import MISSING, ORDERS, TALLY, until_all_observed
from tests.stack import EVERYTHING, KITCHENS, Stack, a_stack, until

pytestmark = pytest.mark.broker

#: Nothing may become missing by waiting.
PATIENT = {"DEADLINE_SECONDS": "120"}
SERVED = "select count(*) from restaurant_order where state in ('ready', 'failed')"

Frame = dict[str, Any]


@pytest.fixture
def stack(tmp_path: Path, amqp_url: str) -> Iterator[Stack]:
    with a_stack(tmp_path, amqp_url, **PATIENT) as one:
        yield one


def test_orders_wait_in_the_queues_of_kitchens_that_are_closed(stack: Stack) -> None:
    stack.start("site", "relay", "observer")
    place(stack, 15)
    first = shown(stack, lambda frame: waiting(frame, "vlatest") == 15)
    place(stack, 15)
    then = shown(stack, lambda frame: waiting(frame, "vlatest") == waiting(frame, "vnext") == 30)
    assert [frame["feed"]["state"] for frame in (first, then)] == ["stale", "stale"]
    assert [frame["feed"]["behind"] for frame in (first, then)] == [15, 30]
    assert then["feed"]["oldest_s"] > first["feed"]["oldest_s"]
    assert then["feed"]["unsent"] == 0
    stack.start(*KITCHENS)
    assert_caught_up(stack, orders=30)


def test_events_wait_in_the_queue_of_an_observer_that_is_away(stack: Stack) -> None:
    stack.start(*EVERYTHING)
    place(stack, 5)
    until_all_observed(stack)
    stack.stop("observer")
    place(stack, 15)
    until_served(stack, 20)
    first = shown(stack, is_behind)
    place(stack, 15)
    until_served(stack, 35)
    then = shown(stack, lambda frame: frame["feed"]["backlog"] > first["feed"]["backlog"])
    assert [frame["feed"]["behind"] for frame in (first, then)] == [15, 30]
    assert then["feed"]["oldest_s"] > first["feed"]["oldest_s"]
    stack.start("observer")
    assert_caught_up(stack, orders=35)


@pytest.mark.postgres
def test_events_wait_while_the_database_keeps_the_observer_waiting(
    tmp_path: Path, amqp_url: str
) -> None:
    with (
        private_postgres() as url,
        a_stack(tmp_path, amqp_url, DATABASE_URL=url, **PATIENT) as stack,
    ):
        stack.start(*EVERYTHING)
        place(stack, 5)
        until_all_observed(stack)
        with tallies_held_up(url):
            place(stack, 30)
            until_served(stack, 35)
            assert stack.query(TALLY, "vlatest")[0][0] == 5
            assert shown(stack, is_behind)["feed"]["behind"] == 30
        assert_caught_up(stack, orders=35)


def place(stack: Stack, orders: int) -> None:
    """Place orders one after another; each is answered, whatever waits elsewhere."""
    for _ in range(orders):
        stack.post_order(["burger", "fries"])


def until_served(stack: Stack, orders: int) -> None:
    until(lambda: stack.number(SERVED) == orders, "every customer has an answer")


@contextmanager
def tallies_held_up(url: str) -> Iterator[None]:
    """Let nobody write the tallies for the time of the block, as a slow disk might."""
    with psycopg.connect(url) as server:
        server.execute("lock table dashboard_tally in share mode")
        yield


def assert_caught_up(stack: Stack, *, orders: int) -> None:
    """Everything is recorded once, nothing is missing, and the board says so."""
    until_all_observed(stack)
    assert stack.number(ORDERS) == orders
    until_served(stack, orders)
    shown(stack, lambda frame: frame["orders"] == orders and not is_behind(frame))
    assert stack.number(MISSING) == 0
    for version in ("vlatest", "vnext"):
        known, handled, failed, missing, _ = stack.query(TALLY, version)[0]
        assert (known, handled + failed, missing) == (orders, orders, 0)


def is_behind(frame: Frame) -> bool:
    """Whether the board says that orders wait, and that its numbers are old for it."""
    return bool(frame["feed"]["behind"] > 0 and frame["feed"]["state"] == "stale")


def waiting(frame: Frame, version: str) -> int:
    return next(int(one["waiting"]) for one in frame["versions"] if one["name"] == version)


def shown(stack: Stack, wanted: Callable[[Frame], bool]) -> Frame:
    """The first frame of a board that is opened now which shows what is wanted."""
    return asyncio.run(_shown(stack, wanted))


async def _shown(stack: Stack, wanted: Callable[[Frame], bool]) -> Frame:
    url = f"{stack.url.replace('http', 'ws', 1)}/dashboard/live/"
    async with (
        websockets.connect(url, origin=Origin(stack.url), max_size=None) as socket,
        asyncio.timeout(60),
    ):
        while True:
            frame: Frame = json.loads(await socket.recv())
            if frame["type"] != "board":
                continue
            if frame["feed"]["backlog"] is not None and wanted(frame):
                return frame
            await socket.send(json.dumps({"ack": frame["n"]}))
