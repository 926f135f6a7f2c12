"""A kitchen as a user writes one: a callable that takes an order."""

from __future__ import annotations

from typing import Any

from kitchen_worker.contract.messages import Order


async def cook(order: Order) -> dict[str, Any]:
    """Count the portions."""
    return {"portions": sum(item.quantity for item in order.items)}
