"""P9: what one comparison costs, and one order in the verdict's state; both in this process."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from bench.figures import FLOOR, PRODUCT, Figure, at_most
from bench.rig import Rig
from dashboard.comparison.diff import compare
from dashboard.verdict.evidence import Tally
from dashboard.verdict.paired_order import OrderStatus, PairedOrder, Result
from dashboard.verdict.segments import segments_of
from kitchen_worker.contract.messages import OrderItem, PlacedOrder
from kitchen_worker.kitchens import vlatest, vnext
from restaurant.rush import rush

_SEED = 7
_PAIRS, _REPEATS = 200, 20
#: Orders that a launch has before those that are timed, and orders a second.
_BEFORE, _TIMED, _RATE = 80_000, 10_000, 100
_START = 1_800_000_000
_MENU = [f"item {number}" for number in range(12)]

_Pair = tuple[Any, Any]


def measure(rig: Rig) -> Iterator[Figure]:
    """The comparison beside the least that could tell two documents apart, and the state."""
    pairs = list(_rush_pairs())
    *before, timed = (list(_some_orders(_TIMED, after=at)) for at in range(0, _BEFORE + 1, _TIMED))
    tally = Tally()
    for orders in before:
        _add(tally, orders)
    seen: dict[str, list[float]] = {FLOOR: [], PRODUCT: []}
    state_us = []
    for _ in rig.rounds:
        seen[FLOOR].append(_time_us(pairs, _same_text))
        seen[PRODUCT].append(_time_us(pairs, compare))
        state_us.append(_added_us(tally, timed))
    yield Figure(
        goal="P9",
        what=f"one comparison of a typical pair ({len(pairs)} orders of a rush)",
        unit="µs",
        seen=seen,
        floor_is="both documents written as JSON, and the texts compared",
        bound=at_most(0.7),
    )
    yield Figure(
        goal="P9",
        what=f"one order in the verdict's state, after {_BEFORE:,}",
        unit="µs",
        seen={PRODUCT: state_us},
        bound=at_most(3, absolute=True),
        note=f"With a baseline; {_RATE} added at once, closing of blocks included.",
    )


def _time_us(pairs: Sequence[_Pair], diff: Callable[[Any, Any], object]) -> float:
    """Microseconds of a processor for one comparison."""
    began = time.process_time()
    for _ in range(_REPEATS):
        for control, version in pairs:
            diff(control, version)
    return (time.process_time() - began) * 1e6 / (_REPEATS * len(pairs))


def _same_text(control: Any, version: Any) -> bool:
    return json.dumps(control, sort_keys=True) == json.dumps(version, sort_keys=True)


def _rush_pairs() -> Iterator[_Pair]:
    """What both shipped kitchens make of the orders of a rush that both can make."""
    rng = random.Random(_SEED)
    for number, request in enumerate(islice(rush(_SEED), _PAIRS), start=1):
        fields = ("name", "title", "quantity", "preparation_time", "unit_price")
        items = tuple(
            OrderItem(**{field: getattr(line, field) for field in fields}) for line in request.lines
        )
        order = PlacedOrder(
            id=str(UUID(int=number)),
            number=number,
            placed_at=datetime(2026, 1, 1, tzinfo=UTC),
            items=items,
            note=request.note,
            total_price=sum((item.quantity * item.unit_price for item in items), Decimal()),
            total_prep_time=sum(item.quantity * item.preparation_time for item in items),
        )
        try:
            results = vlatest.cook(order, rng), vnext.cook(order, rng)
        except vnext.TooManyPortions:
            continue
        # As they come from the broker: they share nothing.
        yield json.loads(json.dumps(results[0])), json.loads(json.dumps(results[1]))


def _added_us(before: Tally, orders: Sequence[PairedOrder]) -> float:
    """Microseconds of a processor for one more order."""
    tally = deepcopy(before)
    began = time.process_time()
    _add(tally, orders)
    return (time.process_time() - began) / len(orders) * 1e6


def _add(tally: Tally, orders: Sequence[PairedOrder]) -> None:
    """A second's orders at a time, as an observer does."""
    for start in range(0, len(orders), _RATE):
        some = orders[start : start + _RATE]
        tally.add_all(some)
        tally.close(some[-1].placed_at)


def _some_orders(count: int, *, after: int) -> Iterator[PairedOrder]:
    """So many orders of one launch, after so many others."""
    rng = random.Random(after)
    for number in range(after, after + count):
        placed_at = _START + number / _RATE
        base = rng.lognormvariate(3.7, 0.8)
        control, candidate, baseline = (
            Result(OrderStatus.OK, base * factor * rng.lognormvariate(0, 0.1))
            for factor in (1.0, 0.8, 1.0)
        )
        if rng.random() < 0.005:
            candidate = Result(OrderStatus.FAILED, 1.0)
        items = dict.fromkeys(rng.sample(_MENU, rng.randint(1, 3)), rng.randint(1, 3))
        yield PairedOrder(
            placed_at=placed_at,
            control=control,
            candidate=candidate,
            baseline=baseline,
            shown=frozenset(one for one in range(1, 7) if rng.random() < 0.01),
            noise=frozenset(one for one in range(1, 3) if rng.random() < 0.005),
            segments=segments_of(
                tuple(f"item:{name}" for name in items),
                sum(items.values()),
                int(placed_at // 3600 % 24),
            ),
        )
