"""The relay's queues: production's first, each dark one by itself, former ones taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async

from kitchen_worker.amqp.broker import Broker, DeclareRefused, Outgoing, declare_or_keep
from kitchen_worker.amqp.connection import connect
from kitchen_worker.amqp.tests.making import an_order, posted, topology_of
from kitchen_worker.amqp.tests.waiting import fresh_rabbit, taken
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import utc_now
from kitchen_worker.contract.topology import (
    ANSWERS_QUEUE,
    KITCHEN_EVENTS,
    ORDERS,
    STREAM_QUEUE,
    Binding,
    Exchange,
    Queue,
    QueueType,
    QueueTypes,
    Topology,
    dead_queue,
    kitchen_queue,
)
from kitchen_worker.testing import MemoryBroker
from local.broker_node import BrokerNode
from restaurant import queues as queues_module
from restaurant.launches import purges_wanted, set_percent, stop_version
from restaurant.models import BrokerProblem, Order, OrderState
from restaurant.outbox import Outbox
from restaurant.queues import Queues
from restaurant.tests.making import (
    a_launch,
    an_event,
    end_launch,
    publish,
    run,
    said,
    some_orders,
    start_launch,
    until,
)

pytestmark = pytest.mark.django_db

TYPES = QueueTypes()
VLATEST, VNEXT = kitchen_queue("vlatest"), kitchen_queue("vnext")
#: Declared by somebody else, and not as ours.
FOREIGN = Topology(queues=(Queue(name=VNEXT, arguments={"x-max-length": 5}),))
Opening = Callable[[], AbstractAsyncContextManager[Broker]]


@pytest.fixture(params=["memory", pytest.param("rabbit", marks=pytest.mark.broker)])
def opened(request: pytest.FixtureRequest) -> Opening:
    if request.param == "memory":
        return lambda: nullcontext(MemoryBroker())
    url = request.getfixturevalue("amqp_url")

    @asynccontextmanager
    async def fresh() -> Any:
        whole = topology_of("vnext", "vlatest-b") + topology.live("vnew", TYPES)
        async with fresh_rabbit(url, whole) as broker:
            yield broker

    return fresh


def test_a_dark_queue_that_somebody_else_declared_costs_its_version_alone(
    opened: Opening,
) -> None:
    a_launch(candidate="100", baseline="100")

    async def play() -> None:
        async with opened() as broker:
            await broker.declare(topology.live("vlatest", TYPES))
            await broker.declare(FOREIGN)
            await broker.declare(Topology(bindings=(topology.dark_binding("vnext"),)))
            await broker.publish([posted(an_order(), "vnext")])
            queues = Queues(TYPES)
            await queues.check(broker)
            await queues.check_dark(broker)
            await publish(Outbox(queues), broker)
            assert await broker.depth(VLATEST) == 4
            assert await broker.depth(kitchen_queue("vlatest-b")) == 3
            assert await broker.depth(VNEXT) == 1
            await taken(broker, VNEXT, 1)
            await queues.check_dark(broker)

    some_orders(3)
    run(play)
    assert not BrokerProblem.objects.exists()


def test_the_queue_of_a_stopped_version_is_purged_on_request_and_no_other(
    opened: Opening,
) -> None:
    launch = a_launch(candidate="100", baseline="100")

    async def play() -> None:
        async with opened() as broker:
            queues = Queues(TYPES)
            await queues.check(broker)
            await queues.check_dark(broker)
            await publish(Outbox(queues), broker)
            await sync_to_async(stop)()
            await queues.check_dark(broker)
            assert await broker.depth(VNEXT) == 0
            assert await broker.depth(kitchen_queue("vlatest-b")) == 3
            assert await broker.depth(VLATEST) == 3
            await queues.check_dark(broker)

    def stop() -> None:
        stop_version(launch, "vnext", author="ada", reason="it fails", purge=True)

    some_orders(3)
    run(play)
    purged = launch.changes.get(kind="purged")
    assert (purged.new, purged.author) == ("vnext, 3 orders dropped", "ada")


def test_a_version_that_gets_orders_again_is_not_purged() -> None:
    launch = a_launch(candidate="100", baseline="0")
    stop_version(launch, "vnext", author="ada", reason="it fails", purge=True)
    set_percent(launch, "vnext", Decimal(5), author="ada", reason="it is mended")
    set_percent(launch, "vnext", Decimal(0), author="ada", reason="it fails again")
    assert purges_wanted() == []


def test_a_purge_that_the_broker_refuses_is_tried_again() -> None:
    launch = a_launch(candidate="100", baseline="0")
    stop_version(launch, "vnext", author="ada", reason="it fails", purge=True)
    broker = MemoryBroker()

    async def play() -> None:
        queues = Queues(TYPES)
        (wanted,) = await sync_to_async(purges_wanted)()
        await queues._purge(broker, wanted)
        assert await sync_to_async(purges_wanted)() == [wanted]
        await broker.declare(topology.live("vlatest", TYPES))
        await queues.check_dark(broker)

    run(play)
    assert purges_wanted() == []


def test_a_refused_dark_queue_is_kept_for_the_board_until_it_is_replaced() -> None:
    a_launch(candidate="100", baseline="0")
    broker = MemoryBroker()

    async def play() -> None:
        await broker.declare(topology.live("vlatest", TYPES))
        await broker.declare(FOREIGN)
        await broker.declare(Topology(bindings=(topology.dark_binding("vnext"),)))
        await broker.publish([posted(an_order(), "vnext")])
        await Queues(TYPES).check_dark(broker)

    run(play)
    problem = BrokerProblem.objects.get()
    assert problem.queue == VNEXT
    assert "no orders until it is empty" in problem.reason
    run(lambda: Queues(TYPES).check_dark(broker))
    assert BrokerProblem.objects.get().since == problem.since
    broker.queues[VNEXT].waiting.clear()
    run(lambda: Queues(TYPES).check_dark(broker))
    assert not BrokerProblem.objects.exists()
    assert "x-message-ttl" in broker.queues[VNEXT].declared.arguments


class LostNode(MemoryBroker):
    """Does not answer a declaration of vnext's queue, as RabbitMQ 4 when its node is lost."""

    async def declare(self, topology: Topology) -> None:
        if any(queue.name == VNEXT for queue in topology.queues):
            await asyncio.Event().wait()
        await super().declare(topology)


