"""What was sent to each dark version is counted once, since its percent last changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal

import pytest
from django.db import connection

from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import QueueTypes
from kitchen_worker.testing import MemoryBroker
from restaurant.launches import add_version, rename_launch, set_percent
from restaurant.models import Launch, Order
from restaurant.outbox import Outbox, mark_sent, unsent
from restaurant.queues import Queues
from restaurant.sent_counts import orders_sent, samples, sent_by_change
from restaurant.tests.making import a_launch, end_launch, messages_of, publish, run, some_orders


def _sent(count: int) -> list[Order]:
    orders = some_orders(count)
    mark_sent(messages_of(orders))
    return orders


def _samples(launch: Launch) -> dict[str, tuple[float, int, int]]:
    return {one.version: (one.share, one.offered, one.sent) for one in samples(launch)}


@pytest.mark.django_db
def test_the_relay_counts_what_it_sent_and_not_what_waits() -> None:
    launch = a_launch(candidate="100", baseline="0")
    some_orders(3)

    async def play() -> None:
        await publish(Outbox(Queues(QueueTypes())), MemoryBroker())

    run(play)
    some_orders(2)
    assert _samples(launch) == {"vnext": (1.0, 3, 3), "vlatest-b": (0.0, 3, 0)}
    assert orders_sent(launch.pk) == 3


@pytest.mark.django_db
def test_counts_begin_again_where_the_percent_of_that_version_changes_and_nowhere_else() -> None:
    launch = a_launch(candidate="100", baseline="0")
    _sent(4)
    rename_launch(launch, "second", author="ada", reason="a typo")
    set_percent(launch, "vnext", Decimal(0), author="ada", reason="slow")
    _sent(3)
    add_version(launch, "vmine", Role.CANDIDATE, Decimal(100), author="ada", reason="mine")
    _sent(2)
    assert _samples(launch) == {
        "vnext": (0.0, 5, 0),
        "vlatest-b": (0.0, 9, 0),
        "vmine": (1.0, 2, 2),
    }
    changes = {one.pk: str(one) for one in launch.changes.all()}
    found = sent_by_change(launch.pk)
    by_change = {(changes[pk], to): orders for (pk, to), orders in found.items()}
    started, _renamed, stopped, added = (text for _, text in sorted(changes.items()))
    assert by_change == {
        (started, ""): 4, (started, "vnext"): 4, (stopped, ""): 3, (added, ""): 2,
        (added, "vmine"): 2,
    }  # fmt: skip
    set_percent(launch, "vnext", Decimal(100), author="ada", reason="mended")
    assert _samples(launch)["vnext"] == (1.0, 0, 0)
    assert orders_sent(launch.pk) == 9


@pytest.mark.django_db
def test_an_order_that_is_sent_after_a_change_counts_under_the_percent_it_was_sampled_by() -> None:
    launch = a_launch(candidate="0", baseline="0")
    before = some_orders(5)
    set_percent(launch, "vnext", Decimal(100), author="ada", reason="on")
    mark_sent(messages_of(before))
    assert _samples(launch)["vnext"] == (1.0, 0, 0)
    _sent(2)
    assert _samples(launch)["vnext"] == (1.0, 2, 2)


@pytest.mark.django_db
def test_a_message_that_is_marked_again_after_a_crash_counts_once() -> None:
    launch = a_launch(candidate="100", baseline="0")
    orders = _sent(3)
    mark_sent(messages_of([*orders, *some_orders(1)]))
    assert _samples(launch)["vnext"] == (1.0, 4, 4)


@pytest.mark.django_db
def test_orders_outside_a_launch_and_of_an_earlier_release_are_in_no_sample() -> None:
    launch = a_launch(candidate="100", baseline="0")
    some_orders(1)
    Order.objects.update(launch_change=0, sample=[])
    mark_sent(unsent())
    end_launch(launch)
    _sent(2)
    assert _samples(launch)["vnext"] == (1.0, 0, 0)
    assert orders_sent(launch.pk) == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_relays_that_mark_the_same_messages_count_each_once() -> None:
    launch = a_launch(candidate="100", baseline="100")
    messages = messages_of(some_orders(200))

    def mark(turn: int) -> None:
        with closing(connection):
            for start in range(0, 200, 20):
                mark_sent(messages[start : start + 20] if turn else messages[start : start + 40])

    with ThreadPoolExecutor(4) as relays:
        list(relays.map(mark, [0, 1, 0, 1]))
    assert _samples(launch) == {"vnext": (1.0, 200, 200), "vlatest-b": (1.0, 200, 200)}
