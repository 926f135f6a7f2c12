"""Messages are published in order, deleted once confirmed, and wait for as long as they must."""

from __future__ import annotations

import re
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from kitchen_worker.amqp.broker import Broker, BrokerLost, Outgoing, PublishFailed
from kitchen_worker.amqp.tests.making import topology_of
from kitchen_worker.amqp.tests.waiting import fresh_rabbit, taken
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import ORDER_PLACED, utc_now
from kitchen_worker.contract.topology import QueueTypes, kitchen_queue
from kitchen_worker.testing import MemoryBroker
from restaurant import outbox
from restaurant.models import Order, OutboxMessage
from restaurant.outbox import BATCH, BUSY_S, IDLE_S, Outbox, SequenceNumbers, backlog, sent_since
from restaurant.queues import Queues
from restaurant.tests.making import a_launch, end_launch, publish, run, some_orders, start_launch

pytestmark = pytest.mark.django_db

TYPES = QueueTypes()
WHOLE = topology_of("vnext", "vlatest-b")
Opening = Callable[[], AbstractAsyncContextManager[Broker]]


class Picky(MemoryBroker):
    """A broker that refuses the orders it was told to refuse."""

    def __init__(self, refused: Sequence[Order]) -> None:
        super().__init__()
        self.refused = {str(order.uuid) for order in refused}

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """See Broker.publish."""
        outcomes: list[PublishFailed | None] = []
        for message in messages:
            if message.message_id in self.refused:
                outcomes.append(PublishFailed("refused"))
            else:
                outcomes += await super().publish([message])
        return outcomes


@pytest.fixture(params=["memory", pytest.param("rabbit", marks=pytest.mark.broker)])
def opened(request: pytest.FixtureRequest) -> Opening:
    if request.param == "memory":
        return lambda: nullcontext(MemoryBroker())
    url = request.getfixturevalue("amqp_url")

    @asynccontextmanager
    async def fresh() -> Any:
        async with fresh_rabbit(url, WHOLE, topology.stream(TYPES)) as broker:
            yield broker

    return fresh


def _unsent() -> int:
    return OutboxMessage.objects.count()


def test_every_message_reaches_the_control_and_the_sampled_ones_the_dark_versions(
    opened: Opening,
) -> None:
    launch = a_launch(candidate="100", baseline="0")
    orders = some_orders(5)

    async def play() -> None:
        async with opened() as broker:
            box = Outbox(Queues(TYPES))
            await box.queues.check(broker)
            await box.queues.check_dark(broker)
            assert await publish(box, broker) == BUSY_S
            for version in ("vlatest", "vnext"):
                got = await taken(broker, kitchen_queue(version), 5)
                assert [one.message_id for one in got] == [str(order.uuid) for order in orders]
                headers = {"launch": str(launch.pk), "dark.vnext": "1"}
                assert all(one.headers.items() > headers.items() for one in got)
                assert [one.headers["seq"] for one in got] == ["1", "2", "3", "4", "5"]
            assert await broker.depth(kitchen_queue("vlatest-b")) == 0
            assert await publish(box, broker) == IDLE_S

    run(play)
    assert _unsent() == 0


def test_a_message_is_what_the_contract_says() -> None:
    a_launch(candidate="100", baseline="0")
    [order] = some_orders(note="no onions")
    broker = MemoryBroker()
    run(lambda: publish(Outbox(Queues(TYPES)), broker))
    [message] = broker.published
    assert (message.exchange, message.routing_key) == ("orders", "vlatest")
    assert (message.type, message.message_id) == (ORDER_PLACED, str(order.uuid))
    assert message.mandatory
    assert message.persistent
    assert message.body == bytes(Order.objects.get().body)


def test_an_order_without_a_launch_goes_to_the_control_with_no_header_of_a_launch() -> None:
    some_orders()
    broker = MemoryBroker()
    run(lambda: publish(Outbox(Queues(TYPES)), broker))
    [message] = broker.published
    assert set(message.headers) == {"sent_at", "relay", "seq"}
    assert len(broker.bodies(kitchen_queue("vlatest"))) == 1


def test_an_order_carries_its_publishing_time_in_utc() -> None:
    some_orders()
    broker = MemoryBroker()
    before = utc_now()
    run(lambda: publish(Outbox(Queues(TYPES)), broker))
    [message] = broker.published
    written = message.headers["sent_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", written)
    assert before <= datetime.fromisoformat(written) <= utc_now()