def test_orders_wait_for_a_dark_queue_without_an_answer_once_a_session_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queues_module, "NEW_DARK_TIMEOUT_S", 0.05)
    monkeypatch.setattr(queues_module, "DARK_TIMEOUT_S", 0.1)
    a_launch(candidate="100", baseline="100")
    broker, queues = LostNode(), Queues(TYPES)
    outbox = Outbox(queues)
    some_orders(1)
    run(lambda: publish(outbox, broker))
    assert len(broker.bodies(VLATEST)) == 1
    monkeypatch.setattr(queues_module, "NEW_DARK_TIMEOUT_S", 3600)
    monkeypatch.setattr(queues_module, "DARK_TIMEOUT_S", 3600)
    some_orders(1)
    run(lambda: queues.check(broker))
    run(lambda: publish(outbox, broker))
    assert len(broker.bodies(VLATEST)) == 2


def test_a_dark_queue_without_an_answer_is_a_problem_of_its_version_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queues_module, "DARK_TIMEOUT_S", 0.05)
    a_launch(candidate="100", baseline="100")
    broker = LostNode()
    run(lambda: Queues(TYPES).check(broker))
    run(lambda: Queues(TYPES).check_dark(broker))
    problem = BrokerProblem.objects.get()
    assert problem.queue == VNEXT
    assert "does not reply" in problem.reason
    assert kitchen_queue("vlatest-b") in broker.queues


def test_orders_that_went_to_the_dark_as_in_earlier_releases_come_once(opened: Opening) -> None:
    a_launch(candidate="100")

    async def play() -> None:
        async with opened() as broker:
            for live in QueueType:
                types = QueueTypes(live=live)
                await broker.declare(Topology(exchanges=topology.live("vlatest", types).exchanges))
                await broker.declare(topology.FORMER_HANDOVER)
                await broker.declare(Topology(bindings=(topology.FORMER_COPIES,)))
                queues = Queues(types)
                await queues.check(broker)
                await queues.check_dark(broker)
                await broker.declare(topology.stream(types))
                order = an_order()
                assert await broker.publish([posted(order, "vnext")]) == [None]
                for queue in (VNEXT, topology.STREAM_QUEUE):
                    [one] = await taken(broker, queue, 1)
                    assert one.message_id == order.id
                    assert await broker.depth(queue) == 0
                assert not await broker.has_queue("orders.handover")

    run(play)


