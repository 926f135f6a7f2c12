"""The page of evidence: every order accounted for, dark versions dark, and what would have been."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from dashboard.fold.records import Loss
from dashboard.ingest.recorder import Recorder
from dashboard.ingest.tests.test_recorder import DEADLINE, SOON, an_end, an_order
from dashboard.models import DeadLetter, DeadLetterTally, LostOrder, Participant
from dashboard.tests.factories import START, a_launch
from dashboard.tests.factories import an_order as a_placed_order
from dashboard.tests.test_discrepancy_pages import shown
from kitchen_worker.contract.messages import TIMED_OUT, EventKind, Failure
from restaurant.models import Launch, Order
from restaurant.tests.making import all_statements

pytestmark = pytest.mark.django_db

LATER = START + timedelta(minutes=5)


@pytest.fixture(autouse=True)
def _public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


def page_of(launch: Launch) -> str:
    return f"/dashboard/launches/{launch.pk}/evidence/"


def ids(number: int) -> list[str]:
    return [str(UUID(int=n + 1)) for n in range(number)]


def a_hung_crashing_and_flooded_launch() -> Launch:
    """Eight orders of vnext: handled, failed, timed out twice, missing, dropped, refused, late."""
    launch = a_launch()
    recorder = Recorder.take_over()
    orders = [an_order(launch, one) for one in ids(8)]
    failed: dict[str, Any] = {"kind": EventKind.FAILED, "result": None}
    cut_off = Failure(type=TIMED_OUT, message="10 s")
    recorder.record(
        orders,
        [
            *(an_end(launch, one, "vlatest", handling_ms=100.0) for one in orders),
            an_end(launch, orders[0], handling_ms=400.0),
            an_end(launch, orders[1], **failed),
            an_end(launch, orders[2], **{**failed, "error": cut_off}),
            an_end(launch, orders[3], kind=EventKind.RECEIVED),
        ],
        SOON,
    )
    recorder.lose({(ids(8)[5], "vnext"): Loss.DROPPED}, SOON)
    recorder.sweep(LATER, DEADLINE)
    recorder.lose({(ids(8)[6], "vnext"): Loss.REFUSED}, LATER)
    recorder.record([], [an_end(launch, orders[7], handling_ms=90.0)], LATER)
    recorder.record([an_order(launch, str(uuid4()))], [], LATER)
    return launch


ACCOUNT = {
    "handled": 2, "failed": 1, "timed_out": 2, "missing": 1, "dropped": 1, "refused": 1,
    "in_work": 1,
}  # fmt: skip


def test_every_order_is_at_one_place_and_the_sum_is_the_sample(client: Client) -> None:
    launch = a_hung_crashing_and_flooded_launch()
    vnext = Participant.objects.get(launch=launch.pk, version="vnext")
    assert vnext.account == ACCOUNT
    assert vnext.sampled == sum(ACCOUNT.values()) == 9
    page = shown(client, page_of(launch))
    assert "The numbers of each version add up to its sample." in page
    for place, number in ACCOUNT.items():
        assert f"{number} orders {place.replace('_', ' ')} of vnext" in page


@pytest.mark.parametrize("place", ACCOUNT)
def test_each_number_leads_to_its_orders(client: Client, place: str) -> None:
    launch = a_hung_crashing_and_flooded_launch()
    page = shown(client, f"{page_of(launch)}?version=vnext&place={place}")
    found = re.search(r'class="found">(.*?)</section>', page, re.DOTALL)
    assert found is not None
    assert found[1].count("<li>") == ACCOUNT[place]


def test_numbers_that_do_not_add_up_are_said_to(client: Client) -> None:
    launch = a_hung_crashing_and_flooded_launch()
    Participant.objects.filter(version="vnext").update(sampled=10)
    assert "The numbers do not add up to the sample." in shown(client, page_of(launch))


def test_what_was_lost_before_its_order_came_counts_when_it_comes() -> None:
    launch = a_launch()
    recorder = Recorder.take_over()
    order = an_order(launch)
    recorder.lose({(order.record.order_id, "vnext"): Loss.DROPPED}, SOON)
    recorder.lose({(order.record.order_id, "vnext"): Loss.DROPPED}, SOON)
    recorder.record([order], [], SOON)
    assert Participant.objects.get(version="vnext").account == {"dropped": 1}
    assert Participant.objects.get(version="vlatest").account == {"in_work": 1}
    assert LostOrder.objects.count() == 1


def an_answered_order(launch: Launch) -> Order:
    order = a_placed_order(launch)
    order.control, order.answered_at = "vlatest", LATER
    order.save()
    return order


def test_dark_answers_at_the_answers_queue_are_counted_and_named(client: Client) -> None:
    launch = a_hung_crashing_and_flooded_launch()
    assert "Nothing to check yet." in shown(client, page_of(launch))
    answered = an_answered_order(launch)
    page = shown(client, page_of(launch))
    assert '<b class="num">0</b> answers of vnext, vlatest-b reached a customer.' in page
    assert "Of the newest 1 answered orders" in page
    DeadLetter.objects.create(
        queue="restaurant.answers", version="vnext", order="x", seen_at=LATER,
        reason="vlatest is to answer the order x, not vnext",
    )  # fmt: skip
    DeadLetterTally.objects.create(queue="restaurant.answers", count=1)
    page = shown(client, page_of(launch))
    assert '<b class="num">1</b> answers of dark versions came there' in page
    assert "vlatest is to answer the order x, not vnext" in page
    Order.objects.filter(pk=answered.pk).update(control="vnext")
    page = shown(client, page_of(launch))
    assert '<b class="num">1</b> answers of vnext, vlatest-b reached a customer.' in page


def test_what_would_have_happened_is_counted_from_the_pairs(client: Client) -> None:
    launch = a_hung_crashing_and_flooded_launch()
    page = shown(client, page_of(launch))
    found = re.search(r'id="hindsight-1".*?</section>', page, re.DOTALL)
    assert found is not None
    text = re.sub(r"<[^>]+>", "", found[0]).replace("\N{NO-BREAK SPACE}", " ")
    assert "2 orders that vlatest handled" in text
    # 400 against 100 ms, and 90 against 100 ms.
    assert "0.3 s in all over 2 orders that both handled, 145 ms an order" in text
    assert "300 ms slower" in text


def test_the_page_of_a_launch_without_orders_says_so(client: Client) -> None:
    launch = a_launch()
    page = shown(client, page_of(launch))
    assert "No report has come yet." in page
    assert "No order has been counted yet." in page
    assert client.get(f"/dashboard/launches/{uuid4()}/evidence/").status_code == 404


def test_more_orders_take_no_more_statements(client: Client) -> None:
    launch = a_hung_crashing_and_flooded_launch()

    def statements() -> int:
        with all_statements() as captured:
            client.get(f"{page_of(launch)}?version=vnext&place=missing")
        return len(captured)

    client.get(page_of(launch))
    before = statements()
    more = [an_order(launch, str(uuid4())) for _ in range(50)]
    Recorder.take_over().record(more, [an_end(launch, one) for one in more], LATER)
    assert statements() == before
