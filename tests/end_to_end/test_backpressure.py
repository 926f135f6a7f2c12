"""When a part is slower than the orders come: queues hold the work, the board says it, and the site
takes orders as before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psycopg
import pytest
import websockets
from websockets.typing import Origin

from kitchen_worker.contract.topology import STREAM_QUEUE
from local.postgres import private_postgres
from tests.end_to_end.test_launch import MISSING, ORDERS, TALLY, until_all_observed
from tests.stack import EVERYTHING, KITCHENS, Stack, a_stack, until

pytestmark = pytest.mark.broker

#: Nothing may become missing by waiting.
PATIENT = {"DEADLINE_SECONDS": "120"}
SERVED = "select count(*) from restaurant_order where state in ('ready', 'failed')"

STUBS = "select count(*) from dashboard_stuborder"
ENDS = "select handled, failed, missing from dashboard_participant where version = ?"

Frame = dict[str, Any]


@pytest.fixture
def stack(tmp_path: Path, amqp_url: str) -> Iterator[Stack]:
    with a_stack(tmp_path, amqp_url, **PATIENT) as one:
        yield one


def test_orders_wait_in_the_queues_of_kitchens_that_are_closed(stack: Stack) -> None:
    stack.start("site", "relay", "observer")
    place(stack, 15)
    shown(stack, lambda frame: waiting(frame, "vlatest") == 15 and is_behind(frame, 15))
    place(stack, 15)
    then = shown(
        stack,
        lambda frame: (
            waiting(frame, "vlatest") == waiting(frame, "vnext") == 30
            and is_behind(frame, 30)
            and "oldest since" in indicators(frame)["behind"]
        ),
    )
    assert indicators(then)["unsent"].startswith("0 ")
    stack.start(*KITCHENS)
    assert_caught_up(stack, orders=30)


def test_events_wait_in_the_queue_of_an_observer_that_is_away(stack: Stack) -> None:
    stack.start(*EVERYTHING)
    place(stack, 5)
    until_all_observed(stack)
    stack.stop("observer")
    place(stack, 15)
    until_served(stack, 20)
    first = shown(stack, lambda frame: is_behind(frame, 15))
    place(stack, 15)
    until_served(stack, 35)
    shown(stack, lambda frame: is_behind(frame, 30) and backlog(frame) > backlog(first))
    stack.start("observer")
    assert_caught_up(stack, orders=35)


def test_what_the_queue_of_an_observer_that_is_away_drops_is_known(
    tmp_path: Path, amqp_url: str, lower_bound: Callable[[str, int], None]
) -> None:
    with a_stack(tmp_path, amqp_url) as stack:
        stack.start("relay", "observer", *KITCHENS)
        rush(stack, 20)
        until_all_observed(stack)
        stack.stop("observer")
        lower_bound(STREAM_QUEUE, 100)
        rush(stack, 200)
        until_served(stack, 220)
        stack.start("observer")
        until(lambda: newest_number(stack) == 220, "the last order is observed")
        known = stack.number("select count(*) from dashboard_observedorder")
        assert 20 < known < 120
        for version in ("vlatest", "vnext"):
            until(partial(are_ended, stack, version, known), f"{version} has ended or missed them")
        until(lambda: stack.number(STUBS) == 0, "no event waits for its order any more")
        _, said, _ = stack.run("verdict")
        assert f"{220 - known} of 220 orders did not reach the observer" in said
        assert stack.number("select count(*) from observations where state = 'received'") == 0


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
            shown(stack, lambda frame: is_behind(frame, 30))
        assert_caught_up(stack, orders=35)


def place(stack: Stack, orders: int) -> None:
    """Place orders one after another; each is answered, whatever waits elsewhere."""
    for _ in range(orders):
        stack.post_order(["burger", "fries"])


def are_ended(stack: Stack, version: str, orders: int) -> bool:
    ((handled, failed, missing),) = stack.query(ENDS, version)
    return int(handled + failed + missing) == orders


def newest_number(stack: Stack) -> int:
    """The highest number of an order that the observer has seen."""
    ((ranges,),) = stack.query("select ranges from dashboard_relaysession")
    return int(json.loads(ranges)[-1][1])


def rush(stack: Stack, orders: int) -> None:
    stack.manage("rush", "--orders", str(orders), "--rate", "100", "--seed", str(orders))


def until_served(stack: Stack, orders: int) -> None:
    until(lambda: stack.number(SERVED) == orders, "every customer has an answer")


@contextmanager
def tallies_held_up(url: str) -> Iterator[None]:
    """Let nobody write the tallies for the time of the block, as a slow disk might."""
    with psycopg.connect(url) as server:
        server.execute("lock table dashboard_participant in share mode")
        yield


def assert_caught_up(stack: Stack, *, orders: int) -> None:
    """Everything is recorded once, nothing is missing, and the board says so."""
    until_all_observed(stack)
    assert stack.number(ORDERS) == orders
    until_served(stack, orders)
    shown(
        stack,
        lambda frame: frame["orders"] == orders and indicators(frame)["behind"].startswith("0 "),
    )
    assert stack.number(MISSING) == 0
    for version in ("vlatest", "vnext"):
        known, handled, failed, missing, _ = stack.query(TALLY, version)[0]
        assert (known, handled + failed, missing) == (orders, orders, 0)


def indicators(frame: Frame) -> dict[str, str]:
    """The texts of the board's indicators."""
    part = ElementTree.fromstring(f"<ul>{frame['parts']['indicators']}</ul>")  # noqa: S314
    return {
        item.attrib["data-indicator"]: " ".join("".join(item.itertext()).split()) for item in part
    }


def is_behind(frame: Frame, orders: int) -> bool:
    """Whether the board shows this many queued orders, and that its events are stale."""
    shown = indicators(frame)
    return shown["behind"].startswith(f"{orders} ") and "stale" in shown["feed"]


def backlog(frame: Frame) -> int:
    """The observer's backlog that the board shows; -1 while it is unknown."""
    number = indicators(frame)["backlog"].split()[0]
    return int(number) if number.isdecimal() else -1


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
        parts: dict[str, str] = {}
        while True:
            frame: Frame = json.loads(await socket.recv())
            if frame["type"] != "board":
                continue
            frame["parts"] = parts = parts | frame["parts"]
            if backlog(frame) >= 0 and wanted(frame):
                return frame
            await socket.send(json.dumps({"ack": frame["n"]}))
