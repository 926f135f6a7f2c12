"""Dead letters: each is counted once, however many there are, and some are kept to be looked at."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from msgspec.structs import replace

from dashboard.models import DeadLetter, DeadLetterTally
from dashboard.observing import dead_letters
from dashboard.observing.dead_letters import KEPT_DROPS, record_dead_letters
from dashboard.tests.factories import START
from kitchen_worker.contract.wire import Delivery

pytestmark = pytest.mark.django_db

DROPPED = {"x-death": [{"reason": "expired", "queue": "kitchen.vnext", "count": 1}]}


def dropped(number: int, **headers: object) -> Delivery:
    """An order that waited too long for vnext."""
    return Delivery(
        tag=number,
        queue="dashboard.dead",
        routing_key="kitchen.vnext",
        message_id=f"order-{number}",
        body=b'{"number": %d}' % number,
        headers={**DROPPED, **headers},
    )


def again(deliveries: list[Delivery]) -> list[Delivery]:
    return [replace(delivery, redelivered=True) for delivery in deliveries]


def counted() -> dict[str, int]:
    return dict(DeadLetterTally.objects.values_list("queue", "count"))


def excerpts() -> list[str]:
    return list(DeadLetter.objects.values_list("excerpt", flat=True))


def test_of_what_an_absent_version_drops_all_are_counted_and_the_newest_kept() -> None:
    for start in range(0, 300, 100):
        orders = [dropped(number) for number in range(start, start + 100)]
        record_dead_letters(orders, uuid4(), START)
    assert counted() == {"kitchen.vnext": 300}
    assert excerpts() == [f'{{"number": {n}}}' for n in range(299, 299 - KEPT_DROPS, -1)]
    assert DeadLetter.objects.filter(reason="dropped: it waited too long").count() == KEPT_DROPS


def test_what_is_dropped_does_not_push_out_what_was_refused_with_a_reason() -> None:
    refused = [dropped(number, **{"x-reason": "no JSON"}) for number in range(50)]
    record_dead_letters(refused, uuid4(), START)
    for start in range(100, 2000, 100):
        record_dead_letters([dropped(start + n) for n in range(100)], uuid4(), START)
    assert DeadLetter.objects.filter(reason="no JSON").count() == 50
    assert counted() == {"kitchen.vnext": 1950}


def test_the_oldest_that_were_refused_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "KEPT", 7)
    for start in (0, 5):
        refused = [dropped(n, **{"x-reason": f"reason {n}"}) for n in range(start, start + 5)]
        record_dead_letters(refused, uuid4(), START)
    assert excerpts() == [f'{{"number": {n}}}' for n in range(9, 2, -1)]
    assert counted() == {"kitchen.vnext": 10}


def test_a_large_batch_takes_as_many_statements_as_a_small_one() -> None:
    def statements(number: int) -> int:
        orders = [dropped(n) for n in range(number)]
        with CaptureQueriesContext(connection) as captured:
            record_dead_letters(orders, uuid4(), START)
        return len(captured)

    record_dead_letters([dropped(n) for n in range(1000)], uuid4(), START)
    assert statements(1000) == statements(KEPT_DROPS) <= 12


def test_a_batch_that_is_tried_again_counts_once() -> None:
    orders, batch = [dropped(number) for number in range(5)], uuid4()
    for _ in range(3):
        record_dead_letters(orders, batch, START)
    assert counted() == {"kitchen.vnext": 5}
    assert len(excerpts()) == 5


@pytest.mark.parametrize("at_once", [1, 2, 5, 8])
def test_what_is_delivered_again_counts_once_however_it_is_split(at_once: int) -> None:
    orders = [dropped(number) for number in (1, 2, 2, 3, 4)]
    record_dead_letters(orders, uuid4(), START)
    come_again = [*again(orders), dropped(2), dropped(5), dropped(6)]
    for start in range(0, len(come_again), at_once):
        record_dead_letters(come_again[start : start + at_once], uuid4(), START)
    assert counted() == {"kitchen.vnext": 8}


def test_what_was_delivered_before_and_not_recorded_counts() -> None:
    record_dead_letters([dropped(1)], uuid4(), START)
    record_dead_letters(again([dropped(2), dropped(3)]), uuid4(), START)
    assert counted() == {"kitchen.vnext": 3}
