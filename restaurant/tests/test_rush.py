"""A rush is the same for the same seed, and has the unusual orders that kitchens stumble on."""

from __future__ import annotations

import os
import signal
import threading
from io import StringIO
from itertools import islice
from time import monotonic
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from restaurant import pacing
from restaurant.answers import record
from restaurant.menu import MENU
from restaurant.models import Order, OutboxMessage
from restaurant.orders import place_orders
from restaurant.pacing import Due, RushResult, at_rate, count_states, place, wait_for_answers
from restaurant.pricing import OrderRequest, lines_from_menu
from restaurant.rush import rush
from restaurant.tests.making import an_event, some_orders

MANY = 20_000


def _share(orders: list[OrderRequest], lines: Any) -> float:
    return sum(1 for order in orders if lines(order)) / len(orders)


def _portions(order: OrderRequest) -> int:
    return sum(line.quantity for line in order.lines)


def test_the_same_seed_gives_the_same_orders() -> None:
    assert list(islice(rush(7), 500)) == list(islice(rush(7), 500))
    assert list(islice(rush(7), 500)) != list(islice(rush(8), 500))


def test_a_rush_has_its_share_of_unusual_orders() -> None:
    orders = list(islice(rush(1), MANY))
    assert all(1 <= len(order.lines) <= 6 for order in orders)
    assert 0.007 < _share(orders, lambda o: max(x.quantity for x in o.lines) > 20) < 0.013
    assert 0.007 < _share(orders, lambda o: _portions(o) > 30 and len(o.lines) > 1) < 0.013
    assert 0.05 < _share(orders, lambda o: len(o.lines) >= 5 and o.note) < 0.07
    assert 0.17 < _share(orders, lambda o: o.note) < 0.23
    assert _share(orders, lambda o: _portions(o) <= 8) > 0.85
    ordered = {line.name for order in orders for line in order.lines}
    assert ordered == {item.name for item in MENU}


def test_no_order_takes_one_cook_longer_than_200_minutes() -> None:
    minutes = [
        sum(line.quantity * line.preparation_time for line in order.lines)
        for order in islice(rush(2), MANY)
    ]
    assert max(minutes) * 10 / 9 <= 200


def _rush(*arguments: str) -> str:
    out = StringIO()
    call_command("rush", "--wait", "0", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_a_rush_is_placed_and_summed_up() -> None:
    said = _rush("--orders", "450", "--rate", "100000", "--seed", "3")
    assert said.startswith("placed 450 orders in ")
    assert "answered by the control 0, failed 0, still waiting 450" in said
    assert Order.objects.count() == OutboxMessage.objects.count() == 450


@pytest.mark.django_db
def test_a_rush_that_waits_for_answers_reports_orders_without_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("rush", "--orders", "3", "--wait", "0.1")
    said = "3 orders have no answer 0.1 s after the last one was placed. None is lost"
    assert said in capsys.readouterr().err
    call_command("rush", "--orders", "3", "--wait", "0")
    assert capsys.readouterr().err.count("no answer") == 0


@pytest.mark.django_db
def test_a_rush_of_none_is_a_rush() -> None:
    assert "placed 0 orders" in _rush("--orders", "0")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--orders", "-1"],
        ["--rate", "0"],
        ["--rate", "inf"],
        ["--rate", "nan"],
        ["--speed", "2"],
        ["--skip-bad"],
        ["--replay", "x.jsonl", "--orders", "3"],
        ["--replay", "/nowhere/x.jsonl"],
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        _rush(*arguments)


@pytest.mark.django_db
def test_orders_are_placed_no_sooner_than_they_are_due() -> None:
    begun = monotonic()
    said = _rush("--orders", "11", "--rate", "50")
    assert monotonic() - begun >= 10 / 50
    assert "placed 11 orders" in said


@pytest.mark.django_db
def test_what_is_overdue_is_placed_in_bulk_and_in_bounded_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []

    def placing(requests: list[OrderRequest]) -> list[Order]:
        sizes.append(len(requests))
        return place_orders(requests)

    monkeypatch.setattr(pacing, "place_orders", placing)
    placed = RushResult()
    due = at_rate(rush(1), rate=1e6, orders=pacing.BATCH * 2 + 1)
    place(due, placed=placed, stop=threading.Event(), on_placed=lambda count: None)
    assert sum(sizes) == placed.orders == pacing.BATCH * 2 + 1
    assert max(sizes) == pacing.BATCH


@pytest.mark.django_db
def test_an_interrupted_rush_ends_with_its_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(requests: list[OrderRequest]) -> list[Order]:
        orders = place_orders(requests)
        os.kill(os.getpid(), signal.SIGINT)
        return orders

    monkeypatch.setattr(pacing, "place_orders", interrupted)
    before = signal.getsignal(signal.SIGINT)
    said = _rush("--orders", "1000", "--rate", "0.5")
    assert "placed 1 orders" in said
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.django_db
def test_a_signal_never_waits_for_the_event_that_the_rush_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setters: list[int] = []

    class Noted(threading.Event):
        def set(self) -> None:
            setters.append(threading.get_ident())
            super().set()

    def interrupted(requests: list[OrderRequest]) -> list[Order]:
        os.kill(os.getpid(), signal.SIGTERM)
        return place_orders(requests)

    monkeypatch.setattr(threading, "Event", Noted)
    monkeypatch.setattr(pacing, "place_orders", interrupted)
    assert "placed 1 orders" in _rush("--orders", "1000", "--rate", "0.5")
    assert setters
    assert threading.get_ident() not in setters


@pytest.mark.django_db
def test_the_summary_counts_the_orders_of_this_rush_alone() -> None:
    placed = RushResult()
    for turn in range(3):
        some_orders(2)
        placed.add(some_orders(3) if turn else some_orders(1))
    assert len(placed.stretches) == 3
    assert placed.orders == 7
    assert count_states(placed) == {"placed": 7}


@pytest.mark.django_db
def test_waiting_ends_when_all_is_answered_or_on_a_stop() -> None:
    placed = RushResult()
    orders = some_orders(2)
    placed.add(orders)
    begun = monotonic()
    wait_for_answers(placed, seconds=0.3, stop=threading.Event())
    assert monotonic() - begun >= 0.3
    record([an_event(order.uuid) for order in orders])
    wait_for_answers(placed, seconds=3600, stop=threading.Event())
    assert count_states(placed) == {"ready": 2}


@pytest.mark.django_db
def test_a_stopped_rush_places_nothing_more() -> None:
    stop = threading.Event()
    stop.set()
    placed = RushResult()
    due = [Due(0.0, OrderRequest(lines_from_menu({"burger": 1})))]
    place(due, placed=placed, stop=stop, on_placed=lambda count: None)
    assert placed.orders == 0
