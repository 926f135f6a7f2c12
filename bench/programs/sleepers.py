"""Kitchens that sleep, so that they use no processor."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from typing import Any

from kitchen_worker.contract.messages import PlacedOrder
from kitchen_worker.kitchens import vlatest

COOKING_S = 0.025


async def good(order: PlacedOrder) -> dict[str, Any]:
    await asyncio.sleep(COOKING_S)
    return vlatest.cook(order, random.Random(order.number))


async def slow(order: PlacedOrder) -> dict[str, Any]:
    await asyncio.sleep(9 * COOKING_S)
    return await good(order)


async def hung(order: PlacedOrder) -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


async def crashing(order: PlacedOrder) -> dict[str, Any]:
    """Kills its process, which a supervisor restarts after a second."""
    again = 'sleep 1; exec "$0" "$@"'
    os.execvp("sh", ["sh", "-c", again, sys.executable, *sys.orig_argv[1:]])
