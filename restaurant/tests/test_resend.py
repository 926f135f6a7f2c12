"""Every sent order that stays unanswered is found, sent again to its control, and counted."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from kitchen_worker.contract import topology
from kitchen_worker.contract.memory import MemoryBroker
from kitchen_worker.contract.messages import utc_now
from kitchen_worker.contract.topology import QueueTypes, kitchen_queue
from kitchen_worker.contract.wire import Outgoing
from restaurant.models import Again, Letter, Order, OrderState
from restaurant.outbox import Outbox
from restaurant.queues import Queues
from restaurant.resend import MOST_TIMES, Resending
from restaurant.tests.making import a_launch, end_launch, run, some_orders, start_launch

pytestmark = pytest.mark.django_db

TYPES = QueueTypes()
VLATEST, VNEXT = kitchen_queue("vlatest"), kitchen_queue("vnext")
AFTER = timedelta(seconds=60)


def _sent(broker: MemoryBroker) -> Queues:
    """The queues of a session in which all orders were sent."""
    queues = Queues(TYPES)
    run(lambda: queues.check(broker))
    run(lambda: Outbox(queues).step(broker))
    return queues


def _resend(broker: MemoryBroker, queues: Queues) -> int:
    return run(lambda: Resending(queues, AFTER).unanswered(broker))


def _age(**ago: timedelta) -> None:
    for field, age in ago.items():
        Letter.objects.update(**{field: utc_now() - age})


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
    assert again.body == bytes(Letter.objects.get().body)
    assert again.headers == {topology.LAUNCH_HEADER: str(order.launch_id)}
    assert len(broker.bodies(VNEXT)) == 1
    letter = Letter.objects.get()
    assert (letter.times_again, letter.again_reason) == (1, Again.UNANSWERED)


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
    Order.objects.update(state=OrderState.READY)
    some_orders()
    assert _resend(broker, queues) == 0


def test_the_wait_doubles_and_ends() -> None:
    some_orders()
    broker = MemoryBroker()
    queues = _sent(broker)
    _age(sent_at=AFTER * 1.1)
    for times in range(1, MOST_TIMES + 1):
        broker.queues[VLATEST].waiting.clear()
        assert _resend(broker, queues) == 1
        assert Letter.objects.get().times_again == times
        broker.queues[VLATEST].waiting.clear()
        _age(again_at=AFTER * (2**times - 0.5))
        assert _resend(broker, queues) == 0
        _age(again_at=AFTER * (2**times + 0.5))
    assert _resend(broker, queues) == 0


def test_orders_of_a_former_control_that_is_gone_are_handed_to_the_new_one() -> None:
    launch = a_launch()
    [order] = some_orders()
    broker = MemoryBroker()
    _sent(broker)
    end_launch(launch)
    start_launch("second", "vnew", [])
    queues = _sent(broker)
    assert _resend(broker, queues) == 0
    _age(sent_at=AFTER * 1.1)
    assert _resend(broker, queues) == 1
    [handed] = broker.queues[kitchen_queue("vnew")].waiting
    assert handed.message_id == str(order.uuid)
    order.refresh_from_db()
    assert order.control == "vnew"
    assert Letter.objects.get().again_reason == Again.HANDED_OVER
    run(lambda: queues.check(broker))
    assert VLATEST not in broker.queues


def test_orders_of_a_former_control_that_still_works_stay_with_it() -> None:
    launch = a_launch()
    some_orders()
    broker = MemoryBroker()
    _sent(broker)
    end_launch(launch)
    start_launch("second", "vnew", [])
    queues = _sent(broker)
    run(lambda: broker.consume(VLATEST, prefetch=5))
    _age(sent_at=AFTER * 1.1)
    assert _resend(broker, queues) == 0


def test_an_order_that_found_no_queue_goes_to_it_once_it_exists_again() -> None:
    a_launch(candidate="100", baseline="0")
    orders = some_orders(3)
    broker = MemoryBroker()
    queues = Queues(TYPES)

    async def play() -> None:
        await queues.check(broker)
        await broker.delete_queue(VLATEST, only_if_empty=False)
        await Outbox(queues).step(broker)
        assert await broker.depth(topology.UNROUTED_QUEUE) == 3
        deliveries = await broker.consume(topology.UNROUTED_QUEUE, prefetch=10)
        assert await Resending(queues, AFTER).unrouted(broker, deliveries)
        assert deliveries.held == 0

    run(play)
    got = [one.message_id for one in broker.queues[VLATEST].waiting]
    assert got == [str(order.uuid) for order in orders]
    assert len(broker.bodies(VNEXT)) == 3
    assert {one.again_reason for one in Letter.objects.all()} == {Again.UNROUTED}


def test_the_customer_of_an_order_that_the_control_dead_lettered_is_told() -> None:
    [unread, given_up, other] = some_orders(3)
    broker = MemoryBroker()
    queues = _sent(broker)

    def dead(order: object, queue: str, headers: dict[str, object]) -> Outgoing:
        return Outgoing(
            exchange=topology.ORDERS_DEAD,
            routing_key=queue,
            body=b"{}",
            message_id=str(order),
            headers=headers,
        )

    async def play() -> None:
        letters = [
            dead(unread.uuid, VLATEST, {topology.REASON_HEADER: "not an order: no id"}),
            dead(given_up.uuid, VLATEST, {"x-death": [{"reason": "delivery_limit"}]}),
            dead(uuid4(), VLATEST, {}),
            dead("no id", VLATEST, {}),
        ]
        assert not any(await broker.publish(letters))
        await broker.declare(topology.live("vstranger", TYPES))
        await broker.publish([dead(other.uuid, kitchen_queue("vstranger"), {})])
        deliveries = await broker.consume(topology.DEAD_ORDERS_QUEUE, prefetch=10)
        assert await Resending(queues, AFTER).dead(deliveries)
        assert deliveries.held == 0

    run(play)
    for order in (unread, given_up, other):
        order.refresh_from_db()
    assert unread.state == given_up.state == OrderState.FAILED
    assert unread.answer == {"error": {"type": "NotHandled", "message": "not an order: no id"}}
    assert "delivery_limit" in str(given_up.answer)
    assert other.state == OrderState.PLACED
