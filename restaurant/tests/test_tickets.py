"""A kitchen's answer is read whatever its shape, and shown in words, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies

from restaurant.models import Order, OrderState
from restaurant.tickets import Answer, MadeLine, StepProgress, Ticket, read_answer

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def _ticket(state: OrderState, *, age: timedelta = timedelta(0), **fields: Any) -> Ticket:
    return Ticket(Order(state=state, placed_at=NOW - age, **fields), NOW)


def test_an_answer_as_our_kitchens_give_it_is_understood_to_the_end() -> None:
    answer = read_answer(
        {
            "lines": [{"name": "veggie-burger", "quantity": 2, "station": "grill", "minutes": 12}],
            "note": "",
            "total_price": "8.20",
            "estimated_minutes": 12,
            "actual_minutes": 13,
            "cook": "Esi",
        },
        {"veggie-burger": "Veggie burger"},
    )

    assert answer.lines == (MadeLine("Veggie burger", "2", "grill", "12"),)
    assert (answer.cook, answer.actual_minutes, answer.total_price) == ("Esi", "13", "8.20")


@pytest.mark.parametrize(
    "odd",
    [
        None,
        {"oven": {"temperature": 220}},
        {"cook": ["Esi", "Bo"]},
        {"cook": '{"name": "Esi"}'},
        {"cook": "[" * 5000},
        {"actual_minutes": None},
        {"actual_minutes": True},
        {"actual_minutes": float("nan")},
        {"lines": ["fries", {"quantity": 2}, {"name": ["burger"]}]},
        {"lines": {"name": "burger"}},
        ["burger"],
        "done",
        0,
        False,
    ],
    ids=lambda odd: str(odd)[:40],
)
def test_what_a_customer_cannot_read_is_left_out(odd: object) -> None:
    assert read_answer(odd).is_empty


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({"oven": {"temperature": 220}, "cook": "Esi"}, Answer(cook="Esi")),
        ({"note": "x" * 480}, Answer(note="x" * 480)),
        ({"note": "x" * 5000}, Answer(note="x" * 1999 + "…")),
        ({"note": "[no onions]"}, Answer(note="[no onions]")),
        (
            {"lines": [{"name": "burger", "extras": ["cheese"]}, "fries"]},
            Answer(lines=(MadeLine("burger", "", "", ""),)),
        ),
        ({"lines": [{"name": "soda"}] * 201}, Answer(lines=(MadeLine("soda", "", "", ""),) * 200)),
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_it_can_read_is_shown_whatever_is_beside_it(answer: Any, shown: Answer) -> None:
    assert read_answer(answer) == shown


@given(strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.floats() | strategies.integers(),
    lambda inner: strategies.lists(inner, max_size=3)
    | strategies.dictionaries(
        strategies.sampled_from(["cook", "note", "lines", "name", "error", "message", "oven"]),
        inner,
        max_size=5,
    ),
))  # fmt: skip
def test_a_ticket_never_shows_json(answer: Any) -> None:
    ticket = _ticket(OrderState.READY, answer=answer)
    shown = f"{ticket.reason}{read_answer(answer).cook}{read_answer(answer).note}"

    assert not set(shown) & set('{}[]"')


def test_numbers_are_shown_without_needless_decimals() -> None:
    answer = read_answer({"actual_minutes": 13.0, "estimated_minutes": 12.5})

    assert (answer.actual_minutes, answer.estimated_minutes) == ("13", "12.5")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": {"type": "OvenError", "message": "too hot"}}, "OvenError: too hot"),
        ({"type": "OvenError"}, "OvenError"),
        ({"error": "too hot"}, "too hot"),
        ("too hot", "too hot"),
        (None, ""),
        ({}, ""),
        ({"error": None}, ""),
        ({"error": [1]}, ""),
        ({"error": {"type": "OvenError", "message": '{"code": 7}'}}, "OvenError"),
        ({"error": {"type": "OvenError", "message": "x" * 4000}}, f"OvenError: {'x' * 1999}…"),
    ],
)
def test_the_reason_of_a_failure_is_shown_in_the_kitchens_words(answer: Any, reason: str) -> None:
    assert _ticket(OrderState.FAILED, answer=answer).reason == reason


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        (OrderState.PLACED, [StepProgress.NOW, StepProgress.AHEAD, StepProgress.AHEAD]),
        (OrderState.IN_KITCHEN, [StepProgress.DONE, StepProgress.NOW, StepProgress.AHEAD]),
        (OrderState.READY, [StepProgress.DONE, StepProgress.DONE, StepProgress.DONE]),
        (OrderState.FAILED, [StepProgress.DONE, StepProgress.DONE, StepProgress.FAILED]),
    ],
)
def test_the_steps_follow_the_state(state: OrderState, steps: list[StepProgress]) -> None:
    assert [step.progress for step in _ticket(state).steps] == steps


def test_the_last_step_shows_how_long_it_took() -> None:
    ticket = _ticket(OrderState.READY, answered_at=NOW + timedelta(seconds=1.5))

    assert ticket.steps[2].after_s == 1.5


@pytest.mark.parametrize(
    ("age", "wait_ms"),
    [(0, 400), (9, 400), (10, 1_000), (60, 5_000), (600, 30_000), (86_400, 30_000)],
)
def test_a_page_asks_less_often_the_longer_it_has_waited(age: int, wait_ms: int) -> None:
    ticket = _ticket(OrderState.PLACED, age=timedelta(seconds=age))

    assert ticket.poll_ms == wait_ms
    assert ticket.retry_s * 1000 > wait_ms


def test_only_an_order_that_waits_is_late() -> None:
    age = timedelta(minutes=1)

    assert _ticket(OrderState.PLACED, age=age).phase == "placed-late"
    assert _ticket(OrderState.IN_KITCHEN).phase == "in_kitchen"
    assert _ticket(OrderState.READY, age=age).phase == "ready"
