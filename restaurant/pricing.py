"""Prices a request by the menu, exact to the cent, or refuses it with every reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from restaurant.menu import BY_NAME, MAX_QUANTITY

#: Characters of a client's name for an item that an error message quotes.
MAX_SHOWN = 100
_MAX_PROBLEMS = 20


class Refusal(StrEnum):
    EMPTY = "empty_order"
    UNKNOWN_ITEM = "unknown_item"
    WRONG_QUANTITY = "wrong_quantity"
    TOO_MANY = "too_many"
    WRONG_NOTE = "wrong_note"
    WRONG_KEY = "wrong_idempotency_key"
    CONFLICT = "idempotency_conflict"
    WRONG_LINE = "wrong_line"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class OrderProblem:
    """A problem with an order; ``field`` is an item's name, "note" and the like."""

    code: str
    field: str
    message: str


class OrderRefused(ValueError):
    """Raised when an order can't be placed; holds every problem."""

    def __init__(self, *problems: OrderProblem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A quantity of one item. ``preparation_time`` is in minutes per portion."""

    name: str
    quantity: int
    title: str
    unit_price: Decimal
    preparation_time: int


@dataclass(frozen=True, slots=True)
class OrderRequest:
    lines: tuple[PricedLine, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of an order, and the minutes that the menu promises."""

    total_price: Decimal
    total_prep_time: int


def normalised_name(given: str) -> str:
    """The menu's name of an item, from a client's spelling such as "Veggie burger"."""
    return "-".join(given.lower().split())


def lines_from_menu(quantities: Mapping[str, int]) -> tuple[PricedLine, ...]:
    """Price items by the menu, in the given sequence; a quantity of 0 is left out."""
    problems = [
        problem
        for name, quantity in quantities.items()
        if (problem := _problem_with(name, quantity)) is not None
    ]
    if problems:
        raise OrderRefused(*problems[:_MAX_PROBLEMS])
    lines = tuple(_menu_line(name, count) for name, count in quantities.items() if count > 0)
    if not lines:
        raise OrderRefused(
            OrderProblem(Refusal.EMPTY, "items", "An order needs at least one item.")
        )
    return lines


def quote(lines: Sequence[PricedLine]) -> Quote:
    return Quote(
        total_price=sum((line.unit_price * line.quantity for line in lines), Decimal("0.00")),
        total_prep_time=sum(line.preparation_time * line.quantity for line in lines),
    )


def _problem_with(name: str, quantity: int) -> OrderProblem | None:
    item = BY_NAME.get(name)
    if item is None:
        return OrderProblem(
            Refusal.UNKNOWN_ITEM, name[:MAX_SHOWN], f"{name[:MAX_SHOWN]!r} is not on the menu."
        )
    if quantity < 0:
        return OrderProblem(
            Refusal.WRONG_QUANTITY, name, f"{item.title}: the quantity must be 0 or more."
        )
    if quantity > MAX_QUANTITY:
        message = f"{item.title}: at most {MAX_QUANTITY} in one order."
        return OrderProblem(Refusal.TOO_MANY, name, message)
    return None


def _menu_line(name: str, quantity: int) -> PricedLine:
    item = BY_NAME[name]
    return PricedLine(
        name=name,
        quantity=quantity,
        title=item.title,
        unit_price=item.price,
        preparation_time=item.preparation_time,
    )
