"""The menu: items with fixed ids, exact prices and minutes per portion."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from uuid import NAMESPACE_URL, UUID, uuid5

#: Portions of one item that one order may ask for.
MAX_QUANTITY = 50


@dataclass(frozen=True, slots=True)
class MenuItem:
    """``preparation_time`` is in minutes per portion."""

    name: str
    title: str
    preparation_time: int
    price: Decimal
    description: str

    @property
    def id(self) -> UUID:
        """Derived from the name: the same in every process and release."""
        return _id(self.name)


@cache
def _id(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"dark-kitchen:menu:{name}")


MENU: tuple[MenuItem, ...] = (
    MenuItem("burger", "Burger", 5, Decimal("3.50"), "Beef, pickles, house sauce"),
    MenuItem("cheeseburger", "Cheeseburger", 6, Decimal("4.35"), "Beef, cheddar, fried onion"),
    MenuItem("veggie-burger", "Veggie burger", 6, Decimal("4.10"), "Black bean, lime, coriander"),
    MenuItem("fries", "Fries", 2, Decimal("1.50"), "Twice fried, sea salt"),
    MenuItem("onion-rings", "Onion rings", 3, Decimal("2.35"), "Beer batter, paprika"),
    MenuItem("soda", "Soda", 1, Decimal("1.50"), "Cola, lemon or orange"),
    MenuItem("lemonade", "Lemonade", 1, Decimal("1.95"), "Pressed this morning"),
    MenuItem("milkshake", "Milkshake", 3, Decimal("2.80"), "Vanilla, chocolate, strawberry"),
    MenuItem("sundae", "Sundae", 2, Decimal("2.20"), "Caramel, roasted nuts"),
    MenuItem("brownie", "Brownie", 2, Decimal("1.90"), "Warm, dark chocolate"),
)

BY_NAME: dict[str, MenuItem] = {item.name: item for item in MENU}
