"""User-written kitchens for the process tests; an order's note decides what they do."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

from kitchen_worker.contract.messages import PlacedOrder


def cook(order: PlacedOrder) -> dict[str, int]:
    """Count the portions; end the process, or hang in this thread."""
    if order.note == "end the process":
        os._exit(9)
    if order.note == "hang":
        time.sleep(600)
    return {"portions": sum(item.quantity for item in order.items)}


async def cook_async(order: PlacedOrder) -> dict[str, int]:
    """The same in the event loop; hang in it, block it, or ignore that the work is cancelled."""
    if order.note == "block the loop":
        time.sleep(600)  # noqa: ASYNC251
    while order.note == "ignore cancellation":
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(600)
    await asyncio.sleep(600 if order.note == "hang" else 0)
    return cook(order)
