"""P10: the board in a browser at a thousand orders a second: it stays smooth, cool and small.

The observer gets what kitchens would report of a thousand orders a second; how many it recorded is
in the notes. `make soak` does half an hour of it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from bench.browser import PageLoad, chromium, open_board
from bench.events import publishing, reported
from bench.figures import FLOOR, PRODUCT, Figure, at_most
from bench.rig import Product, Rig

_PER_S = 1000.0
#: Until the page has painted its first frames and charts.
_SETTLE_S = 2.0


def measure(rig: Rig) -> Iterator[Figure]:
    seconds = 3.0 if rig.quick else 20.0
    with rig.product() as product:
        product.open()
        messages = reported(product, round(_PER_S * (seconds + _SETTLE_S)), rate=_PER_S)
        with (
            chromium() as browser,
            open_board(browser, product.url) as page,
            publishing(product, messages, seconds=seconds + _SETTLE_S),
        ):
            page.wait_for_timeout(_SETTLE_S * 1000)
            yield from _figures(product, PageLoad.of(browser, page), seconds=seconds)


def _figures(product: Product, load: PageLoad, *, seconds: float) -> Iterator[Figure]:
    load.drawn_ms()
    first_mb = load.heap_mb()
    before, used, began = product.ended_by_all(), load.used_s(), time.monotonic()
    load.page.wait_for_timeout(seconds * 1000)
    took_s = time.monotonic() - began
    cores = (load.used_s() - used) / took_s
    tasks, drawn = load.long_tasks_ms(), load.drawn_ms() or [0.0]
    rate = (product.ended_by_all() - before) / took_s
    note = (
        f"{rate:.0f} orders/s recorded; {len(drawn) / took_s:.1f} frames/s drawn, each in"
        f" {statistics.median(drawn):.1f} ms, {max(drawn):.1f} ms at most; {len(tasks)} tasks"
        " over 50 ms."
    )
    cases = (
        ("longest task of the page", "ms", {PRODUCT: [max(tasks or drawn)]}, 50),
        ("processor time of the page", "cores", {PRODUCT: [cores]}, 0.25),
    )
    for what, unit, seen, limit in cases:
        bound = at_most(limit, absolute=True)
        yield Figure(goal="P10", what=what, unit=unit, seen=seen, bound=bound, note=note)
    yield Figure(
        goal="P10",
        what=f"memory of the page after {took_s:.0f} s",
        unit="MB",
        seen={FLOOR: [first_mb], PRODUCT: [load.heap_mb()]},
        floor_is="the same page at the start",
        bound=at_most(1.1),
    )
