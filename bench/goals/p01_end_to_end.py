"""P1: the whole product end to end at the most that it can do, beside the batched skeleton.

A backlog of orders, with the board open in a browser: at kitchens that cook as fast as they can
(1 ms a minute) and at their default pace, at which they hold orders for long enough to matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from playwright.sync_api import Browser

from bench.browser import chromium, open_board
from bench.figures import FLOOR, Figure, at_least
from bench.floors import skeleton_rate
from bench.rig import CONTROL, Drained, Engine, Product, Rig, us_per_order

_WARM_UP = 300
_LIMITS: Mapping[Engine, float] = {"sqlite": 0.6, "postgresql": 0.5}
#: Milliseconds a minute of cooking.
_PACES = (1, 10)


def measure(rig: Rig) -> Iterator[Figure]:
    with chromium() as browser:
        for engine in _LIMITS:
            with rig.products(engine=engine) as products:
                for product in products:
                    product.open()
                    product.start("relay")
                for pace in _PACES:
                    yield _case(rig, browser, products, engine, pace)


def _case(rig: Rig, browser: Browser, products: list[Product], engine: Engine, pace: int) -> Figure:
    orders, floor_orders = (600, 1500) if rig.quick else (3000, 5000)
    seen: dict[str, list[float]] = defaultdict(list)
    drained: dict[str, list[Drained]] = defaultdict(list)
    url = rig.amqp_url()
    for product in products:
        product.start(CONTROL, "vnext", options=("--minute-ms", str(pace)))
        product.drain(_WARM_UP)
    for number in rig.rounds:
        seen[FLOOR].append(skeleton_rate(url, floor_orders))
        for product in products if number % 2 else reversed(products):
            with open_board(browser, product.url):
                drained[product.label].append(product.drain(orders))
            seen[product.label].append(drained[product.label][-1].rate)
    for product in products:
        product.stop(CONTROL, "vnext")
    return Figure(
        goal="P1",
        what=f"whole product end to end on {engine}, {pace} ms a minute of cooking",
        unit="orders/s",
        seen=seen,
        floor_is="the batched aio-pika skeleton (bench/floors.py)",
        bound=at_least(_LIMITS[engine]),
        note=f"Backlogs of {orders} orders, a board open in a browser. A kitchen cooks 100 orders"
        " at once: at 10 ms a minute its cooking is the limit, and only a pair compares.",
        costs={label: us_per_order(rounds) for label, rounds in drained.items()},
    )
