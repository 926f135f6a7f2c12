"""``python -m bench.comparison``: how long a comparison takes, beside deepdiff and jsondiff.

All compare the same documents, each with its plain diff, in turn over several rounds, so that a
slow moment of the machine falls on all of them. What takes long gets fewer rounds; the table says
how many.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import deepdiff
import jsondiff

from dashboard.domain.comparing.comparison import compare
from kitchen_worker.contract.messages import Order, OrderItem
from kitchen_worker.kitchens import vlatest, vnext
from restaurant.rush import rush

SEED = 7
ORDERS = 200
ROUNDS = 9
#: How long a library compares in one round at least, and in all rounds of a row at most.
SLICE_SECONDS = 0.1
MOST_SECONDS = 2.0

Pair = tuple[Any, Any]
Compare = Callable[[Any, Any], object]

LIBRARIES: dict[str, Compare] = {
    "Dark Kitchen": compare,
    "deepdiff": deepdiff.DeepDiff,
    "jsondiff": jsondiff.diff,
}


@dataclass
class Row:
    """The documents of one kind, and the times per comparison of each library, in microseconds."""

    name: str
    pairs: Sequence[Pair]
    #: Who would take minutes.
    without: tuple[str, ...] = ()
    times_us: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    """Measure, and print one table."""
    pairs = list(rush_pairs())
    rows = [
        Row(f"two results of one order ({len(pairs)} orders of a rush)", pairs),
        Row("the same, without a difference", [(one, _copy(one)) for one, _ in pairs]),
        Row("8 KiB, one line in twenty differs", [_long_pair(120)]),
        Row("256 KiB, one line in twenty differs", [_long_pair(3650)], without=("jsondiff",)),
    ]
    for row in rows:
        _measure(row)
    print(_table(rows))
    print(f"\n{_machine()}")


def rush_pairs() -> Iterator[Pair]:
    """What both shipped kitchens make of the orders of a rush that both can make."""
    random = Random(SEED)
    for number, request in enumerate(islice(rush(SEED), ORDERS), start=1):
        items = tuple(
            OrderItem(
                name=line.name,
                title=line.title,
                quantity=line.quantity,
                preparation_time=line.preparation_time,
                unit_price=line.unit_price,
            )
            for line in request.lines
        )
        order = _order(number, items, request.note)
        try:
            yield _copy(vlatest.cook(order, random)), _copy(vnext.cook(order, random))
        except vnext.TooManyPortions:
            continue


def _order(number: int, items: tuple[OrderItem, ...], note: str) -> Order:
    return Order(
        id=str(UUID(int=number)),
        number=number,
        placed_at=datetime(2026, 1, 1, tzinfo=UTC),
        items=items,
        note=note,
        total_price=sum((item.quantity * item.unit_price for item in items), Decimal()),
        total_prep_time=sum(item.quantity * item.preparation_time for item in items),
    )


def _copy(document: Any) -> Any:
    """The document as it comes from the broker: nothing is shared with another."""
    return json.loads(json.dumps(document))


def _long_pair(count: int) -> Pair:
    lines = [
        {"name": f"dish {number}", "quantity": number % 7, "station": "grill", "minutes": number}
        for number in range(count)
    ]
    control = {"lines": lines}
    version = _copy(control)
    for line in version["lines"][::20]:
        line["minutes"] += 1
    return control, version


def _measure(row: Row) -> None:
    taking_part = {name: diff for name, diff in LIBRARIES.items() if name not in row.without}
    repeats = {name: _repeats(row.pairs, diff) for name, diff in taking_part.items()}
    row.times_us = {name: [] for name in LIBRARIES}
    for _ in range(ROUNDS):
        for name, diff in taking_part.items():
            spent = sum(row.times_us[name]) * repeats[name] * len(row.pairs) / 1e6
            if spent < MOST_SECONDS:
                row.times_us[name].append(time_us(row.pairs, diff, repeats[name]))


def _repeats(pairs: Sequence[Pair], diff: Compare) -> int:
    """How often to go through the pairs in one slice; warms up by the way."""
    once_us = time_us(pairs, diff, 1)
    return max(1, int(SLICE_SECONDS * 1e6 / (once_us * len(pairs))))


def time_us(pairs: Sequence[Pair], diff: Compare, repeats: int) -> float:
    """Microseconds of a processor for one comparison, of so many times through the pairs."""
    begun = time.process_time()
    for _ in range(repeats):
        for control, version in pairs:
            diff(control, version)
    return (time.process_time() - begun) * 1e6 / (repeats * len(pairs))


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| microseconds a comparison: median (least to most, rounds) | "
        + " | ".join(f"{name}{_version(name)}" for name in LIBRARIES)
        + " |",
        "|---|" + "---:|" * len(LIBRARIES),
    ]
    lines += [
        f"| {row.name} | " + " | ".join(map(_cell, row.times_us.values())) + " |" for row in rows
    ]
    return "\n".join(lines)


def _version(name: str) -> str:
    return f" {importlib.metadata.version(name)}" if name in ("deepdiff", "jsondiff") else ""


def _cell(times_us: list[float]) -> str:
    if not times_us:
        return "not measured: its time grows with the square of the lines"
    spread = f"{_digits(min(times_us))} to {_digits(max(times_us))}, {len(times_us)}"
    return f"{_digits(statistics.median(times_us))} ({spread})"


def _digits(number: float) -> str:
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def _machine() -> str:
    processors = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip()
        for line in (processors.read_text().splitlines() if processors.exists() else [])
        if line.startswith("model name")
    ]
    model = models[0] if models else platform.processor() or platform.machine()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {os.cpu_count()} processors, {platform.system()}, {python}."


if __name__ == "__main__":
    main()
