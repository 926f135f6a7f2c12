"""Counts of sent orders: what was sent to each dark version since its percent last changed.

The relay adds to them in the transaction that marks orders as sent, so that each order counts once
whatever is started again; a reader adds up a few rows, however many orders there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Max, Sum

from restaurant.models import Launch, LaunchChange, SentCount

#: The fields of an outbox message that are counted.
COUNTED = ("launch_id", "launch_change", "sample")

_ADD = """
    INSERT INTO restaurant_sentcount (launch_id, launch_change, version, orders)
    VALUES (%s, %s, %s, %s)
    ON CONFLICT (launch_id, launch_change, version)
    DO UPDATE SET orders = restaurant_sentcount.orders + excluded.orders
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was sent to a dark version of the orders placed since its percent last changed."""

    version: str
    #: The share that was asked for.
    share: float
    offered: int
    sent: int


def add(rows: Sequence[tuple[Any, ...]]) -> None:
    """Count messages that were just sent, each given by its ``COUNTED`` fields."""
    counts: Counter[tuple[str, int, str]] = Counter()
    for launch, change, sample in rows:
        if launch is not None:
            counts.update((launch.hex, change, version) for version in ("", *sample))
    if counts:
        # In one order: two relays that count at once wait for each other, and never in a circle.
        with connection.cursor() as cursor:
            cursor.executemany(_ADD, [(*key, orders) for key, orders in sorted(counts.items())])


def orders_sent(launch: UUID) -> int:
    """How many orders of a launch were sent."""
    counted = SentCount.objects.filter(launch=launch, version="")
    return counted.aggregate(orders=Sum("orders"))["orders"] or 0


def samples(launch: Launch) -> list[Sample]:
    """The sample of each dark version, as far as orders were counted since its percent changed."""
    changed = LaunchChange.objects.filter(launch=launch).exclude(version="").order_by()
    since = dict(changed.values_list("version").annotate(Max("id")))
    # Of the orders under 0 nobody knows by which percent they were sampled.
    rows = SentCount.objects.filter(launch=launch, launch_change__gt=0)
    counts = list(rows.values_list("launch_change", "version", "orders"))
    return [
        Sample(
            version=dark.version,
            share=float(dark.percent / 100),
            offered=_sum(counts, "", since.get(dark.version, 0)),
            sent=_sum(counts, dark.version, since.get(dark.version, 0)),
        )
        for dark in launch.dark_versions.all()
    ]


def _sum(counts: Sequence[tuple[int, str, int]], version: str, since: int) -> int:
    return sum(orders for change, of, orders in counts if of == version and change >= since)
