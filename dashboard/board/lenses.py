"""Which orders the lanes show: the newest, or the newest that a lens lets through."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import QuerySet

from dashboard.domain.decision import ACCEPTED
from dashboard.domain.outcome import Outcome
from dashboard.models import Comparison, Discrepancy, Signature
from dashboard.observing.signatures import Members
from restaurant.models import Launch, Order

#: Rows in the lanes.
ROWS = 40
#: Orders a second from which the newest orders would all still be waiting.
FAST = 4.0
#: So many of the newest orders are shown all the same.
_WAITING_SHOWN = 4
#: Pairs with another result that the lens for them looks through: first the newest few, which
#: mostly do, then so many at most.
_WINDOWS = ((0, 200), (200, 2000))


class Lens(StrEnum):
    """Which orders the lanes show."""

    ALL = "all"
    DIFFERING = "differing"
    FAILED = "failed"
    MISSING = "missing"
    SLOWER = "slower"


_OUTCOMES: dict[Lens, tuple[Outcome, ...]] = {
    Lens.FAILED: (Outcome.CANDIDATE_FAILED, Outcome.CONTROL_FAILED, Outcome.BOTH_FAILED),
    Lens.MISSING: (Outcome.MISSING,),
}


@dataclass(frozen=True)
class Seen:
    """The orders that a lens lets through, the newest first.

    ``looked_at`` is how many pairs it went through where that was not all there are, and more
    orders may lie behind them.
    """

    orders: list[UUID]
    looked_at: int | None = None


def newest_orders(launch: Launch, ended_until: datetime | None) -> list[UUID]:
    """The newest orders; where ``ended_until`` is known, a few of them and then the newest that
    were placed until then: at speed, nothing newer has ended."""
    orders = Order.objects.filter(launch=launch).order_by("-id").values_list("uuid", flat=True)
    if ended_until is None:
        return list(orders[:ROWS])
    ended = orders.filter(placed_at__lte=ended_until)
    return list(dict.fromkeys([*orders[:_WAITING_SHOWN], *ended[:ROWS]]))[:ROWS]


def seen_through(lens: Lens, launch: Launch, version: str) -> Seen:
    """The newest orders whose pair with this version a lens lets through."""
    pairs = Comparison.objects.filter(launch=launch.id, version=version).order_by("-id")
    if lens is Lens.DIFFERING:
        return _differing(_of(pairs, Outcome.DIFFER), launch, version)
    if lens is Lens.SLOWER:
        return Seen(list(pairs.filter(slower=True).values_list("order", flat=True)[:ROWS]))
    # One look into the index an outcome: what is newest of each, then of all.
    found = [
        pair
        for outcome in _OUTCOMES[lens]
        for pair in _of(pairs, outcome).values_list("id", "order")[:ROWS]
    ]
    return Seen([order for _, order in sorted(found, reverse=True)[:ROWS]])


def _of(pairs: QuerySet[Comparison], outcome: Outcome) -> QuerySet[Comparison]:
    """Pairs of one outcome, the newest first, in the order of the index: asked for the ids alone,
    PostgreSQL may expect some soon, and walk through the table."""
    between = pairs.filter(outcome__gte=outcome, outcome__lte=outcome)
    return between.order_by("outcome", "-id")


def _differing(pairs: QuerySet[Comparison], launch: Launch, version: str) -> Seen:
    """The newest orders with a difference that counts, as decisions stand now."""
    accepted = _accepted(launch, version)
    signatures = Signature.objects.filter(launch=launch.id, version=version, folded=False)
    counting = {
        pk for pk, counted in signatures.values_list("id", "counted") if set(counted) - accepted
    }
    orders: list[UUID] = []
    looked_at = 0
    rows = pairs.values_list("order", "signature", "members")
    for start, stop in _WINDOWS:
        part = list(rows[start:stop])
        looked_at += len(part)
        orders += _counting(part, counting, accepted)
        if len(orders) >= ROWS or looked_at < stop:
            return Seen(orders[:ROWS])
    return Seen(orders[:ROWS], looked_at)


def _accepted(launch: Launch, version: str) -> frozenset[int]:
    rows = Discrepancy.objects.filter(launch=launch.id, version=version, state__in=ACCEPTED)
    return frozenset(rows.values_list("id", flat=True))


def _counting(
    pairs: Collection[tuple[UUID, int | None, str]],
    counting: Collection[int],
    accepted: frozenset[int],
) -> Iterator[UUID]:
    for order, signature, members in pairs:
        if signature in counting or (members and Members.read(members).counted - accepted):
            yield order