def test_the_numbers_of_a_relay_go_on_in_its_next_session_and_start_at_1_in_another_relay() -> None:
    numbers, other = SequenceNumbers(), SequenceNumbers()
    broker = MemoryBroker()
    for session in (numbers, numbers, other):
        some_orders(2)
        box = Outbox(Queues(TYPES), numbers=session)
        run(partial(publish, box, broker))
    first, second = dict.fromkeys(relay for relay, _ in _numbered(broker))
    assert _numbered(broker) == [
        *[(first, seq) for seq in (1, 2, 3, 4)],
        *[(second, seq) for seq in (1, 2)],
    ]


def test_each_launch_is_numbered_by_itself_under_an_id_of_its_own() -> None:
    outside = some_orders(1)
    launch = a_launch()
    inside = some_orders(2)
    end_launch(launch)
    start_launch("second", "vlatest", [])
    last = some_orders(1)
    broker, numbers = Picky(inside[1:]), SequenceNumbers()
    run(lambda: publish(Outbox(Queues(TYPES), numbers=numbers), broker))
    broker.refused.clear()
    run(lambda: publish(Outbox(Queues(TYPES), numbers=numbers), broker))
    expected = [(outside[0], 1), (inside[0], 1), (last[0], 1), (inside[1], 2)]
    assert [(one.message_id, int(one.headers["seq"])) for one in broker.published] == [
        (str(order.uuid), seq) for order, seq in expected
    ]
    relays: dict[Any, set[str]] = {}
    for one in broker.published:
        relays.setdefault(one.headers.get("launch"), set()).add(one.headers["relay"])
    assert len(relays) == 3
    assert len(set.union(*relays.values())) == 3


def test_a_relay_keeps_the_numbers_of_so_many_launches_and_no_more() -> None:
    numbers = SequenceNumbers()
    first = numbers.take("0")
    assert numbers.take("0") == (first.relay, 2)
    others = [numbers.take(str(launch)) for launch in range(1, outbox.LAUNCHES + 1)]
    numbers.release([first, others[-1]])
    assert numbers.take(str(outbox.LAUNCHES)) == others[-1]
    begun = numbers.take("0")
    assert begun.seq == 1
    assert begun.relay != first.relay


def test_the_number_of_a_message_that_was_not_confirmed_goes_to_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(outbox, "monotonic", lambda: now)
    orders = some_orders(3)
    broker = Picky(orders[1:2])
    box = Outbox(Queues(TYPES))
    run(lambda: publish(box, broker))
    [behind] = some_orders()
    broker.refused.add(str(behind.uuid))
    run(lambda: publish(box, broker))
    now += outbox.RETRY_S
    broker.refused.clear()
    run(lambda: publish(box, broker))
    published = [(one.message_id, one.headers["seq"]) for one in broker.published]
    assert published == [
        (str(orders[0].uuid), "1"),
        (str(orders[2].uuid), "3"),
        (str(orders[1].uuid), "2"),
        (str(behind.uuid), "4"),
    ]


def test_the_numbers_of_a_batch_that_was_cut_off_go_to_the_next_one() -> None:
    class Cut(MemoryBroker):
        async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
            raise CancelledError

    some_orders(2)
    broker, numbers = MemoryBroker(), SequenceNumbers()
    with pytest.raises(CancelledError):
        run(lambda: publish(Outbox(Queues(TYPES), numbers=numbers), Cut()))
    run(lambda: publish(Outbox(Queues(TYPES), numbers=numbers), broker))
    assert [seq for _, seq in _numbered(broker)] == [1, 2]


def _numbered(broker: MemoryBroker) -> list[tuple[str, int]]:
    """The relay and the number of each message on ``orders``."""
    return [(one.headers["relay"], int(one.headers["seq"])) for one in broker.published]


def test_a_backlog_is_published_oldest_first_in_bounded_batches() -> None:
    orders = some_orders(BATCH + 3)
    broker = MemoryBroker()
    box = Outbox(Queues(TYPES))
    assert run(lambda: publish(box, broker)) == 0
    assert len(broker.published) == BATCH
    assert run(lambda: publish(box, broker)) == BUSY_S
    posted = [message.message_id for message in broker.published]
    assert posted == [str(order.uuid) for order in orders]


