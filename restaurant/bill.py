"""The bill: lines as a customer reads them, with the price of each line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


class Portions(Protocol):
    """An ordered or chosen quantity of one item."""

    @property
    def title(self) -> str: ...

    @property
    def quantity(self) -> int: ...

    @property
    def unit_price(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line of a bill; ``price`` is for all its portions."""

    title: str
    quantity: int
    price: Decimal


def bill(lines: Iterable[Portions]) -> list[BillLine]:
    return [BillLine(line.title, line.quantity, line.unit_price * line.quantity) for line in lines]
