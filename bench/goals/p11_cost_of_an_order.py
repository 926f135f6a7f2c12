"""P11: what an order costs as the load grows, and as more versions handle it in the dark."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from bench.busy import Busy, said
from bench.figures import AtMost, Figure, Samples
from bench.letters import Letters
from bench.rig import CONTROL, Rig
from local.stack import Stack

SECONDS = 60

#: Dark versions beside the control.
_FEW, _SOME, _MANY = _COUNTS = (1, 3, 10)
#: Orders a second.
_SLOW, _STEADY = 10.0, 100.0
_SETTLE_S = 2.0
#: Processes that no further version adds.
_SHARED = ("site", "relay", "observer")
_ENDED = "select handled + failed from dashboard_tally where version = ?"
_PERCENT = "update restaurant_darkversion set percent = ? where version = ? returning id"


#: Microseconds an order, by process.
_Cost = dict[str, float]


def measure(rig: Rig) -> Iterator[Figure]:
    """Count the processor time of all the product's processes, on SQLite, with no board open."""
    dark = [f"vnext-{number}" for number in range(1, _MANY + 1)]
    orders, slice_s, rounds = (100, 2.0, 1) if rig.quick else (800, 5.0, 2)
    with rig.stack(
        candidates=dict.fromkeys(dark, 0), MINUTE_MS="1", DEADLINE_SECONDS="3600"
    ) as stack:
        stack.start("site", "observer", *dark)
        at_most = _at_most(stack, dark, orders, rounds)
        yield _versions(at_most)
        stack.stop(*dark[_FEW:])
        slow = _at_rate(stack, _SLOW, slice_s, rounds)
        steady = _at_rate(stack, _STEADY, slice_s, rounds)
    yield _load("10/s", slow, at_most[_FEW], bound=AtMost(1.0))
    yield _load("100/s", steady, at_most[_FEW], bound=AtMost(1.1))


def _at_most(stack: Stack, dark: list[str], orders: int, rounds: int) -> dict[int, list[_Cost]]:
    """Microseconds an order at the maximum, by the number of dark versions that handle it."""
    letters, waiting = Letters(stack), dict[int, range]()
    for count in _COUNTS:
        _let_handle(stack, dark, count)
        waiting[count] = letters.place(orders * (rounds + 1))
    _let_handle(stack, dark, _FEW)
    stack.start("relay", CONTROL)
    costs: dict[int, list[_Cost]] = {count: [] for count in _COUNTS}
    for first in range(0, orders * (rounds + 1), orders):
        for count, several in costs.items():
            busy = Busy(stack)
            letters.let_go(waiting[count][first : first + orders], versions=count + 1)
            several.append(busy.ours_us(orders))
    return {count: several[1:] for count, several in costs.items()}  # the first warmed up


def _let_handle(stack: Stack, dark: list[str], count: int) -> None:
    """From now on, the first so many dark versions handle every order, and the others none."""
    for number, version in enumerate(dark):
        stack.query(_PERCENT, 100 if number < count else 0, version)


def _at_rate(stack: Stack, rate: float, slice_s: float, slices: int) -> list[_Cost]:
    """Microseconds an order, of slices of a rush at this rate; who rushes is not counted."""
    orders = round(rate * (slice_s * slices + 2 * _SETTLE_S))
    words = ("--orders", str(orders), "--rate", str(rate), "--seed", "11", "--wait", "0")
    stack.start("rush", options=words)
    time.sleep(_SETTLE_S)
    costs = []
    for _ in range(slices):
        busy, before = Busy(stack), stack.number(_ENDED, CONTROL)
        time.sleep(slice_s)
        costs.append(busy.ours_us(stack.number(_ENDED, CONTROL) - before))
    stack.stop("rush")
    return costs


def _versions(at_most: dict[int, list[_Cost]]) -> Figure:
    few, some, many = (_sums(at_most[count]) for count in _COUNTS)
    early = ((b - a) / (_SOME - _FEW) for a, b in zip(few, some, strict=True))
    late = ((b - a) / (_MANY - _SOME) for a, b in zip(some, many, strict=True))
    return Figure(
        goal="P11",
        what=f"each further dark version's CPU an order, from {_SOME} to {_MANY} versions",
        unit="us",
        floor=Samples(tuple(early)),
        floor_is=f"each further version's from {_FEW} to {_SOME}",
        product=Samples(tuple(late)),
        bound=AtMost(1.2),
        note=" ".join(_said(count, at_most[count][-1]) for count in _COUNTS),
    )


def _said(count: int, cost: _Cost) -> str:
    """The cost of an order by part, all kitchens as one."""
    shared = {name: us for name, us in cost.items() if name in _SHARED}
    kitchens = sum(cost.values()) - sum(shared.values())
    return f"With {count} dark: {said({**shared, 'kitchens': kitchens})}."


def _sums(costs: Sequence[_Cost]) -> tuple[float, ...]:
    return tuple(sum(cost.values()) for cost in costs)


def _load(name: str, below: Sequence[_Cost], at_most: Sequence[_Cost], *, bound: AtMost) -> Figure:
    return Figure(
        goal="P11",
        what=f"CPU an order at the maximum against at {name}",
        unit="us",
        floor=Samples(_sums(below)),
        floor_is=f"the same at {name}, what the product uses when idle included",
        product=Samples(_sums(at_most)),
        bound=bound,
        note=f"At {name}: {said(below[-1])}.",
    )