def test_messages_wait_while_the_broker_is_away() -> None:
    some_orders(3)
    broker = MemoryBroker()
    box = Outbox(Queues(TYPES))
    run(lambda: box.queues.check(broker))
    broker.lose()
    with pytest.raises(BrokerLost):
        run(lambda: publish(Outbox(Queues(TYPES)), broker))
    assert run(lambda: publish(box, broker)) == IDLE_S
    assert _unsent() == 3
    broker.restore()
    run(lambda: publish(Outbox(Queues(TYPES)), broker))
    assert _unsent() == 0


def test_what_was_sent_in_a_launch_since_an_order_is_counted_to_a_bound() -> None:
    launch = a_launch()
    first, *later = some_orders(5)
    Order.objects.update(launch=launch, sent_at=None)
    assert sent_since(launch.id, first.pk, at_most=10) == (0, None)
    Order.objects.update(sent_at=utc_now())
    Order.objects.filter(pk=later[0].pk).update(launch=None)
    assert sent_since(launch.id, first.pk, at_most=10) == (3, later[1].placed_at)
    assert sent_since(launch.id, first.pk, at_most=2).orders == 1
    assert sent_since(launch.id, later[-1].pk, at_most=10).orders == 0


def test_the_backlog_is_counted_to_a_bound_and_has_its_age() -> None:
    assert backlog(at_most=10) == (0, None)
    first, *_ = some_orders(1) + some_orders(3)
    assert backlog(at_most=10) == (4, first.placed_at)
    assert backlog(at_most=2) == (2, first.placed_at)
    run(lambda: publish(Outbox(Queues(TYPES)), MemoryBroker()))
    assert backlog(at_most=10) == (0, None)
    assert not Order.objects.filter(sent_at=None).exists()


def test_a_message_that_is_refused_stays_and_the_ones_behind_it_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(outbox, "monotonic", lambda: now)
    refused = some_orders(BATCH)
    behind = some_orders(2)
    broker = Picky(refused)
    box = Outbox(Queues(TYPES))
    run(lambda: publish(box, broker))
    assert _unsent() == BATCH + 2
    run(lambda: publish(box, broker))
    assert [one.message_id for one in broker.published] == [str(one.uuid) for one in behind]
    assert _unsent() == BATCH
    run(lambda: publish(box, broker))
    assert _unsent() == BATCH
    broker.refused.clear()
    now += outbox.RETRY_S
    run(lambda: publish(box, broker))
    assert _unsent() == 0


def test_messages_are_not_published_twice_once_marked() -> None:
    some_orders(2)
    broker = MemoryBroker()
    box = Outbox(Queues(TYPES))
    for _ in range(3):
        run(lambda: publish(box, broker))
    assert len(broker.published) == 2


def test_a_version_that_joins_gets_its_queue_before_its_first_order() -> None:
    end_launch(a_launch())
    broker = MemoryBroker()
    box = Outbox(Queues(TYPES))
    run(lambda: box.queues.check(broker))
    assert kitchen_queue("vnext") not in broker.queues
    launch = start_launch("second", "vlatest", [])
    launch.dark_versions.create(version="vother", role="candidate", percent=100)
    some_orders()
    run(lambda: publish(box, broker))
    assert len(broker.bodies(kitchen_queue("vother"))) == 1


def test_a_queue_that_was_deleted_is_declared_again() -> None:
    some_orders()
    broker = MemoryBroker()
    box = Outbox(Queues(TYPES))
    run(lambda: box.queues.check(broker))
    broker.queues.clear()
    broker._bindings.clear()
    run(lambda: publish(box, broker))
    assert _unsent() == 1
    box._retry_at = 0.0
    run(lambda: publish(box, broker))
    assert _unsent() == 0
    assert len(broker.bodies(kitchen_queue("vlatest"))) == 1


def test_a_session_prepares_the_queues_of_the_open_launch() -> None:
    a_launch(candidate="0", baseline="0")
    broker = MemoryBroker()
    run(lambda: Queues(TYPES).check(broker))
    run(lambda: Queues(TYPES).check_dark(broker))
    wanted = {kitchen_queue(name) for name in ("vlatest", "vnext", "vlatest-b")}
    assert wanted < set(broker.queues)


def test_a_session_whose_broker_refuses_several_batches_in_a_row_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(outbox, "monotonic", lambda: now)
    broker = Picky(some_orders(2))
    box = Outbox(Queues(TYPES))
    for _ in range(outbox.REFUSED_IN_A_ROW - 1):
        assert run(lambda: publish(box, broker)) == IDLE_S
        now += outbox.RETRY_S
    with pytest.raises(BrokerLost, match="rejects every order"):
        run(lambda: publish(box, broker))
