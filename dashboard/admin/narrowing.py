"""Narrows lists of any length to what was chosen, at a cost that does not grow with the table.

Neither observations nor pairs have an index for every choice, since each would cost the recording
of every order. So a choice looks at a bounded number of rows: of a launch or a period, at those of
its newest orders, which are found by their numbers; else at the newest rows of all. Pairs of one
launch, version and outcome are found by their index, however old.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet

from dashboard.admin.periods import Period, first_order_from
from dashboard.models import Comparison
from restaurant.admin import COUNTED
from restaurant.models import Order

#: Orders of a launch or a period whose rows are looked at, the newest.
ORDERS = 2_000
#: Rows that are looked at where neither is chosen, the newest.
ROWS = 20_000


def narrowed(
    rows: QuerySet[Any], asked: Mapping[str, str], fields: tuple[str, ...]
) -> QuerySet[Any]:
    """The rows that were asked for: by these fields, by launch, and by the time of their order."""
    given = {name: asked[name] for name in fields if asked.get(name)}
    launch, placed = asked.get("launch", ""), asked.get("placed", "")
    if not (given or launch or placed):
        return rows
    try:
        of = UUID(launch) if launch else None
    except ValueError:
        return rows.none()
    if rows.model is Comparison and of and not placed and given.keys() >= {"version", "outcome"}:
        return _by_outcome(rows, of, given["version"], given["outcome"])
    period = Period.read(placed)
    if placed and period is None:
        return rows.none()
    if of is None and period is None:
        looked_at = rows.filter(pk__gt=_newest(rows) - ROWS, **given)
    else:
        looked_at = rows.filter(order__in=_orders(of, period), **given)
    # By their ids, so that no database comes to think of walking through all rows instead.
    return rows.filter(pk__in=sorted(looked_at.order_by().values_list("pk", flat=True))[-COUNTED:])


def in_words(model: type[Model], asked: Mapping[str, str], fields: tuple[str, ...]) -> str:
    """What a list is of, in words; empty when nothing narrows it."""
    given = {name for name in fields if asked.get(name)}
    launch, placed = asked.get("launch"), asked.get("placed")
    if not (given or launch or placed):
        return ""
    if model is Comparison and launch and not placed and given >= {"version", "outcome"}:
        return f"The newest {COUNTED:,} that are so."
    if launch or placed:
        found = f"Among the newest {ORDERS:,} orders of what is chosen."
    else:
        found = f"Among the newest {ROWS:,} rows."
    return f"{found} What is older is found by its order, or within a time or a launch."


def _by_outcome(rows: QuerySet[Any], launch: UUID, version: str, outcome: str) -> QuerySet[Any]:
    """Pairs that have an index of their own, read in its order."""
    found = Comparison.objects.filter(
        launch=launch, version=version, outcome__gte=outcome, outcome__lte=outcome
    ).order_by("outcome", "-id")
    return rows.filter(pk__in=list(found.values_list("pk", flat=True)[:COUNTED]))


def _newest(rows: QuerySet[Any]) -> int:
    manager: Any = rows.model._default_manager  # noqa: SLF001 - Django's way to a model's rows
    return manager.order_by("-pk").values_list("pk", flat=True).first() or 0


def _orders(launch: UUID | None, period: Period | None) -> list[UUID]:
    """The newest orders of a launch, of a period, or of both."""
    orders = Order.objects.order_by("-pk")
    if launch is not None:
        orders = orders.filter(launch=launch)
    if period is not None:
        ends = first_order_from(period.start), first_order_from(period.end)
        orders = orders.filter(pk__gte=ends[0], pk__lt=ends[1])
    return list(orders.values_list("uuid", flat=True)[:ORDERS])
