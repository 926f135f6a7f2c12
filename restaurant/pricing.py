"""What somebody asks for, priced by the menu to the cent, or refused with every reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from restaurant.menu import BY_NAME, MAX_QUANTITY

#: Characters of a wrong name that a message repeats.
SHOWN = 100
_MAX_PROBLEMS = 20


class Refusal(StrEnum):
    """Why an order is refused."""

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
class Problem:
    """One thing that is wrong with an order: ``field`` is an item's name, "note" and the like."""

    code: str
    field: str
    message: str


class OrderRefused(ValueError):
    """Raised when an order cannot be placed; holds every problem that was found."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Line:
    """So many portions of one thing. ``preparation_time`` is minutes a portion."""

    name: str
    quantity: int
    title: str
    unit_price: Decimal
    preparation_time: int


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What somebody asks for, priced."""

    lines: tuple[Line, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """What an order costs, and the minutes that the menu promises."""

    total_price: Decimal
    total_prep_time: int


def item_name(given: str) -> str:
    """The menu's name for what a person or a client calls an item: "Veggie burger" and the like."""
    return "-".join(given.lower().split())


def lines_from_menu(quantities: Mapping[str, int]) -> tuple[Line, ...]:
    """Price items by the menu, in the order given; none of an item is no line."""
    problems = [
        problem
        for name, quantity in quantities.items()
        if (problem := _problem_with(name, quantity)) is not None
    ]
    if problems:
        raise OrderRefused(*problems[:_MAX_PROBLEMS])
    lines = tuple(_menu_line(name, count) for name, count in quantities.items() if count > 0)
    if not lines:
        raise OrderRefused(Problem(Refusal.EMPTY, "items", "An order needs at least one item."))
    return lines


def quote(lines: Sequence[Line]) -> Quote:
    """Add up prices, exact to the cent, and minutes."""
    return Quote(
        total_price=sum((line.unit_price * line.quantity for line in lines), Decimal("0.00")),
        total_prep_time=sum(line.preparation_time * line.quantity for line in lines),
    )


def _problem_with(name: str, quantity: int) -> Problem | None:
    item = BY_NAME.get(name)
    if item is None:
        return Problem(Refusal.UNKNOWN_ITEM, name[:SHOWN], f"{name[:SHOWN]!r} is not on the menu.")
    if quantity < 0:
        return Problem(Refusal.WRONG_QUANTITY, name, f"{item.title}: fewer than none.")
    if quantity > MAX_QUANTITY:
        message = f"{item.title}: at most {MAX_QUANTITY} in one order."
        return Problem(Refusal.TOO_MANY, name, message)
    return None


def _menu_line(name: str, quantity: int) -> Line:
    item = BY_NAME[name]
    return Line(
        name=name,
        quantity=quantity,
        title=item.title,
        unit_price=item.price,
        preparation_time=item.preparation_time,
    )
