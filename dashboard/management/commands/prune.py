"""``manage.py prune --days 30``: takes away what was observed of older orders."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandParser

from dashboard.observing.pruning import Pruned, first_to_keep, prune_orders, prune_slices
from kitchen_worker.contract.messages import utc_now

#: The rest after a chunk, in times of what it took: whoever records orders comes first.
_REST = 2.0
#: How often it says how far it is, in seconds.
_SAY_EVERY_S = 10.0

_Found = TypeVar("_Found")


class Command(BaseCommand):
    """Prunes what is old enough; to be stopped, and run again, at any time."""

    help = (
        "Delete observations, pairs, letters and chart points of orders placed more than so many "
        "days ago. Orders, counts, discrepancies with their examples, reviews and the verdict's "
        "evidence stay. Works in small chunks beside live traffic, and may be interrupted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Say what is old."""
        parser.add_argument("--days", type=_days, required=True, help="what is older goes")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prune, with a rest after every chunk."""
        before = utc_now() - timedelta(days=options["days"])
        orders, rows = self._prune_orders(first_to_keep(before))
        while points := _rested(partial(prune_slices, before)):
            rows += points
        self.stdout.write(f"Of {orders:,} orders {rows:,} rows are gone.")

    def _prune_orders(self, until: int) -> tuple[int, int]:
        """Prune the orders below a number; says of how many, and how many rows."""
        step = Pruned(0, 0, 0, more=True)
        orders = rows = 0
        said_at = time.monotonic()
        while step.more:
            step = _rested(partial(prune_orders, until, step.after))
            orders, rows = orders + step.orders, rows + step.rows
            if time.monotonic() - said_at > _SAY_EVERY_S:
                said_at = time.monotonic()
                self.stdout.write(
                    f"{orders:,} orders, up to number {step.after:,} of {until - 1:,}"
                )
        return orders, rows


def _rested(step: Callable[[], _Found]) -> _Found:
    """What a step gives, after the rest that it asks for."""
    began = time.monotonic()
    found = step()
    time.sleep(_REST * (time.monotonic() - began))
    return found


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 36_500:
        raise argparse.ArgumentTypeError("a number of days from 1 on")
    return days
