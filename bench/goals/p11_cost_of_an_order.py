"""P11: what an order costs as the load grows, and as more versions handle it in the dark."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from bench.figures import FLOOR, PRODUCT, Figure, at_most
from bench.rig import CONTROL, Product, Rig, since

#: Dark versions beside the control.
_FEW, _SOME, _MANY = _COUNTS = (1, 3, 10)
#: Orders a second.
_SLOW, _STEADY = 10.0, 100.0
_SETTLE_S = 2.0
#: Parts whose processor time is not the product's own.
_NOT_OURS = ("rush", "broker", "database", "browser")
_PERCENT = "update restaurant_darkversion set percent = ? where version = ? returning id"


def measure(rig: Rig) -> Iterator[Figure]:
    dark = [f"vnext-{number}" for number in range(1, _MANY + 1)]
    orders, slice_s, rounds = (100, 2.0, 1) if rig.quick else (800, 5.0, 2)
    with rig.product(candidates=dict.fromkeys(dark, 0), MINUTE_MS="1") as product:
        product.open(CONTROL, *dark)
        costs = _by_versions(product, dark, orders, rounds)
        _let_handle(product, dark, _FEW)
        product.stop(*dark[_FEW:])
        slow, steady = (_at_rate(product, rate, slice_s, rounds) for rate in (_SLOW, _STEADY))
    early, late = (
        [(b - a) / (more - fewer) for a, b in zip(costs[fewer], costs[more], strict=True)]
        for fewer, more in ((_FEW, _SOME), (_SOME, _MANY))
    )
    yield Figure(
        goal="P11",
        what=f"each further dark version's CPU per order, from {_SOME} to {_MANY} versions",
        unit="µs",
        seen={FLOOR: early, PRODUCT: late},
        floor_is=f"each further version's from {_FEW} to {_SOME}",
        bound=at_most(1.2),
        note=" ".join(f"With {count} dark {costs[count][-1]:,.0f} µs." for count in _COUNTS),
    )
    for rate, below, limit in ((_SLOW, slow, 1.0), (_STEADY, steady, 1.1)):
        yield Figure(
            goal="P11",
            what=f"CPU per order at the maximum against at {rate:.0f}/s",
            unit="µs",
            seen={FLOOR: below, PRODUCT: costs[_FEW]},
            floor_is=f"the same at {rate:.0f}/s, including what the product uses when idle",
            bound=at_most(limit),
        )


def _by_versions(
    product: Product, dark: Sequence[str], orders: int, rounds: int
) -> dict[int, list[float]]:
    """Microseconds per order at the maximum, by the number of dark versions that handle it."""
    costs: dict[int, list[float]] = {count: [] for count in _COUNTS}
    for _ in range(1 + rounds):
        for count, several in costs.items():
            _let_handle(product, dark, count)
            drained = product.drain(orders, versions=count + 1)
            several.append(_us(drained.used_s, orders))
    return {count: several[1:] for count, several in costs.items()}  # the first warmed up


def _let_handle(product: Product, dark: Sequence[str], count: int) -> None:
    """From now on, the first so many dark versions handle every order, and the others none."""
    for number, version in enumerate(dark):
        product.query(_PERCENT, 100 if number < count else 0, version)


def _at_rate(product: Product, rate: float, slice_s: float, slices: int) -> list[float]:
    """Microseconds per order, of slices of a rush at this rate."""
    product.rush(rate, slice_s * slices + 2 * _SETTLE_S, seed=11)
    time.sleep(_SETTLE_S)
    costs = []
    for _ in range(slices):
        before, newest = product.used_s(), product.newest()
        time.sleep(slice_s)
        costs.append(_us(since(before, product.used_s()), product.newest() - newest))
    product.stop_rush()
    return costs


def _us(used_s: Mapping[str, float], orders: int) -> float:
    return 1e6 / orders * sum(s for name, s in used_s.items() if name not in _NOT_OURS)
