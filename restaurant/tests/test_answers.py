"""The control's events become the order's state; no other version's do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random
from uuid import uuid4

import pytest
from django.db import DataError, connection

from kitchen_worker.amqp.broker import BrokerLost, Outgoing
from kitchen_worker.amqp.tests.waiting import fresh_rabbit
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import (
    MAX_DEPTH,
    Event,
    EventKind,
    Role,
    encode_event,
    join_events,
)
from kitchen_worker.contract.topology import (
    ANSWERS_QUEUE,
    KITCHEN_EVENTS,
    REASON_HEADER,
    Binding,
    QueueTypes,
    Topology,
    dead_queue,
)
from kitchen_worker.testing import MemoryBroker
from restaurant import answers
from restaurant.answers import record
from restaurant.models import Order, OrderState, OutboxMessage
from restaurant.outbox import mark_sent
from restaurant.tests.making import (
    an_event,
    messages_of,
    run,
    said,
    said_bytes,
    some_orders,
)

pytestmark = pytest.mark.django_db

TYPES = QueueTypes()
TOPOLOGY = topology.live("vlatest", TYPES)


def _state(order: Order) -> str:
    order.refresh_from_db()
    return order.state


def _hear(*messages: Outgoing, steps: int = 1, standing: Topology = TOPOLOGY) -> MemoryBroker:
    """A broker on which these messages were said and taken."""
    broker = MemoryBroker()

    async def play() -> None:
        await broker.declare(standing)
        await broker.publish(messages)
        deliveries = await broker.consume(ANSWERS_QUEUE, prefetch=500)
        for _ in range(steps):
            await answers.step(broker, deliveries, wait_s=0.05)
        assert deliveries.held == 0

    run(play)
    return broker


def test_an_order_goes_to_the_kitchen_and_is_ready() -> None:
    [order] = some_orders()
    _hear(said(an_event(order.uuid, EventKind.RECEIVED)))
    assert _state(order) == OrderState.IN_KITCHEN
    assert order.answered_at is None
    _hear(said(an_event(order.uuid, result={"cook": "Mo", "minutes": 5.5})))
    assert _state(order) == OrderState.READY
    assert order.answer == {"cook": "Mo", "minutes": 5.5}
    assert order.answered_at is not None


def test_an_order_without_a_received_event_goes_from_placed_to_ready() -> None:
    [order] = some_orders()
    assert _state(order) == OrderState.PLACED
    _hear(said(an_event(order.uuid)))
    assert _state(order) == OrderState.READY
    _hear(said(an_event(order.uuid, EventKind.RECEIVED)))
    assert _state(order) == OrderState.READY


def test_an_order_that_the_control_cannot_cook_has_failed() -> None:
    [order] = some_orders()
    _hear(said(an_event(order.uuid, EventKind.FAILED)))
    assert _state(order) == OrderState.FAILED
    assert order.answer == {"error": {"type": "OvenError", "message": "too hot"}}


@pytest.mark.parametrize(
    "kinds", list(itertools.permutations([EventKind.RECEIVED, EventKind.HANDLED] * 2))
)
def test_repeats_and_any_order_of_events_leave_the_order_ready(kinds: list[EventKind]) -> None:
    [order] = some_orders()
    record([an_event(order.uuid, kind) for kind in kinds])
    assert _state(order) == OrderState.READY
    [other] = some_orders()
    for kind in kinds:
        record([an_event(other.uuid, kind)])
    assert _state(other) == OrderState.READY


def test_the_first_end_of_an_order_counts() -> None:
    [order] = some_orders()
    assert record([an_event(order.uuid, result={"cook": "first"})]) == 1
    answered_at = Order.objects.get().answered_at
    later = [
        an_event(order.uuid, result={"cook": "second"}),
        an_event(order.uuid, EventKind.FAILED),
    ]
    assert record(later) == 0
    assert _state(order) == OrderState.READY
    assert (order.answer, order.answered_at) == ({"cook": "first"}, answered_at)


def test_a_batch_of_many_orders_is_recorded_each_with_its_own_answer() -> None:
    orders = some_orders(700)
    events = [an_event(order.uuid, result={"number": order.pk}) for order in orders]
    assert record(events) == 700
    for order in Order.objects.all():
        assert (order.state, order.answer) == (OrderState.READY, {"number": order.pk})


def test_a_message_of_several_events_is_taken_whole() -> None:
    orders = some_orders(3)
    body = join_events([encode_event(an_event(order.uuid)) for order in orders])
    _hear(said_bytes(body))
    assert all(_state(order) == OrderState.READY for order in orders)


def test_an_answer_to_an_order_that_nobody_placed_is_dead_lettered() -> None:
    stranger = uuid4()
    broker = _hear(said(an_event(stranger)))
    [letter] = broker.dead_letters
    assert letter.headers[REASON_HEADER] == f"nobody placed the order {stranger}"


def test_an_answer_counts_only_if_it_comes_from_the_control_of_the_orders_launch() -> None:
    [order] = some_orders()
    stranger = [
        an_event(order.uuid, EventKind.RECEIVED, version="vstranger"),
        an_event(order.uuid, EventKind.FAILED, version="vstranger"),
    ]
    whole = TOPOLOGY + topology.live("vstranger", TYPES)
    broker = _hear(*[said(event) for event in stranger], standing=whole)
    assert _state(order) == OrderState.PLACED
    [letter] = broker.dead_letters
    assert letter.headers[REASON_HEADER] == (
        f"vlatest is to answer the order {order.uuid}, not vstranger"
    )
    _hear(said(stranger[1]), said(an_event(order.uuid)), standing=whole)
    assert _state(order) == OrderState.READY


def test_an_unreadable_answer_is_dead_lettered_and_the_others_are_recorded() -> None:
    [order] = some_orders()
    broker = _hear(said_bytes(b"{nonsense"), said(an_event(order.uuid)))
    assert _state(order) == OrderState.READY
    [letter] = broker.dead_letters
    assert letter.body == b"{nonsense"
    assert "not an event" in letter.headers[REASON_HEADER]
    assert broker.bodies(dead_queue(ANSWERS_QUEUE)) == [b"{nonsense"]


@pytest.mark.parametrize("role", [Role.CANDIDATE, Role.BASELINE])
def test_a_dark_version_that_speaks_as_the_control_is_refused(role: Role) -> None:
    [order] = some_orders()
    event = an_event(order.uuid, role=role, version="vnext")
    wrong = Binding(source=KITCHEN_EVENTS, destination=ANSWERS_QUEUE, routing_key="control.vnext")
    standing = TOPOLOGY + Topology(bindings=(wrong,))
    broker = _hear(said(event, key="control.vnext"), standing=standing)
    assert _state(order) == OrderState.PLACED
    assert "does not speak under the routing key" in broker.dead_letters[0].headers[REASON_HEADER]


def test_a_dark_answer_is_refused_even_where_somebody_bound_it_to_the_answers() -> None:
    [order] = some_orders()
    wrong = Binding(source=KITCHEN_EVENTS, destination=ANSWERS_QUEUE, routing_key="candidate.*")
    event = an_event(order.uuid, role=Role.CANDIDATE, version="vnext")
    broker = _hear(
        said(event, key="candidate.vnext"), standing=TOPOLOGY + Topology(bindings=(wrong,))
    )
    assert _state(order) == OrderState.PLACED
    assert "cannot answer customers" in broker.dead_letters[0].headers[REASON_HEADER]


def test_an_answer_deeper_than_the_contract_allows_is_dead_lettered_alone() -> None:
    orders = some_orders(5)
    depths = [MAX_DEPTH - 1, MAX_DEPTH, 500, 980]
    bodies = [
        encode_event(an_event(order.uuid, result={"deep": "bottom"})).replace(
            b'"bottom"', b"[" * depth + b"]" * depth
        )
        for order, depth in zip(orders, depths, strict=False)
    ]
    told = join_events([*bodies, encode_event(an_event(orders[4].uuid))])
    broker = _hear(Outgoing(exchange=KITCHEN_EVENTS, routing_key="control.vlatest", body=told))
    assert _state(orders[0]) == _state(orders[4]) == OrderState.READY
    assert len(broker.dead_letters) == 3
    for letter, order in zip(broker.dead_letters, orders[1:], strict=False):
        assert letter.headers["x-order"] == str(order.uuid)
        assert "not an event: " in letter.headers[REASON_HEADER]
    assert "nested more than 64 deep" in broker.dead_letters[0].headers[REASON_HEADER]


def test_a_bad_event_of_the_control_costs_no_other_customer_an_answer() -> None:
    orders = some_orders(3)
    good = [encode_event(an_event(order.uuid)) for order in orders[:2]]
    body = join_events([good[0], b'{"kind": "handled"}', good[1]])
    broker = _hear(Outgoing(exchange=KITCHEN_EVENTS, routing_key="control.vlatest", body=body))
    assert _state(orders[0]) == _state(orders[1]) == OrderState.READY
    assert len(broker.dead_letters) == 1


def test_a_version_that_speaks_under_another_name_is_refused() -> None:
    [order] = some_orders()
    broker = _hear(said(an_event(order.uuid, version="vnext"), key="control.vlatest"))
    assert _state(order) == OrderState.PLACED
    assert len(broker.dead_letters) == 1


def test_an_answer_with_a_character_that_no_database_keeps_still_reaches_the_customer() -> None:
    [order] = some_orders()
    broker = _hear(said(an_event(order.uuid, result={"lines": [{"a\x00": "nul \x00"}]})))
    assert broker.dead_letters == []
    order.refresh_from_db()
    assert order.state == OrderState.READY
    assert order.answer == {"lines": [{"a\ufffd": "nul \ufffd"}]}


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("\\u0000", "\\u0000"),
        ("\\\\u0000", "\\\\u0000"),
        ("\x00", "\ufffd"),
        ("\\\x00", "\\\ufffd"),
        ("\\\\\x00\x00u0000", "\\\\\ufffd\ufffdu0000"),
    ],
)
def test_a_backslash_and_its_letters_reach_the_customer_unchanged(told: str, kept: str) -> None:
    [order] = some_orders()
    assert _hear(said(an_event(order.uuid, result={told: [told]}))).dead_letters == []
    order.refresh_from_db()
    assert order.answer == {kept: [kept]}


def test_what_the_database_refuses_is_dead_lettered_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = some_orders(3)

    def picky(events: Iterable[Event]) -> int:
        events = list(events)
        if str(orders[1].uuid) in {event.order_id for event in events}:
            raise DataError("no such character")
        return record(events)

    monkeypatch.setattr(answers, "record", picky)
    broker = _hear(*[said(an_event(order.uuid)) for order in orders])
    assert _state(orders[0]) == _state(orders[2]) == OrderState.READY
    assert _state(orders[1]) == OrderState.PLACED
    [letter] = broker.dead_letters
    assert letter.headers[REASON_HEADER] == "cannot be stored: no such character"


def test_answers_that_were_not_recorded_are_delivered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [order] = some_orders()
    broker = MemoryBroker()

    def lose_the_broker(events: Sequence[Event]) -> int:
        broker.lose()
        return record(events)

    async def play() -> None:
        await broker.declare(TOPOLOGY)
        await broker.publish([said(an_event(order.uuid))])
        deliveries = await broker.consume(ANSWERS_QUEUE, prefetch=500)
        with monkeypatch.context() as patched:
            patched.setattr(answers, "record", lose_the_broker)
            with pytest.raises(BrokerLost):
                await answers.step(broker, deliveries, wait_s=0)
        broker.restore()
        assert await broker.depth(ANSWERS_QUEUE) == 1
        again = await broker.consume(ANSWERS_QUEUE, prefetch=500)
        assert await answers.step(broker, again, wait_s=0)

    run(play)
    assert _state(order) == OrderState.READY


@pytest.mark.broker
def test_answers_come_over_a_real_broker_and_dark_ones_never_do(amqp_url: str) -> None:
    first, second = some_orders(2)

    async def play() -> None:
        everything = TOPOLOGY + topology.stream(TYPES)
        async with fresh_rabbit(amqp_url, everything) as broker:
            await broker.declare(everything)
            dark = an_event(second.uuid, role=Role.CANDIDATE, version="vnext")
            assert await broker.publish([said(dark), said(an_event(first.uuid))]) == [None, None]
            deliveries = await broker.consume(ANSWERS_QUEUE, prefetch=10)
            assert await answers.step(broker, deliveries, wait_s=20)
            assert not await answers.step(broker, deliveries, wait_s=0.1)
            assert await broker.depth(ANSWERS_QUEUE) == 0

    run(play)
    assert _state(first) == OrderState.READY
    assert _state(second) == OrderState.PLACED


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_answers_and_marks_of_the_same_orders_never_wait_for_each_other_in_a_circle() -> None:
    random, rounds = Random(7), [some_orders(100) for _ in range(10)]

    def answer(orders: list[Order]) -> None:
        kinds = random.choices([EventKind.RECEIVED, EventKind.HANDLED], k=len(orders))
        told = random.sample(list(zip(orders, kinds, strict=True)), len(orders))
        record(an_event(order.uuid, kind) for order, kind in told)

    def mark(orders: list[Order]) -> None:
        mark_sent(random.sample(messages_of(orders), len(orders)))

    def connected(act: Callable[[list[Order]], None]) -> None:
        with closing(connection):
            for orders in rounds:
                act(orders)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(connected, [mark, answer, answer]))
    assert not OutboxMessage.objects.exists()
    assert not Order.objects.filter(state=OrderState.PLACED).exists()
