"""Kitchens whose cooking is a sleep, so that it takes no processor."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from typing import Any

from kitchen_worker.contract.messages import Order
from kitchen_worker.kitchens import vlatest

COOKING_S = 0.025


async def good(order: Order) -> dict[str, Any]:
    """Takes its time, and gives what the live kitchen gives."""
    await asyncio.sleep(COOKING_S)
    return vlatest.cook(order, random.Random(order.number))


async def slow(order: Order) -> dict[str, Any]:
    """Takes ten times as long."""
    await asyncio.sleep(9 * COOKING_S)
    return await good(order)


async def hung(order: Order) -> dict[str, Any]:
    """Takes every order that it can get, and ends none."""
    await asyncio.Event().wait()
    return {}


async def crashing(order: Order) -> dict[str, Any]:
    """Takes its whole process with it, which a supervisor starts again after a second."""
    again = 'sleep 1; exec "$0" "$@"'
    os.execvp("sh", ["sh", "-c", again, sys.executable, *sys.orig_argv[1:]])
