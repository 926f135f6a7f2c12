"""Dead letters: each is counted once, however many there are, and some are kept to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from msgspec.structs import replace
from pytest_django import Settings

from dashboard.fold.records import Loss
from dashboard.ingest import dead_letters
from dashboard.ingest.dead_letters import KEPT_DROPS, losses_in, record_dead_letters
from dashboard.models import DeadLetter, DeadLetterTally, ObservedOrder
from dashboard.tests.factories import START, a_launch, an_order
from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.contract.topology import REASON_HEADER
from restaurant.tests.making import all_statements

pytestmark = pytest.mark.django_db

NONE: Mapping[str, str] = {}
ORDER = str(UUID(int=1))
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
        with all_statements() as captured:
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


def _named(
    queue: str,
    body: bytes = b"",
    *,
    message_id: str | None = None,
    headers: Mapping[str, str] = NONE,
) -> Any:
    delivery = Delivery(
        tag=1,
        queue="dashboard.dead",
        routing_key=queue,
        body=body,
        message_id=message_id,
        headers=headers,
    )
    record_dead_letters([delivery], uuid4(), START)
    letter = DeadLetter.objects.first()
    assert letter is not None
    return letter.version, letter.order


def test_a_dead_letter_keeps_the_version_and_the_order_that_it_names() -> None:
    order, live = str(uuid4()), str(uuid4())
    event = b'{"version": "vnext", "result": {"salt": NaN}, "order_id": "%s"}' % order.encode()
    assert _named("dashboard.ingest.observer", event) == ("vnext", order)
    assert _named("restaurant.answers", b"[%s]" % event) == ("", "")
    assert _named("kitchen.vnext", message_id=order) == ("vnext", order)
    again = {"replay": live}
    assert _named("kitchen.vnext", message_id=order, headers=again) == ("vnext", live)
    assert _named("kitchen.vnext", b'{"id": "%s"}' % order.encode()) == ("vnext", order)
    assert _named("kitchen.vnext", message_id="1") == ("vnext", "")
    assert _named("kitchen." + "v" * 60) == ("v" * 40, "")


def test_an_orders_page_shows_its_dead_letters_and_leads_staff_to_them(
    client: Client, admin_client: Client, settings: Settings
) -> None:
    settings.BOARD_PUBLIC = True
    order = an_order(a_launch())
    assert "Dead letters" not in client.get(f"/dashboard/orders/{order.uuid}/").content.decode()
    _named(
        "kitchen.vnext", message_id=str(order.uuid), headers={REASON_HEADER: "not <b>an</b> order"}
    )
    letter = DeadLetter.objects.get()

    page = client.get(f"/dashboard/orders/{order.uuid}/").content.decode()
    for_staff = admin_client.get(f"/dashboard/orders/{order.uuid}/").content.decode()

    assert "<code>kitchen.vnext</code>" in page
    assert "not &lt;b&gt;an&lt;/b&gt; order" in page
    link = f'href="/admin/dashboard/deadletter/{letter.pk}/change/"'
    assert (link in page, link in for_staff) == (False, True)
    assert admin_client.get(f"/admin/dashboard/deadletter/{letter.pk}/change/").status_code == 200
    listed = admin_client.get("/admin/dashboard/deadletter/", {"q": str(order.uuid)})
    assert f'href="/dashboard/orders/{order.uuid}/"' in listed.content.decode()
    number = ObservedOrder.objects.get().number
    for asked in (f"#{number}", str(number), str(order.uuid).upper()):
        found = admin_client.get("/admin/dashboard/deadletter/", {"q": asked}).content.decode()
        assert f'href="/dashboard/orders/{order.uuid}/"' in found
    assert (
        "0 dead letters"
        in admin_client.get("/admin/dashboard/deadletter/", {"q": str(uuid4())}).content.decode()
    )


@pytest.mark.parametrize(
    ("queue", "version", "headers", "loss"),
    [
        ("kitchen.vnext", "", DROPPED, Loss.DROPPED),
        ("kitchen.vnext", "", {"x-death": [{"reason": "maxlen", "queue": "q"}]}, Loss.DROPPED),
        ("kitchen.vnext", "", {"x-death": [{"reason": "rejected", "queue": "q"}]}, Loss.REFUSED),
        ("kitchen.vnext", "", {"x-reason": "no JSON"}, Loss.REFUSED),
        # Its refused report; what the stream's own bound drops is no fault of vnext.
        ("dashboard.stream", "vnext", {"x-reason": "too large"}, Loss.REFUSED),
        ("dashboard.stream", "vnext", DROPPED, None),
        # Copies for a replay, and answers, which the site refuses.
        ("kitchen.vnext", "", {**DROPPED, "replay": ORDER}, None),
        ("restaurant.answers", "vnext", {"x-reason": "no such order"}, None),
    ],
)
def test_which_dead_letters_say_that_a_version_lost_an_order(
    queue: str, version: str, headers: dict[str, object], loss: Loss | None
) -> None:
    body = f'{{"version": "{version}", "order_id": "{ORDER}"}}' if version else "{}"
    letter = Delivery(
        tag=1,
        queue="dashboard.dead",
        routing_key=queue,
        message_id=ORDER,
        body=body.encode(),
        headers=headers,
    )
    assert losses_in([letter]) == ({(ORDER, "vnext"): loss} if loss else {})


def test_a_reason_counts_more_than_a_bound() -> None:
    letters = dropped(1, **{"x-reason": "no JSON"}), dropped(1)
    both = [replace(one, message_id=ORDER) for one in letters]
    for deliveries in (both, both[::-1]):
        assert losses_in(deliveries) == {(ORDER, "vnext"): Loss.REFUSED}
