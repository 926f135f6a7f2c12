"""The bill: lines as a customer reads them, each with what it costs altogether."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


class Portions(Protocol):
    """So many portions of one thing, ordered or about to be."""

    @property
    def title(self) -> str:
        """What it is called on the menu."""
        ...

    @property
    def quantity(self) -> int:
        """How many."""
        ...

    @property
    def unit_price(self) -> Decimal:
        """The price of one."""
        ...


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line of a bill; ``price`` is for all its portions."""

    title: str
    quantity: int
    price: Decimal


def bill(lines: Iterable[Portions]) -> list[BillLine]:
    """Price every line."""
    return [BillLine(line.title, line.quantity, line.unit_price * line.quantity) for line in lines]