def test_copies_that_went_another_way_before_come_once(opened: Opening) -> None:
    async def play() -> None:
        async with opened() as broker:
            for live in (QueueType.QUORUM, QueueType.CLASSIC, QueueType.QUORUM):
                types = QueueTypes(live=live)
                await Queues(types).check(broker)
                await declare_or_keep(broker, topology.stream(types))
                event = Outgoing(exchange=KITCHEN_EVENTS, routing_key="candidate.vnext", body=b"{}")
                assert await broker.publish([event]) == [None]
                assert [one.routing_key for one in await taken(broker, STREAM_QUEUE, 1)] == [
                    "candidate.vnext"
                ]
                assert await broker.depth(STREAM_QUEUE) == 0

    run(play)


@pytest.mark.broker
@pytest.mark.parametrize("name", [dead_queue(VLATEST), "kitchen.vlatest", VNEXT])
def test_a_queue_that_somebody_holds_for_himself_alone_costs_nobody_else(
    amqp_url: str, name: str
) -> None:
    a_launch(candidate="100", baseline="100")
    some_orders(2)
    own = Topology(queues=(Queue(name=name, exclusive=True),))

    async def play() -> None:
        async with connect(amqp_url, "stranger") as stranger, connect(amqp_url, "test") as broker:
            await stranger.declare(own)
            queues = Queues(TYPES)
            await queues.check(broker)
            await queues.check_dark(broker)
            await publish(Outbox(queues), broker)
            is_lost = name == VLATEST
            where = topology.UNROUTED_QUEUE if is_lost else VLATEST
            assert await broker.depth(where) == 2
            assert await broker.depth(kitchen_queue("vlatest-b")) == 2

    run(play)
    assert BrokerProblem.objects.exists()


def test_what_was_wrong_with_a_version_that_takes_no_part_any_more_is_forgotten() -> None:
    launch = a_launch()
    broker = MemoryBroker()
    BrokerProblem.objects.create(queue=VNEXT, reason="other", since=utc_now())
    run(lambda: Queues(TYPES).check(broker))
    assert BrokerProblem.objects.exists()
    end_launch(launch)
    run(lambda: Queues(TYPES).check(broker))
    assert not BrokerProblem.objects.exists()


def test_a_control_that_comes_back_while_it_is_retired_keeps_its_queue_and_orders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end_launch(a_launch())
    start_launch("second", "vnew", [])
    broker = MemoryBroker()
    queues = Queues(TYPES)
    run(lambda: broker.declare(topology.live("vlatest", TYPES)))
    unbind = broker.unbind

    async def meanwhile(bindings: Sequence[Binding]) -> None:
        await unbind(bindings)
        if any(one.routing_key == "vlatest" for one in bindings):
            await sync_to_async(Order.objects.update)(control="vlatest")

    some_orders()
    run(lambda: queues.check(broker))
    assert VLATEST not in broker.queues
    run(lambda: broker.declare(topology.live("vlatest", TYPES)))
    monkeypatch.setattr(broker, "unbind", meanwhile)
    queues = Queues(TYPES)
    run(lambda: queues.check(broker))
    run(lambda: publish(Outbox(queues), broker))
    assert len(broker.bodies(VLATEST)) == 1


def test_a_live_queue_that_exists_with_other_arguments_is_used_as_it_is(opened: Opening) -> None:
    other = Queue(name=VLATEST, arguments={"x-max-priority": 3})

    async def play() -> None:
        async with opened() as broker:
            await broker.declare(Topology(queues=(other,)))
            queues = Queues(TYPES)
            await queues.check(broker)
            await publish(Outbox(queues), broker)
            assert await broker.depth(VLATEST) == 2

    some_orders(2)
    run(play)
    assert "used as it is" in BrokerProblem.objects.get(queue=VLATEST).reason


