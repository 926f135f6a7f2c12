"""P5: the control beside a dark launch at 100 %, with candidates of every kind.

Here all share two or so processors; in earnest the dark side has its own. So the kitchens' cooking
is a sleep, and candidate and observer run at the lowest priority: they get what the control leaves,
and what is measured is what they do to it by way of broker and database. What limits the control is
how many orders it cooks at once. A backlog shows its throughput; orders at less than half of that
show how long a customer waits from placing an order to its answer. On PostgreSQL.
"""

from __future__ import annotations

import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from aio_pika.abc import AbstractChannel

from bench.figures import BEFORE, FLOOR, PRODUCT, Figure, at_least, at_most
from bench.processes import lower
from bench.rig import CONTROL, Product, Rig
from kitchen_worker.contract.topology import ORDERS, kitchen_queue

#: The candidates, as the kitchens of bench/programs/sleepers.py, and what to call them.
_CANDIDATES = {
    "good": "a good candidate",
    "hung": "one that hangs",
    "crashing": "one that crashes",
    "slow": "one ten times slower",
}
#: Those that a quick run has time for.
_QUICK = ("good", "hung")
_NONE = ""
#: Orders that a kitchen cooks at once.
_AT_ONCE = 5
_RATE = 80.0
_COPIES = "bench.copies"

_LAST = (
    "select extract(epoch from max(answered_at))::float8 from restaurant_order"
    " where id between ? and ?"
)
_WAITS = (
    "select extract(epoch from answered_at - placed_at)::float8 * 1000 from restaurant_order"
    " where id between ? and ?"
)
_END = "update restaurant_launch set ended_at = current_timestamp returning id"
_REOPEN = "update restaurant_launch set ended_at = null returning id"
_PERCENT = (
    "update restaurant_darkversion set percent = case version when ? then 100 else 0 end"
    " returning id"
)

#: The control's answers a second, and the 99th percentile of a customer's wait in ms.
_Measured = tuple[float, float]


def measure(rig: Rig) -> Iterator[Figure]:
    """Round after round of no launch and of each candidate, then all figures."""
    names = _QUICK if rig.quick else tuple(_CANDIDATES)
    seen: dict[tuple[str, str], list[_Measured]] = defaultdict(list)
    with rig.products(engine="postgresql", candidates=dict.fromkeys(names, 0)) as products:
        for product in products:
            product.start("observer", "relay")
            _start(product, CONTROL, "good")
            _round(product, names[0], quick=True)
            lower(product.pids()["observer"])
        for _ in rig.rounds:
            for product in products:
                for name in (_NONE, *names):
                    seen[product.label, name].append(_round(product, name, quick=rig.quick))
    for name in names:
        yield from _figures(seen, name)


def _round(product: Product, candidate: str, *, quick: bool) -> _Measured:
    """A backlog and then a stream, beside a candidate or outside of any launch."""
    backlog, seconds = (100, 1.0) if quick else (300, 3.0)
    product.query(_PERCENT, candidate)
    product.query(_REOPEN if candidate else _END)
    with _kitchen(product, candidate) if candidate else _copied_orders(product):
        with product.relay_halted():
            placed = product.place(backlog)
        began = time.time()
        product.wait_for_answers(placed)
        ((last,),) = product.query(_LAST, placed[0], placed[-1])
        first = product.newest() + 1
        product.rush(_RATE, seconds, seed=first)
        product.ended("rush")
        product.wait_for_answers(range(first, product.newest() + 1))
        waits = [ms for (ms,) in product.query(_WAITS, first, product.newest())]
    return backlog / (last - began), statistics.quantiles(waits, n=100, method="inclusive")[98]


def _start(product: Product, version: str, cook: str) -> None:
    words = ("--kitchen", f"sleepers:{cook}", "--concurrency", str(_AT_ONCE))
    product.start(version, options=words)


@contextmanager
def _kitchen(product: Product, candidate: str) -> Iterator[None]:
    """A candidate's kitchen for the time of the block; its queue is empty afterwards, with
    all that the kitchen held."""
    queue = kitchen_queue(candidate)

    async def purge(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue)).purge()

    _start(product, candidate, candidate)
    lower(product.pids()[candidate])
    product.wait_for_reader(queue)
    try:
        yield
    finally:
        product.stop(candidate, with_signal=signal.SIGKILL)
        product.wait_for_reader(queue, gone=True)
        product.on_channel(purge)


@contextmanager
def _copied_orders(product: Product) -> Iterator[None]:
    """A queue with a copy of every order that nobody reads: what the broker does for one more."""

    async def begin(channel: AbstractChannel) -> None:
        await (await channel.declare_queue(_COPIES, durable=True)).bind(ORDERS)

    async def end(channel: AbstractChannel) -> None:
        await channel.queue_delete(_COPIES)

    product.on_channel(begin)
    try:
        yield
    finally:
        product.on_channel(end)


def _figures(seen: dict[tuple[str, str], list[_Measured]], name: str) -> Iterator[Figure]:
    """Beside the same without a launch, and beside the other checkout's."""
    keys = {FLOOR: (PRODUCT, _NONE), BEFORE: (BEFORE, name), PRODUCT: (PRODUCT, name)}
    for number, (what, unit, bound) in enumerate(
        (
            ("control's throughput", "answers/s", at_least(0.97)),
            ("customer's wait, p99,", "ms", at_most(1.1)),
        )
    ):
        yield Figure(
            goal="P5",
            what=f"{what} beside {_CANDIDATES[name]} at 100 %",
            unit=unit,
            seen={
                label: [values[number] for values in seen[key]]
                for label, key in keys.items()
                if key in seen
            },
            floor_is="orders outside of any launch, each copied to a queue that nobody reads",
            bound=bound,
            note=f"{_AT_ONCE} orders cooked at once for 25 ms each; waits at {_RATE:.0f} orders/s.",
        )
