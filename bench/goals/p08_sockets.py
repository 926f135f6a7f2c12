"""P8: five hundred watching boards: what they cost the observer, the web process and each other.

The clients run on the same processors; what they use is in the notes.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from subprocess import Popen

from bench.events import EVENTS_PER_ORDER, ROLES, publish, publishing, reported
from bench.figures import BEFORE, FLOOR, PRODUCT, Figure, Seen, at_least, at_most
from bench.processes import pss_mb, used_s
from bench.rig import Product, Rig
from bench.watching import Watched, watching

SECONDS = 80

_SOCKETS = 500
_PER_S = 200.0
_SETTLE_S = 1.0
_CORES, _P99, _P99_SILENT, _MEMORY, _CLIENTS = "cores", "p99", "p99 silent", "memory", "clients"


def measure(rig: Rig) -> Iterator[Figure]:
    """The observer with and without them; then how they fare, without and with a silent one."""
    with rig.products() as products:
        for product in products:
            product.open()
            _drained_per_s(product, 200)
        yield from _throughput(rig, products)
        yield from _watching(rig, products)


def _throughput(rig: Rig, products: list[Product]) -> Iterator[Figure]:
    orders = 500 if rig.quick else 2000
    alone: dict[str, list[float]] = defaultdict(list)
    beside: dict[str, list[float]] = defaultdict(list)
    for _ in rig.rounds(until_left=rig.left() / 2):
        for product in products:
            alone[product.who].append(_drained_per_s(product, orders))
            with watching(product, _SOCKETS):
                beside[product.who].append(_drained_per_s(product, orders))
    for who, floor in alone.items():
        other = {BEFORE: beside[BEFORE]} if who == PRODUCT and BEFORE in beside else {}
        yield Figure(
            goal="P8",
            what=f"observer's throughput while {_SOCKETS} boards watch"
            f"{', before' if who == BEFORE else ''}",
            unit="events/s",
            seen={FLOOR: floor, **other, PRODUCT: beside[who]},
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
    seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    seconds, reports = 2.0 if rig.quick else 5.0, {}
    for number in rig.rounds():
        for product in products:
            with watching(product, _SOCKETS) as boards:
                if not number:
                    _watched(product, boards, seconds=seconds)
                report, cores, clients, before_mb = _watched(product, boards, seconds=seconds)
                with watching(product, 1, silent=1):
                    beside, _, _, after_mb = _watched(product, boards, seconds=seconds)
            reports[product.who] = report
            for name, value in (
                (_CORES, cores),
                (_CLIENTS, clients),
                (_P99, report.p99_ms),
                (_P99_SILENT, beside.p99_ms),
                (_MEMORY, after_mb - before_mb),
            ):
                seen[name][product.who].append(value)
    clients = statistics.median(seen[_CLIENTS][PRODUCT])
    note = (
        f"{_PER_S:.0f} orders/s; {reports[PRODUCT]} for each board; their clients used"
        f" {clients:.2f} core"
    )
    yield from _figures(seen, note)


def _watched(
    product: Product, boards: tuple[Popen[str], Callable[[], Watched]], *, seconds: float
) -> tuple[Watched, float, float, float]:
    """A steady pace of orders: what boards received, cores of site and clients, the site's MB."""
    clients, report = boards
    whole_s, site = seconds + _SETTLE_S, product.pids()["site"]
    messages = reported(product, round(_PER_S * whole_s), rate=_PER_S)
    with publishing(product, messages, seconds=whole_s):
        time.sleep(_SETTLE_S)
        report()
        before, began = (used_s(site), used_s(clients.pid)), time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - began
        watched = report()
        cores, clients_cores = (
            (used_s(pid) - used) / took_s
            for pid, used in zip((site, clients.pid), before, strict=True)
        )
        return watched, cores, clients_cores, pss_mb(site)


def _figures(seen: dict[str, dict[str, list[float]]], note: str) -> Iterator[Figure]:
    silent: Seen = {FLOOR: seen[_P99][PRODUCT], **seen[_P99_SILENT]}
    cases = (
        (f"web process with {_SOCKETS} boards", "cores", seen[_CORES], at_most(0.3, of="product")),
        ("age of a frame when it has arrived, p99", "ms", seen[_P99], at_most(100, of="product")),
        ("the same while one more never reads", "ms", silent, at_most(1.3)),
        ("memory that it costs the web process", "MB", seen[_MEMORY], at_most(2, of="product")),
    )
    for what, unit, values, bound in cases:
        floor = "the boards without it" if values is silent else ""
        yield Figure(
            goal="P8", what=what, unit=unit, seen=values, bound=bound, floor_is=floor, note=note
        )
