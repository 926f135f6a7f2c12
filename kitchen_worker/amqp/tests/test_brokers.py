"""The real broker and the one in memory do the same."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest

from kitchen_worker.amqp import connection as client
from kitchen_worker.amqp import consumer
from kitchen_worker.amqp.broker import (
    Broker,
    BrokerLost,
    DeclareRefused,
    Outgoing,
    PublishFailed,
    declare_or_keep,
)
from kitchen_worker.amqp.connection import connect, hosts_of
from kitchen_worker.amqp.dead_letters import dead_letter
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.amqp.tests.making import LAUNCH, an_order, posted, posted_bytes, topology_of
from kitchen_worker.amqp.tests.waiting import DEADLINE_S, fresh_rabbit, taken, until
from kitchen_worker.contract import topology
from kitchen_worker.contract.topology import (
    Binding,
    Queue,
    QueueTypes,
    Topology,
    dead_queue,
    kitchen_queue,
)
from kitchen_worker.testing import MemoryBroker
from local.ports import LOOPBACK, free_ports

TYPES = QueueTypes()
CONTROL = topology.live("vlatest", TYPES)
CANDIDATE = topology_of("vnext")
Opening = Callable[..., AbstractAsyncContextManager[Broker]]


@asynccontextmanager
async def _in_memory(*_: Topology) -> AsyncIterator[Broker]:
    yield MemoryBroker()


@pytest.fixture(params=["memory", pytest.param("rabbit", marks=pytest.mark.broker)])
def opened(request: pytest.FixtureRequest) -> Opening:
    if request.param == "memory":
        return _in_memory
    url = request.getfixturevalue("amqp_url")
    return lambda *topologies: fresh_rabbit(url, *topologies)


async def test_a_message_that_nobody_would_get_fails(opened: Opening) -> None:
    async with opened(CONTROL) as broker:
        await broker.declare(CONTROL)
        unheard = Outgoing(exchange=topology.ORDERS_DEAD, routing_key="nobody", body=b"{}")
        [failure] = await broker.publish([unheard])
        assert isinstance(failure, PublishFailed)
        assert "nobody" in str(failure)


async def test_of_many_messages_only_the_unroutable_ones_fail(opened: Opening) -> None:
    async with opened(CONTROL) as broker:
        await broker.declare(CONTROL)
        good = posted(an_order())
        bad = Outgoing(exchange=topology.ORDERS_DEAD, routing_key="nobody", body=b"{}")
        outcomes = await broker.publish([good, bad] * 300)
        assert [outcome is None for outcome in outcomes] == [True, False] * 300
        assert await broker.depth(kitchen_queue("vlatest")) == 300


async def test_nobody_need_get_what_is_not_mandatory(opened: Opening) -> None:
    async with opened(CONTROL) as broker:
        await broker.declare(CONTROL)
        note = Outgoing(
            exchange=topology.ORDERS_DEAD, routing_key="nobody", body=b"{}", mandatory=False
        )
        assert await broker.publish([note]) == [None]


async def test_the_sample_decides_who_gets_an_order(opened: Opening) -> None:
    async with opened(CONTROL, CANDIDATE) as broker:
        await broker.declare(CONTROL + CANDIDATE)
        dark, light = an_order(), an_order()
        await broker.publish([posted(dark, "vnext"), posted(light, "vother")])
        for_control = await taken(broker, kitchen_queue("vlatest"), 2)
        assert [one.message_id for one in for_control] == [dark.id, light.id]
        [for_vnext] = await taken(broker, kitchen_queue("vnext"), 1)
        assert for_vnext.message_id == dark.id
        assert for_vnext.headers == posted(dark, "vnext").headers
        assert await broker.depth(kitchen_queue("vnext")) == 0


@pytest.mark.parametrize("live", topology.QueueType)
async def test_an_order_is_known_by_the_exchange_that_it_was_published_to(
    opened: Opening, live: topology.QueueType
) -> None:
    types = QueueTypes(live=live)
    whole = topology.live("vlatest", types) + topology.stream(types)
    async with opened(whole) as broker:
        await broker.declare(whole)
        said = Outgoing(exchange=topology.KITCHEN_EVENTS, routing_key="control.vlatest", body=b"{}")
        forged = Outgoing(exchange=topology.DASHBOARD_ORDERS, body=b"{}")
        assert await broker.publish([posted(an_order()), said, forged]) == [None] * 3
        came = {one.exchange for one in await taken(broker, topology.STREAM_QUEUE, 3)}
        [order] = came & topology.ORDER_SOURCES
        [event] = came & topology.EVENT_SOURCES
        assert came - {order, event} == {topology.DASHBOARD_ORDERS}
        is_handed_over = live is topology.QueueType.QUORUM
        assert order == (topology.ORDERS_COPIES if is_handed_over else topology.ORDERS)
        assert (event == topology.KITCHEN_EVENTS_COPIES) == is_handed_over
        [live_order] = await taken(broker, kitchen_queue("vlatest"), 1)
        assert live_order.exchange == topology.ORDERS


@pytest.mark.broker
@pytest.mark.parametrize("live", topology.QueueType)
async def test_no_event_is_lost_while_the_stream_takes_the_place_of_the_former_queue(
    amqp_url: str, live: topology.QueueType
) -> None:
    types = QueueTypes(live=live)
    former = Topology(
        queues=(Queue(name=topology.FORMER_OBSERVER_QUEUE),),
        bindings=(
            Binding(
                source=topology.KITCHEN_EVENTS_COPIES,
                destination=topology.FORMER_OBSERVER_QUEUE,
                routing_key="#",
            ),
        ),
    )
    said: list[str] = []
    is_over = asyncio.Event()

    async def say(broker: Broker) -> None:
        while not is_over.is_set():
            said.append(f"event {len(said)}")
            event = Outgoing(
                exchange=topology.KITCHEN_EVENTS,
                routing_key="control.vlatest",
                body=b"{}",
                message_id=said[-1],
                mandatory=False,
            )
            assert await broker.publish([event]) == [None]

    whole = topology.live("vlatest", types)
    async with fresh_rabbit(amqp_url, whole, former, topology.stream(types)) as broker:
        await broker.declare(whole + former)
        saying = asyncio.create_task(say(broker))
        await until(lambda: len(said) > 50, "events are said")
        await broker.declare(topology.stream(types))
        await broker.unbind(topology.former_observer_bindings())
        before = len(said)
        await until(lambda: len(said) > before + 50, "more events are said")
        is_over.set()
        await saying
        found: list[str | None] = []
        for queue in (topology.FORMER_OBSERVER_QUEUE, topology.STREAM_QUEUE):
            deliveries = await broker.consume(queue, prefetch=10_000)
            while batch := await deliveries.batch(at_most=1000, gather_s=0.1, wait_s=1.0):
                found += [one.message_id for one in batch]
                await deliveries.ack(batch)
        assert set(found) == set(said)
        print(f"{len(found) - len(said)} of {len(said)} events came to both queues")


@pytest.mark.broker
async def test_what_is_put_into_a_queue_by_its_name_comes_from_no_exchange(amqp_url: str) -> None:
    whole = CONTROL + topology.stream(TYPES)
    async with fresh_rabbit(amqp_url, whole) as broker:
        await broker.declare(whole)
        headers = {topology.LAUNCH_HEADER: LAUNCH}
        forged = Outgoing(
            exchange="", routing_key=topology.STREAM_QUEUE, body=b"{}", headers=headers
        )
        assert await broker.publish([forged]) == [None]
        [came] = await taken(broker, topology.STREAM_QUEUE, 1)
        assert came.exchange == ""
        assert came.exchange not in topology.ORDER_SOURCES | topology.EVENT_SOURCES


async def test_of_two_observers_one_gets_deliveries_until_it_goes(opened: Opening) -> None:
    whole = CONTROL + topology.stream(TYPES)
    async with opened(whole) as broker:
        await broker.declare(whole)
        first = await broker.consume(topology.STREAM_QUEUE, prefetch=10)
        second = await broker.consume(topology.STREAM_QUEUE, prefetch=10)
        orders = [an_order() for _ in range(3)]
        await broker.publish([posted(order) for order in orders[:2]])
        batch = await first.batch(at_most=2, gather_s=DEADLINE_S, wait_s=DEADLINE_S)
        assert [one.message_id for one in batch] == [order.id for order in orders[:2]]
        assert await second.batch(at_most=1, gather_s=0, wait_s=0.05) == []
        await first.ack(batch)
        await first.cancel()
        await broker.publish([posted(orders[2])])
        [last] = await second.batch(at_most=1, gather_s=0, wait_s=DEADLINE_S)
        assert last.message_id == orders[2].id


async def test_a_full_dark_queue_drops_its_oldest_and_the_control_keeps_all(
    opened: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(topology.DARK_BOUND, "x-max-length", 3)
    whole = topology_of("vnext")
    async with opened(whole) as broker:
        await broker.declare(whole)
        orders = [an_order(number=number) for number in range(5)]
        await broker.publish([posted(order, "vnext") for order in orders])
        kept = await taken(broker, kitchen_queue("vnext"), 3)
        assert [one.message_id for one in kept] == [order.id for order in orders[2:]]
        dropped = await taken(broker, dead_queue(kitchen_queue("vnext")), 2)
        assert {one.message_id for one in dropped} == {order.id for order in orders[:2]}
        assert await broker.depth(kitchen_queue("vlatest")) == 5


async def test_a_dead_letter_arrives_with_its_reason_and_leaves_the_queue(
    opened: Opening,
) -> None:
    async with opened(CANDIDATE) as broker:
        await broker.declare(CANDIDATE)
        queue = kitchen_queue("vnext")
        headers = {topology.dark_header("vnext"): "1", "traceparent": "00-ab"}
        await broker.publish([posted_bytes(b"\xff", headers)])
        deliveries = await broker.consume(queue, prefetch=10)
        [unreadable] = await deliveries.batch(at_most=1, gather_s=0, wait_s=DEADLINE_S)
        await dead_letter(broker, deliveries, unreadable, "no JSON " * 1000)
        [letter] = await taken(broker, dead_queue(queue), 1)
        assert letter.body == b"\xff"
        assert letter.headers["traceparent"] == "00-ab"
        assert letter.headers[topology.REASON_HEADER].startswith("no JSON no JSON")
        await deliveries.cancel()
        assert await broker.depth(queue) == 0
        assert await broker.depth(topology.DEAD_LETTERS_QUEUE) == 1


async def test_no_more_than_the_prefetch_is_held(opened: Opening) -> None:
    async with opened(CONTROL) as broker:
        await broker.declare(CONTROL)
        await broker.publish([posted(an_order()) for _ in range(6)])
        deliveries = await broker.consume(kitchen_queue("vlatest"), prefetch=4)
        first = await deliveries.batch(at_most=10, gather_s=0.2, wait_s=DEADLINE_S)
        assert len(first) == 4
        await deliveries.ack([first[3], first[1]])
        await deliveries.ack([first[0], first[2]])
        assert len(await deliveries.batch(at_most=10, gather_s=0.2, wait_s=DEADLINE_S)) == 2


async def test_a_prefetch_that_is_raised_counts_what_comes_after_what_is_held(
    opened: Opening,
) -> None:
    async with opened(CONTROL) as broker:
        await broker.declare(CONTROL)
        orders = [an_order() for _ in range(6)]
        await broker.publish([posted(order) for order in orders])
        deliveries = await broker.consume(kitchen_queue("vlatest"), prefetch=1)
        held = await deliveries.batch(at_most=10, gather_s=0.1, wait_s=DEADLINE_S)
        await deliveries.set_prefetch(4)
        more = await deliveries.batch(at_most=10, gather_s=0.2, wait_s=DEADLINE_S)
        assert [one.message_id for one in held + more] == [order.id for order in orders[:5]]
        await deliveries.ack([more[1], held[0]])
        await deliveries.ack([more[0], *more[2:]])
        [last] = await deliveries.batch(at_most=10, gather_s=0.1, wait_s=DEADLINE_S)
        await deliveries.ack([last])
        await deliveries.cancel()
        assert await broker.depth(kitchen_queue("vlatest")) == 0


async def test_an_empty_queue_gives_an_empty_batch(opened: Opening) -> None:
    async with opened(CONTROL) as broker:
        await broker.declare(CONTROL)
        deliveries = await broker.consume(kitchen_queue("vlatest"), prefetch=1)
        assert await deliveries.batch(at_most=1, gather_s=0, wait_s=0.01) == []


async def test_after_a_cancel_nothing_comes_and_what_is_held_can_be_acked(
    opened: Opening,
) -> None:
    async with opened(CONTROL) as broker:
        await broker.declare(CONTROL)
        deliveries = await broker.consume(kitchen_queue("vlatest"), prefetch=1)
        await broker.publish([posted(an_order()), posted(an_order())])
        held = await deliveries.batch(at_most=1, gather_s=0, wait_s=DEADLINE_S)
        await deliveries.cancel()
        await deliveries.ack(held)
        assert await deliveries.batch(at_most=1, gather_s=0, wait_s=0.05) == []
        assert await broker.depth(kitchen_queue("vlatest")) == 1


async def test_a_queue_that_exists_with_other_arguments_is_refused_and_nothing_else_is(
    opened: Opening,
) -> None:
    queue = kitchen_queue("vnext")
    foreign = Topology(queues=(Queue(name=queue),))
    async with opened(CANDIDATE) as broker:
        await broker.declare(foreign)
        with pytest.raises(DeclareRefused) as refused:
            await broker.declare(CANDIDATE)
        assert refused.value.name == queue
        [kept] = await declare_or_keep(broker, CANDIDATE)
        assert kept.name == queue
        order = an_order()
        assert await broker.publish([posted(order, "vnext")]) == [None]
        [got] = await taken(broker, queue, 1)
        assert got.message_id == order.id


async def test_an_exchange_that_somebody_else_is_to_declare_is_only_looked_for(
    opened: Opening,
) -> None:
    observer = topology.stream(TYPES)
    async with opened(CONTROL, observer) as broker:
        with pytest.raises(DeclareRefused, match=topology.ORDERS_COPIES):
            await broker.declare(observer)
        await broker.declare(CONTROL)
        await broker.declare(observer)
        assert await broker.depth(topology.STREAM_QUEUE) == 0


async def test_a_queue_is_unbound_and_deleted_and_what_does_not_exist_is_no_error(
    opened: Opening,
) -> None:
    queue = kitchen_queue("vnext")
    binding = topology.dark_binding("vnext")
    async with opened(CANDIDATE) as broker:
        await broker.unbind([binding])
        assert await broker.delete_queue(queue, only_if_empty=False)
        await broker.declare(CANDIDATE)
        await broker.publish([posted(an_order(), "vnext")])
        await broker.unbind([binding, binding])
        await broker.publish([posted(an_order(), "vnext")])
        assert await broker.depth(queue) == 1
        assert not await broker.delete_queue(queue, only_if_empty=True)
        assert await broker.has_queue(queue)
        assert await broker.delete_queue(queue, only_if_empty=False)
        assert not await broker.has_queue(queue)


async def test_what_waits_in_a_queue_is_purged_and_counted(opened: Opening) -> None:
    queue = kitchen_queue("vnext")
    async with opened(CANDIDATE) as broker:
        await broker.declare(CANDIDATE)
        await broker.publish([posted(an_order(), "vnext") for _ in range(3)])
        assert await broker.purge_queue(queue) == 3
        assert await broker.purge_queue(queue) == 0
        with pytest.raises(DeclareRefused, match=r"kitchen\.nobody"):
            await broker.purge_queue(kitchen_queue("nobody"))
        assert await broker.depth(queue) == 0


async def test_a_quorum_queue_too_is_deleted_only_if_it_is_empty(opened: Opening) -> None:
    kept = Queue(name="kept", arguments={"x-queue-type": "quorum"})
    binding = Binding(source=topology.ORDERS_DEAD, destination="kept", routing_key="kept")
    async with opened(CONTROL) as broker:
        await broker.declare(CONTROL + Topology(queues=(kept,), bindings=(binding,)))
        message = Outgoing(exchange=topology.ORDERS_DEAD, routing_key="kept", body=b"{}")
        assert await broker.publish([message]) == [None]
        assert not await broker.delete_queue("kept", only_if_empty=True)
        await taken(broker, "kept", 1)
        assert await broker.depth("kept") == 0
        assert await broker.delete_queue("kept", only_if_empty=True)
        assert not await broker.has_queue("kept")


async def test_an_order_that_finds_no_queue_of_its_control_is_kept(opened: Opening) -> None:
    async with opened(CANDIDATE) as broker:
        await broker.declare(CANDIDATE)
        await broker.delete_queue(kitchen_queue("vlatest"), only_if_empty=False)
        order = an_order()
        assert await broker.publish([posted(order, "vnext")]) == [None]
        [kept] = await taken(broker, topology.UNROUTED_QUEUE, 1)
        assert (kept.message_id, kept.routing_key) == (order.id, "vlatest")
        assert await broker.depth(kitchen_queue("vnext")) == 1


async def test_a_queue_that_does_not_stand_is_a_lost_broker(opened: Opening) -> None:
    async with opened() as broker:
        for ask in (
            lambda: broker.depth(kitchen_queue("vnobody")),
            lambda: broker.consume(kitchen_queue("vnobody"), prefetch=1),
        ):
            asking: Callable[[], Awaitable[object]] = ask
            with pytest.raises(BrokerLost):
                await asking()


async def test_whether_a_queue_exists_can_be_asked_and_the_session_goes_on(
    opened: Opening,
) -> None:
    async with opened(CONTROL) as broker:
        await broker.declare(CONTROL)
        assert await broker.has_queue(kitchen_queue("vlatest"))
        assert not await broker.has_queue(kitchen_queue("vnobody"))
        assert not await broker.has_queue(kitchen_queue("vnobody"))
        assert await broker.publish([posted(an_order())]) == [None]
        assert len(await taken(broker, kitchen_queue("vlatest"), 1)) == 1


@pytest.mark.broker
async def test_declarations_and_queue_lengths_leave_no_objects_in_a_long_session(
    amqp_url: str,
) -> None:
    async def ask() -> int:
        for _ in range(40):
            await broker.depth(kitchen_queue("vlatest"))
            await broker.declare(CONTROL)
            await broker.has_queue(kitchen_queue("vnobody"))
            with suppress(BrokerLost):
                await broker.depth(kitchen_queue("vnobody"))
        gc.collect()
        return len(gc.get_objects())

    async with fresh_rabbit(amqp_url, CONTROL) as broker:
        await broker.declare(CONTROL)
        await ask()
        before = await ask()
        assert await ask() - before < 120


async def test_in_memory_what_was_not_acked_comes_again_after_a_loss() -> None:
    broker = MemoryBroker()
    await broker.declare(CONTROL)
    order = an_order()
    await broker.publish([posted(order)])
    deliveries = await broker.consume(kitchen_queue("vlatest"), prefetch=5)
    [first] = await deliveries.batch(at_most=5, gather_s=0, wait_s=1)
    waiting = asyncio.create_task(deliveries.batch(at_most=5, gather_s=0, wait_s=60))
    await asyncio.sleep(0)
    broker.lose("pulled the plug")
    with pytest.raises(BrokerLost, match="plug"):
        await waiting
    with pytest.raises(BrokerLost):
        await deliveries.ack([first])
    [failure] = await broker.publish([posted(order)])
    assert isinstance(failure, PublishFailed)

    broker.restore()
    [again] = await taken(broker, kitchen_queue("vlatest"), 1)
    assert again.message_id == first.message_id
    assert again.redelivered


@pytest.mark.broker
@pytest.mark.parametrize("first", [0, 1])
async def test_of_several_nodes_the_first_that_answers_is_used(amqp_url: str, first: int) -> None:
    (closed,) = free_ports(1)
    nodes = f"amqp://guest:guest@{LOOPBACK}:{closed}/, {amqp_url}"
    assert hosts_of(nodes) == [f"amqp://guest:guest@{LOOPBACK}:{closed}/", amqp_url]
    async with connect(nodes, "test", first=first) as broker:
        assert not await broker.has_queue(kitchen_queue("vnobody"))


async def test_where_no_node_answers_the_broker_is_lost() -> None:
    one, two = free_ports(2)
    with pytest.raises(BrokerLost):
        async with connect(f"amqp://{LOOPBACK}:{one},amqp://{LOOPBACK}:{two}", "test"):
            raise AssertionError("nobody listens there")


async def test_each_new_session_begins_with_the_next_node(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    shutdown = Shutdown()

    @asynccontextmanager
    async def refuses(urls: str, name: str, *, first: int = 0) -> AsyncIterator[Broker]:
        begun.append(first)
        if len(begun) == 3:
            shutdown.request()
        if begun:
            raise BrokerLost("takes connections and nothing else")
        yield MemoryBroker()

    monkeypatch.setattr(client, "connect", refuses)
    monkeypatch.setattr(client, "RECONNECT_S", (0.0, 0.0))
    await client.keep_connected(
        url="amqp://one,amqp://two", name="test", shutdown=shutdown, session=_unreached
    )
    assert begun == [0, 1, 2]


async def _unreached(_: Broker) -> None:
    raise AssertionError("there is no session")


@pytest.mark.broker
async def test_a_queue_that_is_deleted_ends_its_deliveries(amqp_url: str) -> None:
    async with fresh_rabbit(amqp_url, CONTROL) as broker:
        await broker.declare(CONTROL)
        deliveries = await broker.consume(kitchen_queue("vlatest"), prefetch=1)
        waiting = asyncio.create_task(deliveries.batch(at_most=1, gather_s=0, wait_s=60))
        channel = await broker._consuming.channel()
        await channel.queue_delete(kitchen_queue("vlatest"))
        with pytest.raises(BrokerLost, match="went away"):
            await asyncio.wait_for(waiting, DEADLINE_S)


@pytest.mark.broker
async def test_a_lost_queue_is_logged_as_that_and_not_as_a_missing_broker(
    amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    shutdown = Shutdown()

    async def session(broker: Broker) -> None:
        await broker.declare(CONTROL)
        deliveries = await broker.consume(kitchen_queue("vlatest"), prefetch=1)
        await broker.delete_queue(kitchen_queue("vlatest"), only_if_empty=False)
        await deliveries.batch(at_most=1, gather_s=0, wait_s=DEADLINE_S)

    def on_state(is_connected: bool) -> None:
        if not is_connected:
            shutdown.request()

    await client.keep_connected(
        url=amqp_url, name="test", shutdown=shutdown, session=session, on_state=on_state
    )
    said = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert said == ["the session with the broker ended: the queue kitchen.vlatest went away"]


@pytest.mark.broker
async def test_unacknowledged_messages_are_redelivered_and_marked_as_such(amqp_url: str) -> None:
    async with fresh_rabbit(amqp_url, CONTROL) as broker:
        await broker.declare(CONTROL)
        order = an_order()
        await broker.publish([posted(order)])
        async with connect(amqp_url, "test, for a while") as brief:
            deliveries = await brief.consume(kitchen_queue("vlatest"), prefetch=1)
            [first] = await deliveries.batch(at_most=1, gather_s=0, wait_s=DEADLINE_S)
        assert not first.redelivered
        with pytest.raises(BrokerLost):
            await deliveries.ack([first])
        with pytest.raises(BrokerLost):
            await deliveries.batch(at_most=1, gather_s=0, wait_s=60)
        [again] = await taken(broker, kitchen_queue("vlatest"), 1)
        assert again.redelivered
        assert (again.message_id, again.headers) == (order.id, first.headers)


@pytest.mark.broker
async def test_an_observer_without_deliveries_for_long_stays_active(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "QUIET_S", 0.01)
    whole = CONTROL + topology.stream(TYPES)
    async with fresh_rabbit(amqp_url, whole) as broker:
        await broker.declare(whole)
        first, second = [
            await broker.consume(topology.STREAM_QUEUE, prefetch=10, single_active=True)
            for _ in range(2)
        ]
        for _ in range(5):
            assert await first.batch(at_most=1, gather_s=0, wait_s=0.02) == []
        await broker.publish([posted(an_order())])
        assert await second.batch(at_most=1, gather_s=0, wait_s=0.02) == []
        assert len(await first.batch(at_most=1, gather_s=0, wait_s=DEADLINE_S)) == 1


@pytest.mark.broker
@pytest.mark.parametrize("single_active", [False, True])
async def test_a_consumer_that_the_broker_forgot_consumes_again(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch, single_active: bool
) -> None:
    monkeypatch.setattr(consumer, "QUIET_S", 0.1)
    async with fresh_rabbit(amqp_url, CONTROL) as broker:
        await broker.declare(CONTROL)
        deliveries = await broker.consume(
            kitchen_queue("vlatest"), prefetch=1, single_active=single_active
        )
        await deliveries._channel.basic_cancel(str(deliveries._consumer_tag))
        assert await broker.publish([posted(an_order())]) == [None]
        async with asyncio.timeout(DEADLINE_S):
            while not (batch := await deliveries.batch(at_most=1, gather_s=0, wait_s=0.05)):
                pass
        await deliveries.ack(batch)
