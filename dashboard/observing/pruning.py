"""Takes away what was observed of old orders, a bounded chunk at a time, beside the live work.

Of an order go its observations, its pairs and its letter, together: without its letter, nothing
more that is said of it counts. The order itself is the restaurant's. What is counted stays, as do
the verdict's evidence and the orders that serve as examples or were sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dashboard.models import (
    Comparison,
    Example,
    Observation,
    ReplayedOrder,
    Sweep,
    Tally,
    TimeSlice,
)
from dashboard.observing.halving import first_id_from
from dashboard.observing.sweep import unfinished
from restaurant.models import Launch, Letter
from restaurant.write_lock import write_transaction

#: Orders, or points of the charts, of one transaction: a batch of events waits for one at most.
CHUNK = 200


@dataclass(frozen=True)
class Pruned:
    """What one step took away, and where the next one goes on; ``more`` while there is a next."""

    orders: int
    rows: int
    after: int
    more: bool


def first_to_keep(before: datetime) -> int:
    """The number of the first order of this time or later; of one that a sweep has still to look
    for, if that is earlier."""
    swept = dict(Sweep.objects.values_list("launch", "swept_until"))
    launches = unfinished().values_list("id", "started_at")
    moment = min([before, *(swept.get(launch, started) for launch, started in launches)])
    return first_id_from("restaurant_order", "placed_at", moment)


def prune_orders(until: int, after: int = 0, at_most: int = CHUNK) -> Pruned:
    """Take away what was observed of the next orders below a number, but for those that are kept.

    Orders whose letter waits, or is gone already, are passed over. Under the lock under which the
    observer records, so that neither finds half of what the other writes.
    """
    letters = Letter.objects.filter(order__gt=after, order__lt=until, sent_at__isnull=False)
    rows_found = letters.order_by("order").values_list("order", "order__uuid", "launch")[:at_most]
    found = {number: uuid for number, uuid, _ in rows_found}
    launches = {launch for _, _, launch in rows_found}
    with write_transaction():
        list(Tally.objects.select_for_update().filter(launch__in=launches).order_by("id"))
        kept = _kept(found.values())
        going = {number: uuid for number, uuid in found.items() if uuid not in kept}
        rows = _delete(going)
    return Pruned(len(going), rows, max(found, default=after), more=len(found) == at_most)


def prune_slices(before: datetime, at_most: int = CHUNK) -> int:
    """Take away the next points of the charts from before a time; says how many."""
    start = int(before.timestamp())
    for launch in Launch.objects.values_list("id", flat=True):
        old = TimeSlice.objects.filter(launch=launch, start__lt=start).order_by("start")
        if ids := list(old.values_list("id", flat=True)[:at_most]):
            TimeSlice.objects.filter(id__in=ids).delete()
            return len(ids)
    return 0


def _kept(orders: Collection[UUID]) -> set[UUID]:
    return {
        *Example.objects.filter(order__in=orders).values_list("order", flat=True),
        *ReplayedOrder.objects.filter(order__in=orders).values_list("order", flat=True),
    }


def _delete(orders: Mapping[int, UUID]) -> int:
    ids = list(orders.values())
    return sum(
        deleted
        for deleted, _ in (
            Observation.objects.filter(order__in=ids).delete(),
            Comparison.objects.filter(order__in=ids).delete(),
            Letter.objects.filter(order__in=list(orders)).delete(),
        )
    )
