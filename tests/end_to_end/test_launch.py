"""A dark launch from order to observation, with the real processes and a real broker."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.typing import Origin

from local.broker_node import BrokerNode
from local.postgres import private_postgres
from tests.stack import EVERYTHING, KITCHENS, ROOT, Stack, a_stack, until
from tests.users import urls_of_users, users_for_tests

pytestmark = pytest.mark.broker

ORDERS = "select count(*) from restaurant_order"
OBSERVED = "select count(*) from observations where version = ? and state != 'received'"
MISSING = "select count(*) from observations where state = 'missing'"
TALLY = """
select orders, handled, failed, missing, pairs from dashboard_participant where version = ?
"""


@pytest.fixture
def stack(tmp_path: Path, amqp_url: str) -> Iterator[Stack]:
    with a_stack(tmp_path, amqp_url) as one:
        yield one


def sampled(stack: Stack) -> int:
    return stack.number(
        "select count(*) from restaurant_order where cast(sample as text) like '%vlatest-b%'"
    )


def until_all_observed(stack: Stack, *versions: str) -> None:
    for version in versions or tuple(KITCHENS):
        wanted = sampled(stack) if version == "vlatest-b" else stack.number(ORDERS)
        until_observed(stack, version, wanted)


def until_observed(stack: Stack, version: str, wanted: int) -> None:
    until(lambda: stack.number(OBSERVED, version) == wanted, f"{wanted} orders of {version}")


def percent_of(stack: Stack, version: str, percent: int) -> None:
    with_percent = "update restaurant_darkversion set percent = ? where version = ?"
    stack.query(with_percent, percent, version)


def test_every_order_of_a_rush_is_observed_once_a_version(stack: Stack) -> None:
    rush_and_count(stack)


@pytest.mark.postgres
def test_every_order_of_a_rush_is_observed_once_a_version_on_postgresql(
    tmp_path: Path, amqp_url: str
) -> None:
    with private_postgres() as url, a_stack(tmp_path, amqp_url, DATABASE_URL=url) as stack:
        rush_and_count(stack)


def rush_and_count(stack: Stack) -> None:
    """Rush 400 orders through all processes, and hold every count against the rows."""
    stack.start(*EVERYTHING)
    summary = stack.manage("rush", "--orders", "400", "--rate", "100", "--seed", "5")
    assert "placed 400 orders" in summary
    until_all_observed(stack)
    assert stack.number(MISSING) == 0
    assert stack.number("select count(*) from restaurant_outboxmessage") == 0
    for version in KITCHENS:
        ((orders, handled, failed, missing, pairs),) = stack.query(TALLY, version)
        counted = dict(
            stack.query(
                "select state, count(*) from observations where version = ? group by 1",
                version,
            )
        )
        assert (handled, failed, missing) == (
            counted.get("handled", 0),
            counted.get("failed", 0),
            0,
        )
        assert orders == handled + failed
        assert pairs == (0 if version == "vlatest" else orders)
    answered = "select count(*) from restaurant_order where state = 'ready'"
    until(lambda: stack.number(answered) == 400, "every customer has an answer")


def test_the_sample_is_the_hash_point_exactly_and_nested(stack: Stack) -> None:
    percent_of(stack, "vnext", 25)
    percent_of(stack, "vlatest-b", 5)
    stack.start("relay", "observer", *KITCHENS)
    stack.manage("rush", "--orders", "300", "--rate", "300", "--seed", "1")
    expected: dict[str, set[str]] = {"vnext": set(), "vlatest-b": set()}
    for (uuid_hex,) in stack.query("select uuid from restaurant_order"):
        text = (
            f"{uuid_hex[:8]}-{uuid_hex[8:12]}-{uuid_hex[12:16]}-{uuid_hex[16:20]}-{uuid_hex[20:]}"
        )
        head = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        if head * 100 < 25 << 64:
            expected["vnext"].add(text)
        if head * 100 < 5 << 64:
            expected["vlatest-b"].add(text)
    until_observed(stack, "vlatest", 300)
    by_version = 'select "order" from observations where version = ?'
    for version, orders in expected.items():
        until_observed(stack, version, len(orders))
        assert {order for (order,) in stack.query(by_version, version)} == orders
    assert expected["vlatest-b"] < expected["vnext"]


def test_percent_nought_stops_a_version_from_the_next_order_on(stack: Stack) -> None:
    stack.start("relay", "observer", *KITCHENS)
    stack.manage("rush", "--orders", "20", "--rate", "200", "--seed", "1")
    until_all_observed(stack, "vlatest", "vnext")
    percent_of(stack, "vnext", 0)
    stack.manage("rush", "--orders", "20", "--rate", "200", "--seed", "2")
    until_all_observed(stack, "vlatest")
    assert stack.number(OBSERVED, "vnext") == 20


def test_orders_placed_while_the_broker_is_away_all_arrive_when_it_is_back(
    tmp_path: Path, broker_node: BrokerNode
) -> None:
    broker_node.import_definitions(json.dumps(users_for_tests(broker_node.url)))
    with a_stack(tmp_path, broker_node.url) as stack:
        stack.start(*EVERYTHING)
        stack.manage("rush", "--orders", "50", "--rate", "100", "--seed", "1")
        broker_node.stop()
        for number in range(20):
            assert stack.post_order(["burger", "fries"])["totalPrice"] == 5.0, number
        stack.manage("rush", "--orders", "100", "--rate", "100", "--seed", "2", "--wait", "0")
        broker_node.start()
        until_all_observed(stack)
        until(lambda: stack.number(MISSING) == 0, "nothing is missing")
        assert stack.number(ORDERS) == 170
        assert set(stack.stop()) == {0}


def test_a_kitchen_that_is_killed_in_the_middle_loses_no_order(stack: Stack) -> None:
    stack.start("relay", "observer", *KITCHENS)
    stack.manage("rush", "--orders", "150", "--rate", "150", "--seed", "3", "--wait", "0")
    stack.stop("vnext", with_signal=signal.SIGKILL)
    until_all_observed(stack, "vlatest")
    stack.start("vnext")
    until_all_observed(stack)
    until(lambda: stack.number(MISSING) == 0, "nothing is missing")


def test_an_observer_that_was_away_takes_up_where_it_stopped(stack: Stack) -> None:
    stack.start("relay", "observer", *KITCHENS)
    stack.manage("rush", "--orders", "50", "--rate", "200", "--seed", "3")
    assert stack.stop("observer") == [0]
    stack.manage("rush", "--orders", "50", "--rate", "200", "--seed", "4")
    stack.start("observer")
    until_all_observed(stack)
    assert stack.number(MISSING) == 0


def test_a_dead_candidate_is_missing_and_costs_the_customer_nothing(stack: Stack) -> None:
    stack.start("relay", "observer", "vlatest", "vlatest-b")
    stack.manage("rush", "--orders", "30", "--rate", "100", "--seed", "3")
    ready = "select count(*) from restaurant_order where state = 'ready'"
    until(lambda: stack.number(ready) == 30, "every customer has an answer")
    until(lambda: stack.query(TALLY, "vnext")[0][3] == 30, "vnext's answers are missing")
    missing = "select count(*) from observations where version = 'vnext' and exception = 'missing'"
    assert stack.number(missing) == 30


def test_a_replay_brings_prices_of_its_own(stack: Stack, tmp_path: Path) -> None:
    stack.start("relay", "observer", *KITCHENS)
    recorded = tmp_path / "recorded.jsonl"
    lines = [
        {"placed_at": "2026-05-01T12:00:00Z", "items": [{"name": "burger", "quantity": 2}]},
        {
            "placed_at": "2026-05-01T12:00:01Z",
            "items": [
                {"name": "lobster", "quantity": 1, "unit_price": "31.40", "preparation_time": 9}
            ],
            "note": "with lemon",
        },
    ]
    recorded.write_text("".join(json.dumps(line) + "\n" for line in lines))
    stack.manage("rush", "--replay", str(recorded), "--speed", "10")
    until_all_observed(stack, "vlatest", "vnext")
    results = stack.query("select result from observations where version = 'vlatest'")
    assert sorted(json.loads(result)["total_price"] for (result,) in results) == ["31.40", "7.00"]


def test_a_kitchen_in_shell_joins_as_a_fourth_version_and_stands_on_the_board(
    stack: Stack,
) -> None:
    ((launch,),) = stack.query("select id from restaurant_launch")
    stack.query(
        "insert into restaurant_darkversion (launch_id, version, role, percent)"
        " values (?, 'vshell', 'candidate', 100)",
        launch,
    )
    stack.start(*EVERYTHING)
    stack.post_order(["burger", "fries"])
    until_all_observed(stack, "vlatest", "vnext")
    with shell_kitchen(stack):
        stack.post_order(["soda"])
        until_all_observed(stack, "vlatest", "vnext", "vshell")
    (frame,) = asyncio.run(frames(stack, 1, version="vshell"))
    assert [one["name"] for one in frame["versions"]] == ["vlatest", "vnext", "vshell", "vlatest-b"]
    assert [row["cells"]["vshell"]["state"] for row in frame["rows"]] == ["handled", "handled"]


@contextmanager
def shell_kitchen(stack: Stack) -> Iterator[None]:
    url = urls_of_users(stack.amqp_url)["kitchen-vshell"]
    environment = {**os.environ, "AMQP_URL": url}
    process = subprocess.Popen(
        [ROOT / "docs" / "examples" / "kitchen.sh"], env=environment, start_new_session=True
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


async def frames(stack: Stack, count: int, *, version: str = "") -> list[dict[str, Any]]:
    """So many frames of a board that has just been opened."""
    url = f"{stack.url.replace('http', 'ws', 1)}/dashboard/live/?version={version}"
    taken: list[dict[str, Any]] = []
    async with websockets.connect(url, origin=Origin(stack.url), max_size=None) as socket:
        async with asyncio.timeout(60):
            while len(taken) < count:
                frame = json.loads(await socket.recv())
                if frame["type"] == "board":
                    taken.append(frame)
                    await socket.send(json.dumps({"ack": frame["n"]}))
    return taken


def test_a_board_that_watches_a_rush_ends_on_the_numbers_of_the_database(stack: Stack) -> None:
    stack.start(*EVERYTHING)

    async def watch() -> list[dict[str, Any]]:
        url = f"{stack.url.replace('http', 'ws', 1)}/dashboard/live/"
        frames: list[dict[str, Any]] = []
        async with websockets.connect(url, origin=Origin(stack.url), max_size=None) as socket:
            rush = asyncio.ensure_future(
                asyncio.to_thread(
                    stack.manage, "rush", "--orders", "300", "--rate", "100", "--seed", "9"
                )
            )
            async with asyncio.timeout(60):
                while not (rush.done() and frames and settled(frames[-1])):
                    frame = json.loads(await socket.recv())
                    if frame["type"] == "board":
                        frames.append(frame)
                        await socket.send(json.dumps({"ack": frame["n"]}))
            await rush
        return frames

    def settled(frame: dict[str, Any]) -> bool:
        control, candidate, _ = frame["versions"]
        return bool(control["orders"] == candidate["pairs"] == 300)

    frames = asyncio.run(watch())
    orders = [frame["orders"] for frame in frames]
    assert orders == sorted(orders)
    assert len({count for count in orders if 0 < count < 300}) >= 5, "the board was not live"
    until_all_observed(stack)
    for shown in frames[-1]["versions"][:2]:
        ((orders_now, handled, failed, missing, _),) = stack.query(TALLY, shown["name"])
        assert [shown[name] for name in ("orders", "handled", "failed", "missing")] == [
            orders_now, handled, failed, missing,
        ]  # fmt: skip
        assert stack.number(OBSERVED, shown["name"]) == 300
