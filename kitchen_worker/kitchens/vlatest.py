"""The kitchen of today: one cook makes one line of the order after another."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from kitchen_worker.contract.messages import Order
from kitchen_worker.kitchens.stations import station_of

COOKS = ("Aroha", "Bruno", "Chiara", "Dmitri", "Esi", "Farid", "Greta", "Hiro")

_CENT = Decimal("0.01")


def cook(order: Order, rng: random.Random) -> dict[str, Any]:
    """Make an order, line after line; what is made is put on the pass one piece at a time."""
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


def lines(order: Order) -> list[dict[str, Any]]:
    """What was made of each line: how many, where, and in how many minutes of work."""
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
    """How long it takes when nothing is done beside anything else."""
    return round(minutes * 10 / 9)
