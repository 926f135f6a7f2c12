"""Who was busy while the product worked: processor time of each of its parts, an order."""

from __future__ import annotations

import os

from bench.families import used_s
from local.stack import Stack

#: Parts that are no processes of the stack, and how their programs are called.
_BESIDE = {"broker": "beam", "database": "postgres", "browser": "chrom"}
#: Processes of the stack that put it under load.
_LOADS = ("rush",)


class Busy:
    """The processor time that the parts of a stack use from now on."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._before = self._used_s()

    def us_each(self, orders: float) -> dict[str, float]:
        """Microseconds of each part for each of so many orders."""
        used = self._used_s()
        return {name: (used[name] - self._before[name]) * 1e6 / orders for name in used}

    def ours_us(self, orders: float) -> dict[str, float]:
        """The same of the product's own processes alone."""
        beside = {*_BESIDE, *_LOADS}
        return {name: us for name, us in self.us_each(orders).items() if name not in beside}

    def _used_s(self) -> dict[str, float]:
        ours = {name: used_s(pid) for name, pid in self._stack.pids().items()}
        return ours | {part: used_s(os.getpid(), program=name) for part, name in _BESIDE.items()}


def said(us_each: dict[str, float]) -> str:
    """The costs in words, the largest first."""
    parts = sorted(us_each.items(), key=lambda part: -part[1])
    words = ", ".join(f"{name} {us:,.0f}" for name, us in parts if us >= 0.5)
    return f"CPU an order {sum(us_each.values()):,.0f} us: {words}"
