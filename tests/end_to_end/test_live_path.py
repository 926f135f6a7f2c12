"""Customers get their answers whatever happens to queues, answers and controls: real processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract.topology import ANSWERS_QUEUE, kitchen_queue
from tests.stack import KITCHENS, OTHER_CONTROL, Stack, a_stack, until

pytestmark = pytest.mark.broker

ANSWERED = "select count(*) from restaurant_order where state = 'ready'"
AGAIN = "select count(*) from restaurant_letter where again_reason = ?"
OBSERVED = "select count(*) from dashboard_observation where version = ? and state = 'handled'"
SENT = "select count(*) from restaurant_letter where sent_at is not null"


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
    stack.manage("rush", "--orders", "20", "--rate", "100", "--seed", "1")
    until(lambda: stack.number(ANSWERED) == 20, "the first orders are answered")
    stack.stop("vlatest")
    stack.start("rush", options=["--orders", "200", "--rate", "100", "--seed", "2"])
    until(lambda: stack.number(SENT) > 60, "some orders wait in the control's queue")
    delete(amqp_url, kitchen_queue("vlatest"))
    until(lambda: stack.number(SENT) == 220, "all orders are sent")
    stack.start("vlatest")
    until(lambda: stack.number(ANSWERED) == 220, "every customer has an answer")
    until(lambda: stack.number(OBSERVED, "vlatest") == 220, "each is observed")
    assert stack.number(AGAIN, "unanswered") > 40
    assert stack.number(AGAIN, "unanswered") + stack.number(AGAIN, "unrouted") <= 200
    repeats = "select repeats from dashboard_tally where version = 'vlatest'"
    assert stack.number(repeats) == 0


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
    repeats = "select repeats from dashboard_tally where version = 'vlatest'"
    until(lambda: stack.number(repeats) == 30, "the repeats are counted")


def test_a_kitchen_that_no_launch_names_as_its_control_ends_and_answers_nobody(
    stack: Stack,
) -> None:
    stack.start("relay", "observer", *KITCHENS)
    stack.start(OTHER_CONTROL)
    until(lambda: "is not the control of a launch" in stack.log(OTHER_CONTROL), "it says why")
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
    by_version = dict(stack.query("select version, count(*) from dashboard_observation group by 1"))
    assert (by_version["vlatest"], by_version[OTHER_CONTROL]) == (20, 30)
    assert stack.ended("vlatest") == 1
    assert "is not the control of a launch" in stack.log("vlatest")
