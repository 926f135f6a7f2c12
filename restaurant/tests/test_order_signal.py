"""The relay's wait for orders can be cancelled at any moment."""

from __future__ import annotations

import asyncio

import pytest

from restaurant.order_signal import OrderSignal


@pytest.mark.parametrize("steps", range(4))
async def test_a_wait_that_is_cancelled_while_a_signal_comes_is_cancelled(steps: int) -> None:
    placed = OrderSignal()
    waiting = asyncio.create_task(placed.wait(60))
    await asyncio.sleep(0.01)
    placed.send()
    for _ in range(steps):
        await asyncio.sleep(0)
    has_ended = waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled() != has_ended