def test_bounded_queues_of_an_earlier_release_are_replaced_once_they_are_empty(
    opened: Opening,
) -> None:
    former = {"x-queue-type": "classic", "x-max-length": 10_000, "x-overflow": "drop-head"}
    names = (dead_queue(VLATEST), dead_queue(VNEXT), VNEXT)
    a_launch(candidate="100", baseline="0")
    some_orders(2)

    async def play() -> None:
        async with opened() as broker:
            for name in names:
                await broker.declare(Topology(queues=(Queue(name=name, arguments=former),)))
            queues = Queues(TYPES)
            await queues.check(broker)
            await queues.check_dark(broker)
            for whole in (topology.live("vlatest", TYPES), topology.dark("vnext", TYPES)):
                await broker.declare(whole)
            await publish(Outbox(queues), broker)
            assert await broker.depth(VLATEST) == await broker.depth(VNEXT) == 2

    run(play)
    assert not BrokerProblem.objects.exists()


def test_an_exchange_of_production_with_another_type_is_refused() -> None:
    broker = MemoryBroker()
    wrong = Topology(exchanges=(Exchange(name=ORDERS, type="topic"),))
    run(lambda: broker.declare(wrong))
    with pytest.raises(DeclareRefused, match=ORDERS):
        run(lambda: Queues(TYPES).check(broker))
    assert "No order can be sent" in BrokerProblem.objects.get().reason


def test_what_earlier_releases_bound_is_unbound_so_that_no_order_comes_twice(
    opened: Opening,
) -> None:
    former = Topology(bindings=topology.former_bindings("vlatest"))

    async def play() -> None:
        async with opened() as broker:
            await broker.declare(topology.live("vlatest", TYPES))
            await broker.declare(former)
            queues = Queues(TYPES)
            await queues.check(broker)
            await publish(Outbox(queues), broker)
            assert await broker.depth(VLATEST) == 1
            await broker.declare(topology.stream(TYPES))
            await broker.publish([said(an_event(uuid4(), version="vstranger"))])
            assert await broker.depth(ANSWERS_QUEUE) == 0

    some_orders()
    run(play)


def test_a_former_control_answers_its_own_orders_and_is_then_taken_away(opened: Opening) -> None:
    end_launch(a_launch())
    [own] = some_orders()
    start_launch("second", "vnew", [])
    [new] = some_orders()
    assert (own.control, new.control) == ("vlatest", "vnew")

    async def play() -> None:
        async with opened() as broker:
            queues = Queues(TYPES)
            await queues.check(broker)
            await publish(Outbox(queues), broker)
            assert await broker.depth(VLATEST) == await broker.depth(kitchen_queue("vnew")) == 1
            await broker.publish([said(an_event(own.uuid))])
            assert await broker.depth(ANSWERS_QUEUE) == 1
            await sync_to_async(_answer)(own)
            await queues.check(broker)
            assert not await broker.has_queue(VLATEST)
            wrong = [said(an_event(new.uuid)) for _ in range(3)]
            await broker.declare(topology.stream(TYPES))
            await broker.publish(wrong)
            assert await broker.depth(ANSWERS_QUEUE) == 1
            assert await broker.depth(kitchen_queue("vnew")) == 1

    run(play)


def _answer(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(state=OrderState.READY, answered_at=utc_now())


@pytest.mark.broker
def test_a_policy_lowers_a_bound_of_a_queue_in_use_and_the_relay_goes_on(
    broker_node: BrokerNode,
) -> None:
    a_launch(candidate="100", baseline="0")
    some_orders(5)
    policy = (
        "set_policy",
        "--apply-to",
        "queues",
        "dark",
        r"^kitchen\.vnext$",
        '{"max-length": 2}',
    )

    async def play() -> None:
        async with connect(broker_node.url, "test") as broker:
            queues = Queues(TYPES)
            await queues.check(broker)
            await publish(Outbox(queues), broker)
            assert await broker.depth(VNEXT) == 5
            await asyncio.to_thread(broker_node.control, *policy)
            await until(lambda: _shorter(broker), "the oldest are dropped")
            await queues.check(broker)
            assert await broker.depth(VLATEST) == 5

    async def _shorter(broker: Broker) -> bool:
        return await broker.depth(VNEXT) == 2

    run(play)
    assert not BrokerProblem.objects.exists()
