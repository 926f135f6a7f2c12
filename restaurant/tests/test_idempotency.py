"""The same key orders once, however often and however simultaneously it is sent."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.test import Client

from restaurant.models import Order, OrderLine, OutboxMessage
from restaurant.orders import MAX_KEY, place_order
from restaurant.pricing import OrderRefused, Refusal, lines_from_menu


@pytest.mark.django_db
def test_the_same_key_and_request_give_the_same_order() -> None:
    first = place_order(lines_from_menu({"burger": 1, "fries": 2}), idempotency_key="k1")
    again = place_order(lines_from_menu({"fries": 2, "burger": 1}), idempotency_key="k1")
    assert again.pk == first.pk
    assert Order.objects.count() == OutboxMessage.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("item", "note"), [("fries", ""), ("burger", "no onions")])
def test_the_same_key_with_another_request_is_a_conflict(item: str, note: str) -> None:
    place_order(lines_from_menu({"burger": 1}), idempotency_key="k1")
    with pytest.raises(OrderRefused) as refused:
        place_order(lines_from_menu({item: 1}), note=note, idempotency_key="k1")
    assert refused.value.problems[0].code == Refusal.CONFLICT
    assert Order.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * (MAX_KEY + 1), "tab\t", "naïve"])
def test_a_key_that_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(OrderRefused) as refused:
        place_order(lines_from_menu({"burger": 1}), idempotency_key=key)
    assert refused.value.problems[0].code == Refusal.WRONG_KEY


@pytest.mark.django_db(transaction=True)
def test_the_same_key_sent_many_times_at_once_places_one_order() -> None:
    senders, rounds = 6, 5
    barrier = threading.Barrier(senders)

    def send(key: str) -> int:
        try:
            barrier.wait(timeout=20)
            return place_order(lines_from_menu({"burger": 1}), idempotency_key=key).pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(senders) as pool:
        for turn in range(rounds):
            numbers = set(pool.map(send, [f"key {turn}"] * senders))
            assert len(numbers) == 1
    assert (
        Order.objects.count()
        == OutboxMessage.objects.count()
        == OrderLine.objects.count()
        == rounds
    )


@pytest.mark.django_db(transaction=True)
def test_different_requests_under_one_key_at_once_leave_one_order_and_conflicts() -> None:
    items = ["burger", "fries", "soda", "sundae"]
    barrier = threading.Barrier(len(items))

    def send(item: str) -> int:
        try:
            barrier.wait(timeout=20)
            return (
                Client(headers={"Idempotency-Key": "one"})
                .post("/orders", {"menuItems": [item]}, content_type="application/json")
                .status_code
            )
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(items)) as pool:
        statuses = sorted(pool.map(send, items))
    assert statuses == [200, 422, 422, 422]
    assert Order.objects.count() == 1
