"""`kill -9` under load, on PostgreSQL: no order is lost, and nothing is counted twice.

Customers place orders all the time, each with an idempotency key and until the site confirms it.
One process after the other is killed and started again, ``--kills`` times each (`make kills`: 20).
Then all is counted from outside: by SQL of the test's own, by a trigger that notes each answer that
a customer gets, and by a queue that had a copy of every event.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import signal
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract.topology import (
    KITCHEN_EVENTS,
    STREAM_QUEUE,
    Binding,
    Exchange,
    Queue,
    Topology,
)
from local.broker_node import BrokerNode
from local.ports import LOOPBACK
from local.postgres import private_postgres
from tests.stack import EVERYTHING, KITCHENS, Stack, a_stack, until
from tests.users import users_for_tests

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

CUSTOMERS = 4
ORDERS_PER_SECOND = 40
#: The most orders that may pass before a process that works is killed again.
MOST_BETWEEN = 60
#: A kill comes at any moment of so many seconds.
MOMENT_S = 0.3
PATIENCE_S = 180.0

WITNESS = Topology(
    exchanges=(Exchange(name=KITCHEN_EVENTS, type="topic"),),
    queues=(Queue(name="witness"),),
    bindings=(Binding(source=KITCHEN_EVENTS, destination="witness", routing_key="#"),),
)
#: Notes every answer that becomes a customer's, the second one of an order, too.
NOTE_ANSWERS = """
create table witness_answers (placed bigint);
create function witness() returns trigger language plpgsql as $$
begin insert into witness_answers values (new.id); return new; end $$;
create trigger witness after update on restaurant_order for each row
when (new.answer is distinct from old.answer) execute function witness()
"""
#: Makes commits last, so that some kills come between a commit and what is to follow it.
SLOW_COMMITS = """
create function slowly() returns trigger language plpgsql as $$
begin perform pg_sleep(tg_argv[0]::float); return null; end $$;
create constraint trigger slowly after insert or update on restaurant_order
deferrable initially deferred for each row execute function slowly(0.002);
create constraint trigger slowly after update on dashboard_participant
deferrable initially deferred for each row execute function slowly(0.1)
"""
ORDERS = "select count(*) from restaurant_order"
SENT = "select count(*) from restaurant_order where sent_at is not null"
TALLY = """
select orders, handled, failed, missing, pairs, matrix from dashboard_participant where version = ?
"""
ENDED = "select coalesce(sum(handled + failed), 0) from dashboard_participant where version = ?"


@contextmanager
def a_watched_stack(directory: Path, broker: BrokerNode) -> Iterator[Stack]:
    """All processes at work, with the witnesses."""
    broker.import_definitions(json.dumps(users_for_tests(broker.url)))
    with (
        private_postgres() as url,
        a_stack(directory, broker.url, DATABASE_URL=url, DEADLINE_SECONDS="10") as stack,
    ):
        stack.start(*EVERYTHING)
        # What is answered before the observer first declares its queue is missing there.
        until(lambda: STREAM_QUEUE in waiting(broker), "the observer has its queue")
        asyncio.run(declare(broker.url, WITNESS))
        with psycopg.connect(url) as database:
            database.execute(NOTE_ANSWERS)
            database.execute(SLOW_COMMITS)
        yield stack


async def declare(url: str, topology: Topology) -> None:
    async with connect(url, "witness") as broker:
        await broker.declare(topology)


class Customers:
    """Customers who place one order after the other, each until it is confirmed."""

    def __init__(self, port: int) -> None:
        self.port = port
        #: What the site said was placed under each key.
        self.placed: defaultdict[str, set[str]] = defaultdict(set)
        self.refused: list[str] = []
        self.tries = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._order) for _ in range(CUSTOMERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _order(self) -> None:
        chance = random.Random()
        while not self._over.wait(CUSTOMERS / ORDERS_PER_SECOND):
            key = str(uuid.uuid4())
            self._until_confirmed(key)
            if chance.random() < 0.1:  # its answer was lost on the way
                self._until_confirmed(key)

    def _until_confirmed(self, key: str) -> None:
        deadline, status, answer = time.monotonic() + PATIENCE_S, 0, ""
        while time.monotonic() < deadline:
            self.tries += 1
            try:
                status, answer = self._post(key)
            except (OSError, http.client.HTTPException):
                status, answer = 503, ""
            if status == 200:
                self.placed[key].add(json.loads(answer)["id"])
                return
            if status != 503:
                break
            time.sleep(0.1)  # as a customer waits before the next try
        self.refused.append(f"{key}: {status} {answer}")

    def _post(self, key: str) -> tuple[int, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        body = json.dumps({"menuItems": ["burger", "fries"]})
        with closing(http.client.HTTPConnection(LOOPBACK, self.port, timeout=20)) as connection:
            connection.request("POST", "/orders", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


def kill(stack: Stack, name: str) -> None:
    """Kill a process and start it again."""
    stack.stop(name, with_signal=signal.SIGKILL)
    stack.start(name)


def done(stack: Stack, name: str) -> int:
    """How many orders a process has done its part for."""
    if name == "site":
        return stack.number(ORDERS)
    if name == "relay":
        return stack.number(SENT)
    return stack.number(ENDED, name if name in KITCHENS else "vlatest")


def until_at_work(stack: Stack, name: str, orders: int) -> None:
    """Wait until a process has done its part for so many more orders."""
    enough = done(stack, name) + orders
    until(lambda: done(stack, name) >= enough, f"{name} is at work", within_s=PATIENCE_S)


def kill_in_turn(stack: Stack, kills: int) -> None:
    """Kill each process so many times, every time while it is at work again."""
    chance = random.Random(kills)
    for _ in range(kills):
        for name in EVERYTHING:
            most = MOST_BETWEEN if name != "vlatest-b" else MOST_BETWEEN // 5
            until_at_work(stack, name, chance.randint(1, most))
            time.sleep(chance.uniform(0, MOMENT_S))  # not always just after a commit
            kill(stack, name)
    for name in EVERYTHING:
        until_at_work(stack, name, 1)


def until_all_is_quiet(stack: Stack, broker: BrokerNode) -> None:
    """Wait until nothing waits anywhere."""
    open_orders = "select count(*) from restaurant_order where state in ('placed', 'in_kitchen')"
    until(
        lambda: stack.number(open_orders) == 0, "every customer has an answer", within_s=PATIENCE_S
    )
    until(lambda: not any(waiting(broker).values()), "no message waits", within_s=PATIENCE_S)
    wanted = sum(sampled(stack, version) for version in KITCHENS)
    ended = "select count(*) from observations where state != 'received'"
    until(lambda: stack.number(ended) == wanted, "no outcome is open", within_s=PATIENCE_S)


def sampled(stack: Stack, version: str) -> int:
    """The orders that a version was to handle."""
    if version == "vlatest":
        return stack.number(ORDERS)
    of_it = "select count(*) from restaurant_order where sample @> to_jsonb(?::text)"
    return stack.number(of_it, version)


def waiting(broker: BrokerNode) -> dict[str, int]:
    """The messages of each queue, delivered ones among them; of the witness there may be any."""
    said = broker.control("list_queues", "name", "messages", "--formatter", "json")
    return {one["name"]: one["messages"] for one in json.loads(said) if one["name"] != "witness"}


async def witnessed(url: str) -> dict[tuple[str, str], set[str]]:
    """The ids of the events that ended an order, by order and version."""
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    async with connect(url, "witness") as broker:
        deliveries = await broker.consume("witness", prefetch=500)
        while batch := await deliveries.batch(at_most=500, gather_s=0.1, wait_s=2.0):
            for delivery in batch:
                said = json.loads(delivery.body)
                for event in said if isinstance(said, list) else [said]:
                    if event["kind"] != "received":
                        found[event["order_id"], event["version"]].add(event["event_id"])
            await deliveries.ack(batch)
    return found


def count_orders(stack: Stack, customers: Customers) -> int:
    """Hold the restaurant's tables against what customers were told; gives how many orders."""
    assert customers.refused == []
    stored = stack.query(
        "select idempotency_key, uuid, state, answer is null from restaurant_order"
    )
    assert {key: {str(order)} for key, order, *_ in stored} == dict(customers.placed)
    assert len(stored) == len(customers.placed)
    assert {state for _, _, state, _ in stored} <= {"ready", "failed"}
    assert not any(is_null for *_, is_null in stored)
    answers = stack.query("select placed, count(*) from witness_answers group by 1")
    assert len(answers) == len(stored), "an order without an answer"
    assert {number for _, number in answers} == {1}, "an order that was answered twice"
    assert stack.number(SENT) == len(stored)
    assert stack.number("select count(*) from restaurant_outboxmessage") == 0
    return len(stored)


