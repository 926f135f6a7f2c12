"""Every unanswered order is found, resent to its control, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from msgspec.structs import replace

from kitchen_worker.amqp.broker import Outgoing, PublishFailed
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import utc_now
from kitchen_worker.contract.topology import QueueTypes, kitchen_queue
from kitchen_worker.testing import MemoryBroker
from restaurant.models import Order, OrderState, ResendReason
from restaurant.outbox import Outbox
from restaurant.queues import Queues
from restaurant.resend import DOUBLINGS, Resending
from restaurant.tests.making import (
    a_launch,
    an_event,
    end_launch,
    publish,
    run,
    said,
    some_orders,
    start_launch,
)

pytestmark = pytest.mark.django_db

TYPES = QueueTypes()
VLATEST, VNEXT = kitchen_queue("vlatest"), kitchen_queue("vnext")
AFTER = timedelta(seconds=60)


def _sent(broker: MemoryBroker) -> Queues:
    """The queues of a session in which all orders were sent."""
    queues = Queues(TYPES)
    run(lambda: queues.check(broker))
    run(lambda: publish(Outbox(queues), broker))
    return queues


def _resend(broker: MemoryBroker, queues: Queues) -> int:
    return run(lambda: Resending(queues, AFTER).resend_unanswered(broker))


def _age(**ago: timedelta) -> None:
    for field, age in ago.items():
        Order.objects.update(**{field: utc_now() - age})


def test_an_order_whose_answer_was_lost_is_sent_again_to_the_control_alone() -> None:
    a_launch(candidate="100", baseline="0")
    [order] = some_orders()
    broker = MemoryBroker()
    queues = _sent(broker)
    broker.queues[VLATEST].waiting.clear()
    assert _resend(broker, queues) == 0
    _age(sent_at=AFTER * 1.1)
    assert _resend(broker, queues) == 1
    [again] = broker.queues[VLATEST].waiting
    assert again.message_id == str(order.uuid)
    assert again.body == bytes(Order.objects.get().body)
    sent_at = again.headers[topology.SENT_AT_HEADER]
    assert again.headers == {"launch": str(order.launch_id), "sent_at": sent_at}, "and no number"
    assert sent_at > broker.published[0].headers[topology.SENT_AT_HEADER]
    assert len(broker.bodies(VNEXT)) == 1
    order = Order.objects.get()
    assert (order.times_again, order.again_reason) == (1, ResendReason.UNANSWERED)


def test_an_order_that_is_still_in_the_queue_is_not_sent_again() -> None:
    some_orders(5)
    broker = MemoryBroker()
    queues = _sent(broker)
    _age(sent_at=AFTER * 2)
    assert _resend(broker, queues) == 0
    lost = broker.queues[VLATEST].waiting.popleft()
    assert _resend(broker, queues) == 1
    assert broker.queues[VLATEST].waiting[-1].message_id == lost.message_id


def test_an_order_that_was_answered_or_not_sent_yet_is_not_sent_again() -> None:
    some_orders(2)
    broker = MemoryBroker()
    queues = _sent(broker)
    broker.queues[VLATEST].waiting.clear()
    _age(sent_at=AFTER * 2)
    Order.objects.update(state=OrderState.READY, answered_at=utc_now())
    some_orders()
    assert _resend(broker, queues) == 0


def test_the_wait_doubles_to_a_bound_and_goes_on() -> None:
    some_orders()
    broker = MemoryBroker()
    queues = _sent(broker)
    _age(sent_at=AFTER * 1.1)
    for times in range(1, DOUBLINGS + 3):
        broker.queues[VLATEST].waiting.clear()
        assert _resend(broker, queues) == 1
        assert Order.objects.get().times_again == times
        broker.queues[VLATEST].waiting.clear()
        doublings = min(times, DOUBLINGS)
        _age(again_at=AFTER * (2**doublings - 0.5))
        assert _resend(broker, queues) == 0
        _age(again_at=AFTER * (2**doublings + 0.5))


def test_while_answers_wait_nothing_is_taken_for_lost() -> None:
    [order] = some_orders()
    broker = MemoryBroker()
    queues = _sent(broker)
    broker.queues[VLATEST].waiting.clear()
    _age(sent_at=AFTER * 1.1)
    run(lambda: broker.publish([said(an_event(order.uuid))]))
    assert _resend(broker, queues) == 0
    broker.queues[topology.ANSWERS_QUEUE].waiting.clear()
    assert _resend(broker, queues) == 1


def test_what_the_broker_refuses_of_a_batch_ends_nothing_and_is_sent_later() -> None:
    orders = some_orders(3)
    broker = _Refusing(refused=str(orders[1].uuid))
    queues = _sent(broker)
    broker.queues[VLATEST].waiting.clear()
    _age(sent_at=AFTER * 1.1)
    assert _resend(broker, queues) == 2
    assert _resend(broker, queues) == 0
    _age(again_at=AFTER * 2.1)
    broker.refused = ""
    broker.queues[VLATEST].waiting.clear()
    assert _resend(broker, queues) == 3


class _Refusing(MemoryBroker):
    """A broker that refuses to send one order again."""

    def __init__(self, *, refused: str) -> None:
        super().__init__()
        self.refused = refused

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """See Broker.publish."""
        outcomes: list[PublishFailed | None] = []
        for message in messages:
            if message.exchange == topology.ORDERS_LIVE and message.message_id == self.refused:
                outcomes.append(PublishFailed("refused"))
            else:
                outcomes += await super().publish([message])
        return outcomes


def _gone(broker: MemoryBroker, queues: Queues) -> Resending:
    """A session in which the former control was seen without a kitchen a while ago."""
    resending = Resending(queues, AFTER)
    assert run(lambda: resending.resend_unanswered(broker)) == 0
    resending._gone_since = {name: at - AFTER for name, at in resending._gone_since.items()}
    return resending


def test_orders_of_a_former_control_that_is_gone_are_handed_to_the_new_one() -> None:
    launch = a_launch()
    [order] = some_orders()
    broker = MemoryBroker()
    _sent(broker)
    end_launch(launch)
    start_launch("second", "vnew", [])
    queues = _sent(broker)
    Order.objects.update(times_again=DOUBLINGS, again_at=utc_now())
    resending = _gone(broker, queues)
    assert run(lambda: resending.resend_unanswered(broker)) == 0
    _age(sent_at=AFTER * 1.1)
    assert run(lambda: resending.resend_unanswered(broker)) == 1
    [handed] = broker.queues[kitchen_queue("vnew")].waiting
    assert handed.message_id == str(order.uuid)
    order.refresh_from_db()
    assert order.control == "vnew"
    assert Order.objects.get().again_reason == ResendReason.HANDED_OVER
    run(lambda: queues.check(broker))
    assert VLATEST not in broker.queues


def test_orders_of_a_former_control_that_works_or_only_starts_again_stay_with_it() -> None:
    launch = a_launch()
    some_orders()
    broker = MemoryBroker()
    _sent(broker)
    end_launch(launch)
    start_launch("second", "vnew", [])
    queues = _sent(broker)
    _age(sent_at=AFTER * 1.1)
    resending = _gone(broker, queues)
    run(lambda: broker.consume(VLATEST, prefetch=5))
    assert run(lambda: resending.resend_unanswered(broker)) == 0
    broker.lose()
    broker.restore()
    assert run(lambda: resending.resend_unanswered(broker)) == 0


def test_orders_from_before_the_first_launch_are_looked_after_too() -> None:
    [order] = some_orders()
    broker = MemoryBroker()
    _sent(broker)
    start_launch("first", "vnew", [])
    queues = _sent(broker)
    resending = _gone(broker, queues)
    _age(sent_at=AFTER * 1.1)
    assert run(lambda: resending.resend_unanswered(broker)) == 1
    order.refresh_from_db()
    assert order.control == "vnew"


def test_an_order_without_a_control_waits_until_the_relay_has_set_it() -> None:
    launch = a_launch(candidate="0", baseline="0")
    [order] = some_orders()
    Order.objects.update(control="")
    broker = MemoryBroker()
    queues = Queues(TYPES)
    run(lambda: publish(Outbox(queues), broker))
    assert broker.published == []
    _sent(broker)
    order.refresh_from_db()
    assert order.control == launch.control
    assert len(broker.bodies(VLATEST)) == 1


def test_an_order_that_found_no_queue_goes_to_it_once_it_exists_again() -> None:
    a_launch(candidate="100", baseline="0")
    orders = some_orders(3)
    broker = MemoryBroker()
    queues = Queues(TYPES)

    async def play() -> None:
        await queues.check(broker)
        await broker.delete_queue(VLATEST, only_if_empty=False)
        await publish(Outbox(queues), broker)
        assert await broker.depth(topology.UNROUTED_QUEUE) == 3
        deliveries = await broker.consume(topology.UNROUTED_QUEUE, prefetch=10)
        assert await Resending(queues, AFTER).resend_unrouted(broker, deliveries)
        assert deliveries.held == 0

    run(play)
    got = [one.message_id for one in broker.queues[VLATEST].waiting]
    assert got == [str(order.uuid) for order in orders]
    assert len(broker.bodies(VNEXT)) == 3
    assert {one.again_reason for one in Order.objects.all()} == {ResendReason.UNROUTED}


class _Locked(MemoryBroker):
    """A broker on which somebody else holds the control's queue."""

    async def has_queue(self, name: str) -> bool:
        """See Broker.has_queue."""
        return name != VLATEST and await super().has_queue(name)


