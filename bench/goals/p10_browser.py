"""P10: the board in a browser at a thousand orders a second: it stays smooth, cool and small.

The observer is told what kitchens would tell of a thousand orders a second; how many it recorded
is in the notes. Half an hour of it is `make soak`'s.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.browser import chromium, open_board
from bench.figures import AtMost, Figure, Samples
from bench.page_load import PageLoad
from bench.rig import Rig
from bench.trickle import prepared, trickling
from local.stack import Stack

SECONDS = 60

_PER_S = 1000.0
#: Until the page has painted its first frames and charts.
_SETTLE_S = 2.0
_ENDED = "select min(handled + failed) from dashboard_tally"


def measure(rig: Rig) -> Iterator[Figure]:
    """One page, watched while the orders pass by."""
    seconds = 3.0 if rig.quick else 20.0
    with rig.stack(DEADLINE_SECONDS="3600") as stack:
        stack.start("site", "observer")
        messages = prepared(stack, round(_PER_S * (seconds + _SETTLE_S)), rate=_PER_S, seed=10)
        with (
            chromium() as browser,
            open_board(browser, stack.url) as page,
            trickling(stack.amqp_url, messages, seconds=seconds + _SETTLE_S),
        ):
            page.wait_for_timeout(_SETTLE_S * 1000)
            load = PageLoad.of(browser, page)
            yield from _figures(stack, load, seconds=seconds)


def _figures(stack: Stack, load: PageLoad, *, seconds: float) -> Iterator[Figure]:
    load.paints_ms()
    first_mb = load.heap_mb()
    load.long_tasks_ms()  # what collecting garbage took is not the page's
    before, used, began = _ended(stack), load.used_s(), time.monotonic()
    load.page.wait_for_timeout(seconds * 1000)
    took_s = time.monotonic() - began
    cores = (load.used_s() - used) / took_s
    tasks, paints = load.long_tasks_ms(), sorted(load.paints_ms())
    rate = (_ended(stack) - before) / took_s
    middle, longest = (paints[len(paints) // 2], paints[-1]) if paints else (0.0, 0.0)
    note = (
        f"{rate:.0f} orders/s recorded; {len(paints) / took_s:.1f} frames/s painted, each in"
        f" {middle:.1f} ms, {longest:.1f} ms at most"
    )
    yield Figure(
        goal="P10",
        what="longest task of the page; shorter than 50 ms if there is none",
        unit="ms",
        product=Samples((max(tasks, default=longest),)),
        bound=AtMost(50, of="product"),
        note=f"{note}; {len(tasks)} long tasks",
    )
    yield Figure(
        goal="P10",
        what="processor time of the page's renderer",
        unit="cores",
        product=Samples((cores,)),
        bound=AtMost(0.25, of="product"),
        note=note,
    )
    yield Figure(
        goal="P10",
        what=f"memory of the page after {took_s:.0f} s",
        unit="MB",
        floor=Samples((first_mb,)),
        floor_is="the same page at the start",
        product=Samples((load.heap_mb(),)),
        bound=AtMost(1.1),
    )


def _ended(stack: Stack) -> int:
    return stack.number(_ENDED)