def count_observations(stack: Stack, version: str) -> int:
    """Hold the observer's numbers of a version against its rows; gives how many orders."""
    wanted = sampled(stack, version)
    rows = dict(
        stack.query(
            "select state, count(*) from observations where version = ? group by 1",
            version,
        )
    )
    assert sum(rows.values()) == wanted
    assert rows.keys() <= {"handled", "failed"}
    ((orders, handled, failed, missing, pairs, matrix),) = stack.query(TALLY, version)
    assert (orders, missing) == (wanted, 0)
    assert (handled, failed) == (rows.get("handled", 0), rows.get("failed", 0))
    slices = "select sum(handled), sum(failed) from dashboard_timeslice where version = ?"
    assert stack.query(slices, version) == [(handled, failed)]
    compared = "select count(*) from observations where version = ? and judged_at is not null"
    expected = 0 if version == "vlatest" else wanted
    assert stack.number(compared, version) == pairs == expected
    assert sum(matrix.values()) == expected
    return wanted


def assert_none_is_missing(stack: Stack, events: dict[tuple[str, str], set[str]]) -> None:
    """An order that a version has not ended: what the witness has of it."""
    missing = "select \"order\", version from observations where state = 'missing'"
    lost = [(str(order), version) for order, version in stack.query(missing)]
    assert {key: events.get(key) for key in lost} == {}


