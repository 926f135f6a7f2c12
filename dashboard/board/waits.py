"""What was ordered and is not known to have ended: how many orders, and how old the oldest is.

A queue's length does not tell: who reads it may hold a thousand messages that it has not recorded.
So this is worked out from the orders themselves, whoever keeps them waiting: a broker that is away,
kitchens, the observer, or the database that it writes to.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Count, Min, Q

from dashboard.board.frames import Json
from restaurant.models import Order

#: So many are counted; one more stands for any number.
MOST = 1000


def waits_of(launch: UUID, ended_until: datetime | None, now: datetime) -> Json:
    """The orders placed after the newest that the control is known to have ended.

    ``oldest_s`` is None when none waits; of more than MOST it is the age of the newest so many.
    """
    later = Q(placed_at__gt=ended_until) if ended_until is not None else Q(pk__isnull=False)
    newest = Order.objects.filter(launch=launch).order_by("-id")[: MOST + 1]
    found = newest.aggregate(
        orders=Count("pk", filter=later), oldest=Min("placed_at", filter=later)
    )
    oldest = found["oldest"]
    return {
        "behind": found["orders"],
        "oldest_s": max(0.0, (now - oldest).total_seconds()) if oldest is not None else None,
    }
