"""P1: the whole product end to end at the most that it can do, beside the batched skeleton."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import Browser

from bench.browser import chromium, open_board
from bench.busy import Busy, said
from bench.figures import AtLeast, Figure, Samples
from bench.letters import Letters
from bench.rig import CONTROL, Rig
from bench.servers import Engine
from bench.skeleton import orders_per_s

SECONDS = 150

#: Seconds; the orders of the later rounds wait long for their letters to go.
_NO_DEADLINE = "3600"
_WARM_UP = 300


def measure(rig: Rig) -> Iterator[Figure]:
    """Let letters go that wait in the outbox; the board is open in a browser."""
    half_s = rig.left() / 2
    with chromium() as browser:
        yield _on("sqlite", rig, browser, until_left=half_s)
        yield _on("postgresql", rig, browser, until_left=0.0)


def _on(engine: Engine, rig: Rig, browser: Browser, *, until_left: float) -> Figure:
    orders, floor_orders = (600, 1500) if rig.quick else (3000, 5000)
    floors, products, costs = list[float](), list[float](), list[dict[str, float]]()
    with rig.stack(database=engine, MINUTE_MS="1", DEADLINE_SECONDS=_NO_DEADLINE) as stack:
        stack.start("site", "observer", "vnext")
        letters = Letters(stack)
        waiting = letters.place(_WARM_UP + orders * rig.rounds)
        with open_board(browser, stack.url):
            stack.start("relay", CONTROL)
            letters.let_go(waiting[:_WARM_UP])
            round_s = 0.0
            for first in range(_WARM_UP, len(waiting), orders):
                if products and rig.left() - round_s < until_left:
                    break
                began = rig.left()
                floors.append(orders_per_s(rig.amqp_url(), floor_orders))
                busy = Busy(stack)
                products.append(orders / letters.let_go(waiting[first : first + orders]))
                costs.append(busy.us_each(orders))
                round_s = began - rig.left()
    missed = rig.rounds - len(products)
    left_out = f" For want of time, {missed} rounds were left out." if missed else ""
    return Figure(
        goal="P1",
        what=f"whole product end to end on {engine}, board open in a browser",
        unit="orders/s",
        floor=Samples(tuple(floors)),
        floor_is="the batched aio-pika skeleton (bench/floors/skeleton.py)",
        product=Samples(tuple(products)),
        bound=AtLeast(0.6),
        note=f"{said(costs[-1])}.{left_out}",
    )
