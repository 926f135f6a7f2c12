"""Counts of sent orders per dark version since its percent last changed.

The relay increments them in the transaction that marks orders as sent, so each order counts once; a
reader adds up a few rows, however many orders there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Max, Sum

from restaurant.models import Launch, LaunchChange, SentCount

_ADD = """
    INSERT INTO restaurant_sentcount (launch_id, launch_change, version, orders)
    VALUES (%s, %s, %s, %s)
    ON CONFLICT (launch_id, launch_change, version)
    DO UPDATE SET orders = restaurant_sentcount.orders + excluded.orders
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCount:
    """Orders sent to a dark version since its percent last changed."""

    version: str
    #: The configured share.
    share: float
    offered: int
    sent: int


def add(rows: Iterable[tuple[str | None, int, Sequence[str]]]) -> None:
    """Count sent orders, given by launch, launch change and sample."""
    counts: Counter[tuple[str, int, str]] = Counter()
    for launch, change, sample in rows:
        if launch is not None:
            hexadecimal = launch.replace("-", "")
            counts.update((hexadecimal, change, version) for version in ("", *sample))
    if counts:
        # Sorted, so that two relays can't deadlock.
        with connection.cursor() as cursor:
            cursor.executemany(_ADD, [(*key, orders) for key, orders in sorted(counts.items())])


def orders_sent(launch: UUID) -> int:
    counted = SentCount.objects.filter(launch=launch, version="")
    return counted.aggregate(orders=Sum("orders"))["orders"] or 0


def sent_by_change(launch: UUID) -> dict[tuple[int, str], int]:
    """The orders sent under each change of a launch, in all (no version) and to each version."""
    rows = SentCount.objects.filter(launch=launch)
    return {
        (change, version): orders
        for change, version, orders in rows.values_list("launch_change", "version", "orders")
    }


def samples(launch: Launch) -> list[SampleCount]:
    """The sample of each dark version since its percent last changed."""
    changed = LaunchChange.objects.filter(launch=launch).exclude(version="").order_by()
    since = dict(changed.values_list("version").annotate(Max("id")))
    # Under change 0 the percent is unknown.
    rows = SentCount.objects.filter(launch=launch, launch_change__gt=0)
    counts = list(rows.values_list("launch_change", "version", "orders"))
    return [
        SampleCount(
            version=dark.version,
            share=float(dark.percent / 100),
            offered=_sum(counts, "", since.get(dark.version, 0)),
            sent=_sum(counts, dark.version, since.get(dark.version, 0)),
        )
        for dark in launch.dark_versions.all()
    ]


def _sum(counts: Sequence[tuple[int, str, int]], version: str, since: int) -> int:
    return sum(orders for change, of, orders in counts if of == version and change >= since)
