"""The order form: what a customer chose, field by field, and what is wrong with it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.utils import ErrorList

from restaurant.bill import BillLine, bill
from restaurant.menu import BY_NAME, MAX_QUANTITY, MENU, MenuItem
from restaurant.orders import MAX_KEY, MAX_NOTE
from restaurant.pricing import (
    OrderProblem,
    OrderRefused,
    PricedLine,
    Quote,
    Refusal,
    lines_from_menu,
    quote,
)

_CONFLICT = "This page has already placed a different order. Submit again to place this one too."


def field_of(item_name: str) -> str:
    """The name of an item's form field."""
    return f"quantity-{item_name}"


@dataclass(frozen=True, slots=True)
class Dish:
    """A menu item on the page, with the chosen quantity and its problem."""

    item: MenuItem
    field: str
    quantity: str
    problem: str

    @property
    def most(self) -> int:
        return MAX_QUANTITY


class _NoteField(forms.CharField):
    """A note whose line ends count as one character, as browsers count them."""

    def to_python(self, value: Any) -> str | None:
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if text else text


class OrderForm(forms.Form):
    """A customer's order. The rules are those of ``orders.py``; the form assigns them to fields."""

    note = _NoteField(
        required=False,
        max_length=MAX_NOTE,
        error_messages={"max_length": f"At most {MAX_NOTE} characters; this has %(show_value)s."},
    )
    idempotency_key = forms.CharField(required=False, max_length=MAX_KEY)

    def __init__(self, data: Mapping[str, Any] | None = None, *, may_be_empty: bool = False):
        super().__init__(data)
        self.may_be_empty = may_be_empty
        self.lines: tuple[PricedLine, ...] = ()
        self.key = (data or {}).get("idempotency_key") or _new_key()
        for item in MENU:
            self.fields[field_of(item.name)] = forms.IntegerField(
                required=False, error_messages={"invalid": f"A number from 0 to {MAX_QUANTITY}."}
            )
        self.full_clean()

    def clean(self) -> dict[str, Any]:
        """Price the items; problems go to their fields."""
        super().clean()
        try:
            self.lines = lines_from_menu(
                {item.name: self.cleaned_data.get(field_of(item.name)) or 0 for item in MENU}
            )
        except OrderRefused as refusal:
            self.refuse(refusal)
        return self.cleaned_data

    def refuse(self, refusal: OrderRefused) -> None:
        """Assign every problem to its field, or to the order as a whole."""
        for problem in refusal.problems:
            if problem.code == Refusal.EMPTY and (self.may_be_empty or self._misread_items()):
                continue
            if problem.code == Refusal.CONFLICT:
                self.key = _new_key()
                self.add_error(None, _CONFLICT)
            else:
                self.add_error(_field_for(problem), problem.message)

    @property
    def dishes(self) -> Iterator[Dish]:
        for item in MENU:
            bound = self[field_of(item.name)]
            yield Dish(
                item=item,
                field=bound.name,
                quantity=_shown(bound.value()),
                problem=_first(bound.errors),
            )

    @property
    def bill(self) -> list[BillLine]:
        return bill(self.lines)

    @property
    def quote(self) -> Quote | None:
        """Total and minutes; None while a quantity is wrong."""
        return None if self._misread_items() else quote(self.lines)

    @property
    def note_text(self) -> str:
        return self["note"].value() or ""

    @property
    def note_problem(self) -> str:
        return _first(self["note"].errors)

    @property
    def problem(self) -> str:
        return _first(self.non_field_errors()) or _first(self["idempotency_key"].errors)

    @property
    def max_note(self) -> int:
        return MAX_NOTE

    def _misread_items(self) -> bool:
        return any(field_of(item.name) in self.errors for item in MENU)


def _field_for(problem: OrderProblem) -> str | None:
    if problem.field in BY_NAME:
        return field_of(problem.field)
    return "note" if problem.field == "note" else None


def _first(errors: ErrorList) -> str:
    return str(errors[0]) if errors else ""


def _shown(value: object) -> str:
    """Zero of an item is shown as an empty field."""
    text = "" if value is None else str(value).strip()
    return text.lstrip("0") if text.isdigit() else text


def _new_key() -> str:
    return f"page-{uuid.uuid4()}"