def count_repeats(stack: Stack, events: dict[tuple[str, str], set[str]]) -> dict[str, int]:
    """Orders that a version handled more than once, as all events together say."""
    repeats: Counter[str] = Counter()
    for (_, version), ids in events.items():
        repeats[version] += len(ids) - 1
    counted = dict(stack.query("select version, repeats from dashboard_participant"))
    assert counted == {version: repeats[version] for version in KITCHENS}
    return counted


def report(stack: Stack, customers: Customers, **counted: Any) -> None:
    again = stack.query("select again_reason, count(*) from restaurant_order group by 1")
    dead = stack.query("select queue, count from dashboard_deadlettertally")
    print(f"\n{counted}; {customers.tries} tries; sent again {again}; dead letters {dead}")


def test_whichever_process_is_killed_no_order_is_lost_or_counted_twice(
    tmp_path: Path, broker_node: BrokerNode, kills: int
) -> None:
    with a_watched_stack(tmp_path, broker_node) as stack:
        with Customers(stack.port) as customers:
            kill_in_turn(stack, kills)
        until_all_is_quiet(stack, broker_node)
        events = asyncio.run(witnessed(broker_node.url))
        orders = count_orders(stack, customers)
        assert_none_is_missing(stack, events)
        observed = {version: count_observations(stack, version) for version in KITCHENS}
        repeats = count_repeats(stack, events)
        report(stack, customers, kills=kills, orders=orders, observed=observed, repeats=repeats)


def test_when_the_broker_is_killed_no_order_is_lost_or_counted_twice(
    tmp_path: Path, broker_node: BrokerNode, kills: int
) -> None:
    with a_watched_stack(tmp_path, broker_node) as stack:
        with Customers(stack.port) as customers:
            for _ in range(kills):
                until_at_work(stack, "vlatest", MOST_BETWEEN)
                broker_node.stop(gently=False)
                broker_node.start()
            until_at_work(stack, "vlatest", 1)
        until_all_is_quiet(stack, broker_node)
        events = asyncio.run(witnessed(broker_node.url))
        orders = count_orders(stack, customers)
        assert_none_is_missing(stack, events)
        observed = {version: count_observations(stack, version) for version in KITCHENS}
        repeats = dict(stack.query("select version, repeats from dashboard_participant"))
        report(stack, customers, kills=kills, orders=orders, observed=observed, repeats=repeats)
