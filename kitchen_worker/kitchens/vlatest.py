"""Today's kitchen: one cook makes the lines of an order one after another."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from kitchen_worker.contract.messages import PlacedOrder
from kitchen_worker.kitchens.stations import station_of

COOKS = ("Aroha", "Bruno", "Chiara", "Dmitri", "Esi", "Farid", "Greta", "Hiro")

_CENT = Decimal("0.01")


def cook(order: PlacedOrder, rng: random.Random) -> dict[str, Any]:
    """Handle an order, one portion at a time."""
    minutes = sum(item.quantity * item.preparation_time for item in order.items)
    price = sum((item.quantity * item.unit_price for item in order.items), Decimal())
    return {
        "lines": lines(order),
        "note": order.note,
        "total_price": str(price.quantize(_CENT)),
        "estimated_minutes": minutes,
        "actual_minutes": minutes_one_by_one(minutes),
        "cook": rng.choice(COOKS),
    }


def lines(order: PlacedOrder) -> list[dict[str, Any]]:
    """What was made for each line: quantity, station, and minutes of work."""
    return [
        {
            "name": item.name,
            "quantity": item.quantity,
            "station": station_of(item.name).value,
            "minutes": item.quantity * item.preparation_time,
        }
        for item in order.items
    ]


def minutes_one_by_one(minutes: int) -> int:
    """How long the work takes without any parallelism."""
    return round(minutes * 10 / 9)
