"""Which orders the lanes show: the newest, or the newest that match a filter."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import QuerySet

from dashboard.comparison.outcome import ACCEPTED, Outcome
from dashboard.ingest.stored import members_in
from dashboard.models import Discrepancy, Observation, ObservedOrder, Participant, Signature

#: Rows in the lanes.
ROWS = 40
#: From this many orders a second on, the newest ones would all still be waiting.
FAST = 4.0
#: How many of those are shown nevertheless.
_WAITING_SHOWN = 4
#: Which differing pairs are searched: first the newest few, mostly enough, then more.
_WINDOWS = ((0, 200), (200, 2000))


class Filter(StrEnum):
    """Which orders the lanes show."""

    ALL = "all"
    DIFFERING = "differing"
    FAILED = "failed"
    MISSING = "missing"
    SLOWER = "slower"


_OUTCOMES: dict[Filter, tuple[Outcome, ...]] = {
    Filter.FAILED: (Outcome.CANDIDATE_FAILED, Outcome.CONTROL_FAILED, Outcome.BOTH_FAILED),
    Filter.MISSING: (Outcome.MISSING,),
}


@dataclass(frozen=True)
class FilteredOrders:
    """The ids of the observed orders that match a filter, newest first.

    ``looked_at``: how many pairs were searched, if not all of them; older orders may match as well.
    """

    orders: list[int]
    looked_at: int | None = None


def newest_orders(launch: UUID, ended_until: datetime | None) -> list[int]:
    """The newest orders; where ``ended_until`` is known, a few of them and then the newest that
    were placed until then: at speed, nothing newer has ended."""
    orders = (
        ObservedOrder.objects.filter(launch=launch).order_by("-id").values_list("id", flat=True)
    )
    if ended_until is None:
        return list(orders[:ROWS])
    ended = orders.filter(placed_at__lte=ended_until)
    return list(dict.fromkeys([*orders[:_WAITING_SHOWN], *ended[:ROWS]]))[:ROWS]


def matching_orders(by: Filter, beside: Participant | None) -> FilteredOrders:
    """The newest orders whose pair with this version matches a filter."""
    if beside is None or beside.pk is None:
        return FilteredOrders([])
    pairs = Observation.objects.filter(participant=beside.pk).order_by("-order_id")
    if by is Filter.DIFFERING:
        return _differing(_of(pairs, Outcome.DIFFER), beside)
    if by is Filter.SLOWER:
        slower = pairs.filter(slower=True).values_list("order_id", flat=True)
        return FilteredOrders(list(slower[:ROWS]))
    # One index lookup per outcome, then the newest of all.
    found = [
        order
        for outcome in _OUTCOMES[by]
        for order in _of(pairs, outcome).values_list("order_id", flat=True)[:ROWS]
    ]
    return FilteredOrders(sorted(found, reverse=True)[:ROWS])


def _of(pairs: QuerySet[Observation], outcome: Outcome) -> QuerySet[Observation]:
    """Pairs of one outcome, the newest first, in the order of the index: asked for the ids alone,
    PostgreSQL may expect some soon, and walk through the table."""
    between = pairs.filter(exception__gte=outcome, exception__lte=outcome)
    return between.order_by("exception", "-order_id")


def _differing(pairs: QuerySet[Observation], beside: Participant) -> FilteredOrders:
    """The newest orders with a difference that counts, by the decisions in force."""
    accepted = _accepted(beside)
    signatures = Signature.objects.filter(
        launch=beside.launch, version=beside.version, folded=False
    )
    counting = {
        pk for pk, counted in signatures.values_list("id", "counted") if set(counted) - accepted
    }
    orders: list[int] = []
    looked_at = 0
    rows = pairs.values_list("order_id", "signature", "members")
    for start, stop in _WINDOWS:
        part = list(rows[start:stop])
        looked_at += len(part)
        orders += _counting(part, counting, accepted)
        if len(orders) >= ROWS or looked_at < stop:
            return FilteredOrders(orders[:ROWS])
    return FilteredOrders(orders[:ROWS], looked_at)


def _accepted(beside: Participant) -> frozenset[int]:
    rows = Discrepancy.objects.filter(
        launch=beside.launch, version=beside.version, state__in=ACCEPTED
    )
    return frozenset(rows.values_list("id", flat=True))


def _counting(
    pairs: Collection[tuple[int, int | None, str]],
    counting: Collection[int],
    accepted: frozenset[int],
) -> Iterator[int]:
    for order, signature, members in pairs:
        if signature in counting or (members and members_in(members).counted - accepted):
            yield order
