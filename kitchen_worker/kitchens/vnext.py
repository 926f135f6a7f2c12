"""Tomorrow's kitchen: its stations work in parallel, and it has bugs, as new versions do.

Each fault is named and on its own line, and is fixed if its name is in ``mend``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Any

from kitchen_worker.contract.messages import PlacedOrder
from kitchen_worker.kitchens import vlatest
from kitchen_worker.kitchens.stations import station_of

#: Portions of one item that the ticket printer can count.
_MOST_OF_ONE = 20
#: Lines of an order that fit on a ticket with its note.
_LINES_WITH_A_NOTE = 4
#: Total portions beyond which the stations slow each other down.
_CROWDED_BEYOND = 30


class Fault(StrEnum):
    """The faults of vnext."""

    FLOAT_PRICES = "float-prices"
    LOST_NOTE = "lost-note"
    TOO_MANY = "too-many"
    CROWDED = "crowded"


class TooManyPortions(ValueError):
    """Raised when an order has more of one item than vnext can count."""


def cook(
    order: PlacedOrder, rng: random.Random, mend: AbstractSet[Fault] = frozenset()
) -> dict[str, Any]:
    """Handle an order on all stations at once."""
    if Fault.TOO_MANY not in mend:
        _count(order)
    result = vlatest.cook(order, rng)
    result["actual_minutes"] = _minutes_side_by_side(order)
    if Fault.FLOAT_PRICES not in mend:
        result["total_price"] = _added_as_floats(order)
    if Fault.LOST_NOTE not in mend and len(order.items) > _LINES_WITH_A_NOTE:
        result["note"] = ""
    if Fault.CROWDED not in mend and _portions(order) > _CROWDED_BEYOND:
        result["actual_minutes"] = (
            1
            + vlatest.minutes_one_by_one(result["estimated_minutes"])
            * _portions(order)
            // _CROWDED_BEYOND
        )
    return result


def _minutes_side_by_side(order: PlacedOrder) -> int:
    """The minutes of the busiest station."""
    stations: Counter[str] = Counter()
    for item in order.items:
        stations[station_of(item.name)] += item.quantity * item.preparation_time
    return max(stations.values())


def _count(order: PlacedOrder) -> None:
    portions: Counter[str] = Counter()
    for item in order.items:
        portions[item.name] += item.quantity
    name, most = portions.most_common(1)[0]
    if most > _MOST_OF_ONE:
        raise TooManyPortions(f"{most} of {name!r}: the ticket takes at most {_MOST_OF_ONE}")


def _portions(order: PlacedOrder) -> int:
    return sum(item.quantity for item in order.items)


def _added_as_floats(order: PlacedOrder) -> str:
    cents = sum(item.quantity * float(item.unit_price) * 100 for item in order.items)
    return f"{int(cents) // 100}.{int(cents) % 100:02}"
