"""P7: the memory of observer and web process does not grow with the orders, nor with open boards.

At 10,000 orders and at 40,000; `make soak` goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.events import ROLES, publish, publishing, reported
from bench.figures import FLOOR, PRODUCT, Figure, at_most
from bench.processes import pss_mb
from bench.rig import Product, Rig
from bench.watching import watching

_AT_FIRST, _AT_FIRST_QUICK = 10_000, 2_000
_AT_ONCE = 2_000
_SOCKETS, _SILENT = 500, 50
_WATCHED_PER_S = 50.0


def measure(rig: Rig) -> Iterator[Figure]:
    with rig.product() as product:
        product.open()
        yield from _with_orders(rig, product)
        yield _with_silent(rig, product)


def _with_orders(rig: Rig, product: Product) -> Iterator[Figure]:
    at_first = _AT_FIRST_QUICK if rig.quick else _AT_FIRST
    with watching(product, 3):
        _record(product, at_first)
        first = _memory(product)
        _record(product, 3 * at_first)
        last = _memory(product)
    for name, mb in last.items():
        yield Figure(
            goal="P7",
            what=f"memory of the {name} at {4 * at_first:,} orders",
            unit="MB",
            seen={FLOOR: [first[name]], PRODUCT: [mb]},
            floor_is=f"at {at_first:,} orders",
            bound=at_most(1.05),
        )


def _record(product: Product, orders: int) -> None:
    for _ in range(orders // _AT_ONCE):
        ends = product.ends() + len(ROLES) * _AT_ONCE
        publish(product, reported(product, _AT_ONCE, rate=1000.0))
        product.wait_for_ends(ends)


def _memory(product: Product) -> dict[str, float]:
    pids = product.pids()
    return {"observer": pss_mb(pids["observer"]), "web process": pss_mb(pids["site"])}


def _with_silent(rig: Rig, product: Product) -> Figure:
    """A socket that never reads costs what one frame costs, however long it goes on."""
    seconds = 2.0 if rig.quick else 8.0
    site = product.pids()["site"]
    messages = reported(product, round(_WATCHED_PER_S * 3 * seconds), rate=_WATCHED_PER_S)
    with (
        watching(product, _SOCKETS, silent=_SILENT),
        publishing(product, messages, seconds=3 * seconds),
    ):
        time.sleep(seconds)
        early = pss_mb(site)
        time.sleep(2 * seconds)
        late = pss_mb(site)
    return Figure(
        goal="P7",
        what=f"web process with {_SOCKETS} boards of which {_SILENT} never read,"
        f" after {3 * seconds:.0f} s",
        unit="MB",
        seen={FLOOR: [early], PRODUCT: [late]},
        floor_is=f"after {seconds:.0f} s",
        bound=at_most(1.05),
    )