def test_an_order_whose_queue_cannot_be_declared_does_not_go_round_in_a_circle() -> None:
    some_orders()
    broker = _Locked()
    queues = _sent(broker)
    unrouted = Outgoing(exchange=topology.ORDERS_UNROUTED, body=b"{}")

    async def play() -> None:
        order = await sync_to_async(Order.objects.get)()
        assert await broker.publish([replace(unrouted, message_id=str(order.uuid))]) == [None]
        deliveries = await broker.consume(topology.UNROUTED_QUEUE, prefetch=10)
        published = len(broker.published)
        assert await Resending(queues, AFTER).resend_unrouted(broker, deliveries)
        assert (deliveries.held, len(broker.published)) == (0, published)

    run(play)
    assert Order.objects.get().times_again == 0


def _dead(order: object, queue: str, headers: dict[str, object]) -> Outgoing:
    return Outgoing(
        exchange=topology.ORDERS_DEAD,
        routing_key=queue,
        body=b"{}",
        message_id=str(order),
        headers=headers,
    )


def _take_dead(broker: MemoryBroker, queues: Queues, *messages: Outgoing) -> None:
    async def play() -> None:
        assert not any(await broker.publish(messages))
        deliveries = await broker.consume(topology.DEAD_ORDERS_QUEUE, prefetch=10)
        assert await Resending(queues, AFTER).fail_dead(deliveries)
        assert deliveries.held == 0

    run(play)


