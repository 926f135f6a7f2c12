"""P3: how long after an order was posted both versions are on the board in a browser."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

from playwright.sync_api import Browser

from bench.browser import ShownOrder, chromium, open_board
from bench.figures import Figure, at_most
from bench.rig import CONTROL, Product, Rig

#: Orders that are posted one by one and timed; the rest of the load is a rush.
_POSTED_PER_S = 15.0
_WARM_UP = 300
_SETTLE_S = 1.0
_PLACED = "select uuid, id from restaurant_order where id > ?"

#: When an order was due to be posted, and its id.
_Posted = tuple[float, str]


def measure(rig: Rig) -> Iterator[Figure]:
    """Post orders while a rush runs, at half of what each keeps up with (of two products, the one
    that keeps up with less)."""
    seen: dict[int, dict[str, list[float]]] = {50: defaultdict(list), 99: defaultdict(list)}
    with rig.products(MINUTE_MS="1") as products, chromium() as browser:
        rates = []
        for product in products:
            product.open(CONTROL, "vnext")
            product.drain(_WARM_UP)
            with open_board(browser, product.url):
                seconds = 2.0 if rig.quick else 6.0
                rates.append(product.sustained(seconds=seconds, orders=400 if rig.quick else 2500))
        rate = min(rates) / 2
        each_s = 3.0 if rig.quick else 12.0
        for _ in range(2):
            for product in products:
                waits_ms = _waits_ms(product, browser, rate=rate, seconds=each_s)
                cuts = statistics.quantiles(waits_ms, n=100, method="inclusive")
                for percent, values in seen.items():
                    values[product.label].append(cuts[percent - 1])
    for percent, limit in ((50, 150), (99, 400)):
        yield Figure(
            goal="P3",
            what=f"order posted to both versions on the board, p{percent}",
            unit="ms",
            seen=seen[percent],
            bound=at_most(limit, absolute=True),
            note=f"Of {round(each_s * _POSTED_PER_S)} orders a round, posted beside a rush;"
            f" {rate:.0f} orders/s in all.",
        )


def _waits_ms(product: Product, browser: Browser, *, rate: float, seconds: float) -> list[float]:
    with open_board(browser, product.url, watch_rows=True) as page:
        last = product.newest()
        product.rush(rate - _POSTED_PER_S, seconds + 3, seed=3)
        page.wait_for_timeout(_SETTLE_S * 1000)
        posted = _post_evenly(product, seconds)
        page.wait_for_timeout(2000)
        product.stop_rush()
        numbers = {str(UUID(str(uuid))): number for uuid, number in product.query(_PLACED, last)}
        shown = ShownOrder(page, numbers)
    waits_ms = []
    for due_at, order in posted:
        shown_at = shown.at(numbers[order])
        if shown_at is None:
            raise RuntimeError(f"order {numbers[order]} never came to the board")
        waits_ms.append((shown_at - due_at) * 1000)
    return waits_ms


def _post_evenly(product: Product, seconds: float) -> list[_Posted]:
    """Post orders at their own pace; each is late from when it was due, however long the site took
    for those before it."""
    began, posted = time.time(), []
    for number in range(round(seconds * _POSTED_PER_S)):
        due_at = began + number / _POSTED_PER_S
        time.sleep(max(0.0, due_at - time.time()))
        posted.append((due_at, product.post_order(["burger", "fries"])["id"]))
    return posted
