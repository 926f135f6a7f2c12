"""Adds orders to the stored evidence: reads and writes only the blocks that they fall into.

Of all versions together: two queries and two statements, or three where some came late, however
many orders there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from dashboard import models
from dashboard.models.bulk import Row, update
from dashboard.observing.evidence import as_text, coverage_in, save_blocks, timing_in_force
from dashboard.observing.touched import Epoch, Touched, touched
from dashboard.verdict.paired_order import PairedOrder

#: What adding changes of an evidence, its blocks aside.
_CHANGED = ("coverage", "revision", "late", "lost", "bad")


class Weighed(NamedTuple):
    """An order that counts, and the shapes that it has; no order where an answer came late."""

    placed_at: float
    order: PairedOrder | None
    shapes: tuple[str, ...] = ()


def add_to_evidence(
    launch: UUID, weighed: Mapping[Epoch, Sequence[Weighed]], now: datetime
) -> None:
    """Add orders to the evidence of their epochs, inside the transaction that records them."""
    timing = timing_in_force()
    numbers = {
        epoch: {timing.block_of(one.placed_at) for one in orders}
        for epoch, orders in weighed.items()
    }
    evidence = touched(launch, numbers, timing, now)
    #: Those in which something changed that a verdict shows.
    shown = set()
    for epoch, orders in weighed.items():
        tally = evidence[epoch].tally
        counting = [one.order for one in orders if one.order is not None]
        tally.late += len(orders) - len(counting)
        all_counted = tally.add_all(counting) == len(counting)
        until = tally.closed_until
        if not all_counted or (until is not None and min(numbers[epoch]) < until):
            shown.add(epoch)
    save_blocks(
        (one.id, number, sums)
        for one in evidence.values()
        for number, sums in one.tally.blocks.items()
    )
    heard, late = [], []
    for epoch, one in evidence.items():
        row = _row(one, weighed[epoch], is_shown=epoch in shown)
        if any(order.order is not None for order in weighed[epoch]):
            heard.append((now, *row))
        else:
            # What came late is no sign that its builds are the ones at work.
            late.append(row)
    update(models.Evidence, ("newest_at", *_CHANGED), heard)
    update(models.Evidence, _CHANGED, late)


def _row(one: Touched, orders: Iterable[Weighed], *, is_shown: bool) -> Row:
    """The columns that change, and the id."""
    tally = one.tally
    return (
        _covered(one.coverage, orders),
        one.revision + is_shown,
        tally.late,
        tally.lost,
        tally.bad,
        one.id,
    )


def _covered(stored: str, orders: Iterable[Weighed]) -> str:
    new = [(one.shapes, one.order.shown) for one in orders if one.order and one.shapes]
    if not new:
        return stored
    coverage = coverage_in(stored)
    coverage.add_all(new)
    return as_text(coverage.to_json())
