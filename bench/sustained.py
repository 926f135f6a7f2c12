"""How many orders a second a stack keeps up with while they are placed beside it.

A backlog that is let go says what the product does when nobody places orders: more than this, since
whoever places them uses the same processors.
"""

from __future__ import annotations

import signal
import time

from local.stack import Stack, until

_NEWEST = "select coalesce(max(id), 0) from restaurant_order"
#: Orders whose end each version has told.
_ENDED = "select min(handled + failed) from dashboard_tally"
_SETTLE_S = 2.0
_DRAIN_S = 120.0


def sustained(stack: Stack, *, drained: float, seconds: float) -> float:
    """Orders a second that all versions have ended while a rush placed ``drained`` a second, which
    is what a backlog drains with and so too many. The backlog is gone afterwards."""
    orders = str(round(drained * (seconds + 2 * _SETTLE_S)))
    words = ("--orders", orders, "--rate", f"{drained:.2f}", "--wait", "0", "--seed", "5")
    placed = stack.number(_NEWEST)
    stack.start("rush", options=words)
    until(lambda: stack.number(_NEWEST) > placed, "the rush is on its way")
    time.sleep(_SETTLE_S)
    before, began = stack.number(_ENDED), time.monotonic()
    time.sleep(seconds)
    rate = (stack.number(_ENDED) - before) / (time.monotonic() - began)
    # Told to stop it would first count what became of all that it has placed.
    stack.stop("rush", with_signal=signal.SIGKILL)
    until(
        lambda: stack.number(_ENDED) >= stack.number(_NEWEST),
        "what the rush has placed is ended",
        within_s=_DRAIN_S,
    )
    return rate
