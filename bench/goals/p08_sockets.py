"""P8: five hundred watching boards: what they cost the observer, the web process and each other.

The clients run on the same processors; what they use is in the notes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from subprocess import Popen

from bench.events import EVENTS_PER_ORDER, ROLES, publish, publishing, reported
from bench.figures import FLOOR, PRODUCT, Figure, at_least, at_most
from bench.processes import used_s
from bench.rig import Product, Rig
from bench.watching import Watched, watching

_SOCKETS = 500
_PER_S = 200.0
_SETTLE_S = 1.0


def measure(rig: Rig) -> Iterator[Figure]:
    with rig.products() as products:
        for product in products:
            product.open()
            _drained_per_s(product, 200)
        yield _throughput(rig, products)
        yield from _watching(rig, products)


def _throughput(rig: Rig, products: list[Product]) -> Figure:
    orders = 500 if rig.quick else 2000
    seen: dict[str, list[float]] = defaultdict(list)
    for _ in rig.rounds:
        for product in products:
            if product.label == PRODUCT:
                seen[FLOOR].append(_drained_per_s(product, orders))
            with watching(product, _SOCKETS):
                seen[product.label].append(_drained_per_s(product, orders))
    return Figure(
        goal="P8",
        what=f"observer's throughput while {_SOCKETS} boards watch",
        unit="events/s",
        seen=seen,
        floor_is="the same while nobody watches",
        bound=at_least(0.95),
    )


def _drained_per_s(product: Product, orders: int) -> float:
    """Events a second at which the observer records what is in its queue at once."""
    messages = reported(product, orders, rate=1000.0)
    ends, began = product.ends() + len(ROLES) * orders, time.perf_counter()
    publish(product, messages)
    product.wait_for_ends(ends)
    return EVENTS_PER_ORDER * orders / (time.perf_counter() - began)


def _watching(rig: Rig, products: list[Product]) -> Iterator[Figure]:
    seconds, notes = 2.0 if rig.quick else 5.0, {}
    cores: dict[str, list[float]] = defaultdict(list)
    p99_ms: dict[str, list[float]] = defaultdict(list)
    for number in rig.rounds:
        for product in products:
            with watching(product, _SOCKETS) as boards:
                if not number:
                    _watched(product, boards, seconds=seconds)
                watched, site, clients = _watched(product, boards, seconds=seconds)
            cores[product.label].append(site)
            p99_ms[product.label].append(watched.p99_ms)
            notes[product.label] = f"{watched} for each; their clients used {clients:.2f} core"
    for what, unit, seen, limit in (
        (f"web process with {_SOCKETS} boards", "cores", cores, 0.3),
        ("age of a frame when it has arrived, p99", "ms", p99_ms, 100),
    ):
        yield Figure(
            goal="P8",
            what=what,
            unit=unit,
            seen=seen,
            bound=at_most(limit, absolute=True),
            note=f"At {_PER_S:.0f} orders/s: {notes[PRODUCT]}.",
        )


def _watched(
    product: Product, boards: tuple[Popen[str], Callable[[], Watched]], *, seconds: float
) -> tuple[Watched, float, float]:
    """A steady pace of orders: what boards received, and the cores of the site and of clients."""
    clients, report = boards
    pids, whole_s = (product.pids()["site"], clients.pid), seconds + _SETTLE_S
    messages = reported(product, round(_PER_S * whole_s), rate=_PER_S)
    with publishing(product, messages, seconds=whole_s):
        time.sleep(_SETTLE_S)
        report()
        before, began = [used_s(pid) for pid in pids], time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - began
        site, own = ((used_s(pid) - used) / took_s for pid, used in zip(pids, before, strict=True))
        return report(), site, own
