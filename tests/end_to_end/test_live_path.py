"""Customers get their answers whatever happens to queues, answers and controls: real processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract import topology
from kitchen_worker.contract.topology import (
    ANSWERS_QUEUE,
    STREAM_QUEUE,
    QueueTypes,
    kitchen_queue,
)
from tests.stack import KITCHENS, OTHER_CONTROL, Stack, a_stack, until

pytestmark = pytest.mark.broker

ANSWERED = "select count(*) from restaurant_order where state = 'ready'"
AGAIN = "select count(*) from restaurant_order where again_reason = ?"
OBSERVED = "select count(*) from observations where version = ? and state = 'handled'"
#: Of the orders that the relay did not send again for want of an answer.
ANSWERED_TWICE = """
select count(*) from observations join restaurant_order on uuid = replace("order", '-', '')
where version = 'vlatest' and event_ids like '%,%' and again_reason <> 'unanswered'
"""
SENT = "select count(*) from restaurant_order where sent_at is not null"
#: The messages that a full stream holds.
FULL = 20


@pytest.fixture
def stack(tmp_path: Path, amqp_url: str) -> Iterator[Stack]:
    with a_stack(tmp_path, amqp_url, RESEND_SECONDS="2") as one:
        yield one


def delete(url: str, queue: str) -> None:
    """Delete a queue with all that is in it, as somebody who may do everything."""

    async def play() -> None:
        async with connect(url, "test") as broker:
            assert await broker.delete_queue(queue, only_if_empty=False)

    asyncio.run(play())


def test_no_order_is_lost_with_the_controls_queue(stack: Stack, amqp_url: str) -> None:
    stack.start("relay", "observer", *KITCHENS)
    lose_the_controls_queue(stack, amqp_url)
    until(lambda: stack.number(OBSERVED, "vlatest") == 220, "each is observed")
    # Only what the kitchen had in hand while the relay looked may be answered twice.
    assert stack.number(ANSWERED_TWICE) == 0


def test_no_order_is_lost_with_the_controls_queue_beside_a_full_stream(
    stack: Stack, amqp_url: str, lower_bound: Callable[[str, int], None]
) -> None:
    lower_bound(STREAM_QUEUE, FULL)
    declare_without_an_observer(amqp_url)
    stack.start("relay", *KITCHENS)
    lose_the_controls_queue(stack, amqp_url)
    assert depth(amqp_url, STREAM_QUEUE) == FULL
    assert "were rejected" not in stack.log("relay")


def declare_without_an_observer(url: str) -> None:
    """Have all orders and events go to a queue that nobody reads."""

    async def play() -> None:
        async with connect(url, "test") as broker:
            types = QueueTypes()
            await broker.declare(topology.live("vlatest", types) + topology.stream(types))

    asyncio.run(play())


def depth(url: str, queue: str) -> int:
    async def play() -> int:
        async with connect(url, "test") as broker:
            return await broker.depth(queue)

    return asyncio.run(play())


def lose_the_controls_queue(stack: Stack, amqp_url: str) -> None:
    """Lose orders together with their queue, others without one; each customer has an answer."""
    stack.manage("rush", "--orders", "20", "--rate", "100", "--seed", "1")
    until(lambda: stack.number(ANSWERED) == 20, "the first orders are answered")
    stack.stop("vlatest")
    stack.start("rush", options=["--orders", "200", "--rate", "100", "--seed", "2"])
    until(lambda: stack.number(SENT) > 60, "some orders wait in the control's queue")
    delete(amqp_url, kitchen_queue("vlatest"))
    until(lambda: stack.number(SENT) == 220, "all orders are sent")
    stack.start("vlatest")
    until(lambda: stack.number(ANSWERED) == 220, "every customer has an answer")
    assert stack.number(AGAIN, "unanswered") > 40
    assert stack.number(AGAIN, "unanswered") + stack.number(AGAIN, "unrouted") <= 200


def test_answers_that_are_lost_with_their_queue_are_given_again(
    stack: Stack, amqp_url: str
) -> None:
    stack.start("relay", "observer", *KITCHENS)
    stack.manage("rush", "--orders", "5", "--rate", "100", "--seed", "1")
    until(lambda: stack.number(ANSWERED) == 5, "the first orders are answered")
    stack.stop("vlatest")
    stack.manage("rush", "--orders", "30", "--rate", "100", "--seed", "2")
    until(lambda: stack.number(SENT) == 35, "the orders are sent")
    stack.stop("relay")
    stack.start("vlatest")
    until(lambda: stack.number(OBSERVED, "vlatest") == 35, "the control answers")
    delete(amqp_url, ANSWERS_QUEUE)
    stack.start("relay")
    until(lambda: stack.number(ANSWERED) == 35, "every customer has an answer")
    assert stack.number(AGAIN, "unanswered") == 30
    repeats = "select repeats from dashboard_participant where version = 'vlatest'"
    until(lambda: stack.number(repeats) == 30, "the repeats are counted")


def test_a_kitchen_that_no_launch_names_as_its_control_ends_and_answers_nobody(
    stack: Stack,
) -> None:
    stack.start("relay", "observer", *KITCHENS)
    stack.start(OTHER_CONTROL)
    until(
        lambda: "as its control: the relay has declared no queue" in stack.log(OTHER_CONTROL),
        "it says why",
    )
    stack.manage("rush", "--orders", "20", "--rate", "100", "--seed", "1")
    until(lambda: stack.number(ANSWERED) == 20, "the control answers all of them")
    assert stack.ended(OTHER_CONTROL) == 1


def test_a_launch_with_another_control_is_answered_by_it_alone(stack: Stack) -> None:
    stack.start("relay", "observer", "vlatest")
    stack.manage("rush", "--orders", "20", "--rate", "100", "--seed", "1")
    until(lambda: stack.number(ANSWERED) == 20, "the first control answers")
    stack.manage("end_launch", "--why", "the next one begins")
    stack.manage(
        "start_launch", "--name", "second", "--control", OTHER_CONTROL, "--candidate", "vnext=100"
    )
    stack.start(OTHER_CONTROL)
    stack.manage("rush", "--orders", "30", "--rate", "100", "--seed", "2")
    until(lambda: stack.number(ANSWERED) == 50, "the new control answers")
    by_version = dict(stack.query("select version, count(*) from observations group by 1"))
    assert (by_version["vlatest"], by_version[OTHER_CONTROL]) == (20, 30)
    assert stack.ended("vlatest") == 1
    assert "as its control: the relay has declared no queue" in stack.log("vlatest")


def test_orders_are_placed_sent_and_answered_with_the_dashboards_database_gone(
    stack: Stack, tmp_path: Path
) -> None:
    for file in tmp_path.glob("kitchen-dashboard*"):
        file.unlink()
    (tmp_path / "kitchen-dashboard.sqlite3").mkdir()
    # The site waits for none of the dashboard's tables, and the relay for no observer.
    stack.start("site", "relay", "vlatest")
    for _ in range(5):
        stack.post_order(["burger"])
    stack.manage("rush", "--orders", "20", "--rate", "100", "--seed", "1")
    until(lambda: stack.number(ANSWERED) == 25, "every customer has an answer")
    ((order,),) = stack.query("select uuid from restaurant_order order by id desc limit 1")
    ticket = f"/ticket/{UUID(order)}/"
    paths = ("/", ticket, f"{ticket}state/", "/orders/items", "/api/ready", "/login/")
    assert {path: stack.status_of(path) for path in paths} == dict.fromkeys(paths, 200)
    assert stack.status_of("/dashboard/") >= 500
    assert stack.status_of("/") == 200