def test_an_order_that_the_control_dead_lettered_fails_for_its_customer() -> None:
    [order, other] = some_orders(2)
    broker = MemoryBroker()
    queues = _sent(broker)
    run(lambda: broker.declare(topology.live("vstranger", TYPES)))
    _take_dead(
        broker,
        queues,
        _dead(order.uuid, VLATEST, {topology.REASON_HEADER: "not an order: no id"}),
        _dead(uuid4(), VLATEST, {}),
        _dead("no id", VLATEST, {}),
        _dead(other.uuid, kitchen_queue("vstranger"), {}),
    )
    order.refresh_from_db()
    other.refresh_from_db()
    assert order.state == OrderState.FAILED
    assert order.answer == {"error": {"type": "NotHandled", "message": "not an order: no id"}}
    assert other.state == OrderState.PLACED


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (
            {"x-death": [{"reason": "delivery_limit"}]},
            "the broker dead-lettered it: delivery_limit",
        ),
        ({"x-death": [{}]}, "the broker dead-lettered it: reason unknown"),
        ({"x-death": []}, "the broker dead-lettered it: reason unknown"),
        ({"x-death": ["text"]}, "the broker dead-lettered it: reason unknown"),
        ({"x-death": "text"}, "the broker dead-lettered it: reason unknown"),
        ({topology.REASON_HEADER: "nul \0"}, "nul \ufffd"),
        ({topology.REASON_HEADER: b"\xff half"}, "\ufffd half"),
        ({topology.REASON_HEADER: 7}, "7"),
        ({topology.REASON_HEADER: "long" * 5000}, "long" * 250),
    ],
)
def test_whatever_a_dead_letter_gives_as_its_reason_ends_its_order_alone(
    headers: dict[str, object], reason: str
) -> None:
    [order] = some_orders()
    broker = MemoryBroker()
    _take_dead(broker, _sent(broker), _dead(order.uuid, VLATEST, headers))
    order.refresh_from_db()
    assert order.answer == {"error": {"type": "NotHandled", "message": reason}}
