"""Deletes old orders and their observations in small chunks beside live traffic.

Counts, the verdict's evidence, and orders that are examples or were replayed stay. A later report
of a deleted order doesn't count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Max, Min

from dashboard.database import atomic
from dashboard.ingest.stored import RECENT, locked_state
from dashboard.models import (
    Discrepancy,
    LostOrder,
    Observation,
    ObservedOrder,
    ObserverState,
    ReplayedOrder,
    TimeSlice,
)
from restaurant.models import Launch

#: Orders or chart points per transaction: live batches wait for one.
CHUNK = 200


@dataclass(frozen=True)
class Pruned:
    """What one step deleted, and the id after which the next one continues."""

    orders: int
    rows: int
    after: int
    more: bool


def first_to_keep(before: datetime) -> int:
    """The id of the first order that arrived since this time, or of the first whose missing answers
    are not counted yet, if that is earlier."""
    swept_until = ObserverState.objects.values_list("swept_until", flat=True).first() or 0
    return min(first_from(before), swept_until + 1)


def first_from(moment: datetime) -> int:
    """The id of the first order that arrived since a time, or the next id if there is none.

    A bisection over the primary key, so that the table needs no index on the time.
    """
    ends = ObservedOrder.objects.aggregate(first=Min("pk"), last=Max("pk"))
    low, high = ends["first"] or 0, (ends["last"] or -1) + 1
    while low < high:
        middle = (low + high) // 2
        found = ObservedOrder.objects.filter(pk__gte=middle).order_by("pk")
        if found.values_list("arrived_at", flat=True)[0] < moment:
            low = middle + 1
        else:
            high = middle
    return low


def prune_orders(until: int, after: int = 0, at_most: int = CHUNK) -> Pruned:
    """Delete the next orders below an id with their observations, except those to keep. The lock
    on the observer's state keeps both from seeing each other's partial writes."""
    with atomic():
        state = locked_state()
        until_now = ObservedOrder.objects.aggregate(newest=Max("pk"))["newest"] or 0
        orders = ObservedOrder.objects.filter(pk__gt=after, pk__lt=until).order_by("pk")
        found = list(orders.values_list("pk", "order_id", "launch")[:at_most])
        kept = _kept(found)
        going = [pk for pk, order_id, _ in found if order_id not in kept]
        named = [order_id for _, order_id, _ in found if order_id not in kept]
        observations, _ = Observation.objects.filter(order__in=going).delete()
        ObservedOrder.objects.filter(pk__in=going).delete()
        LostOrder.objects.filter(order_id__in=named).delete()
        if going and going[-1] > until_now - RECENT:
            # The observer has some of them in memory.
            state.changes += 1
            state.save(update_fields=["changes"])
    after = max((pk for pk, *_ in found), default=after)
    return Pruned(len(going), len(going) + observations, after, more=len(found) == at_most)


def prune_slices(before: datetime, at_most: int = CHUNK) -> int:
    """Delete the next chart points from before a time; returns how many."""
    start = int(before.timestamp())
    for launch in Launch.objects.values_list("id", flat=True):
        old = TimeSlice.objects.filter(launch=launch, start__lt=start).order_by("start")
        if ids := list(old.values_list("id", flat=True)[:at_most]):
            TimeSlice.objects.filter(id__in=ids).delete()
            return len(ids)
    return 0


def _kept(orders: Iterable[tuple[int, str, UUID]]) -> set[str]:
    """The ids of orders that are examples or were replayed."""
    order_ids, launches = {one for _, one, _ in orders}, {launch for *_, launch in orders}
    examples = Discrepancy.objects.filter(launch__in=launches).values_list("examples", flat=True)
    again = ReplayedOrder.objects.filter(order__in=order_ids)
    return {
        *(order_id for some in examples for _, order_id in some),
        *again.values_list("order", flat=True),
    }
