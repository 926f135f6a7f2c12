"""``manage.py prune --days 30``: deletes older orders with their observations."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandParser

from dashboard.ingest.pruning import Pruned, first_to_keep, prune_orders, prune_slices
from kitchen_worker.contract.messages import utc_now

#: The pause after a chunk, as a multiple of its time: the observer comes first.
_REST = 2.0
#: Seconds between progress messages.
_SAY_EVERY_S = 10.0

_Found = TypeVar("_Found")


class Command(BaseCommand):
    help = (
        "Delete orders that arrived more than so many days ago, what was observed of them, and "
        "older chart points. Counts, discrepancies with their examples, reviews and the verdict's "
        "evidence stay. Works in small chunks beside live traffic, and may be interrupted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=_days, required=True, help="what is older goes")

    def handle(self, *args: Any, **options: Any) -> None:
        before = utc_now() - timedelta(days=options["days"])
        orders, rows = self._prune_orders(first_to_keep(before))
        while points := _rested(partial(prune_slices, before)):
            rows += points
        self.stdout.write(f"Of {orders:,} orders {rows:,} rows are gone.")

    def _prune_orders(self, until: int) -> tuple[int, int]:
        """Prune the orders below an id; returns the numbers of orders and rows."""
        step = Pruned(0, 0, 0, more=True)
        orders = rows = 0
        said_at = time.monotonic()
        while step.more:
            step = _rested(partial(prune_orders, until, step.after))
            orders, rows = orders + step.orders, rows + step.rows
            if time.monotonic() - said_at > _SAY_EVERY_S:
                said_at = time.monotonic()
                self.stdout.write(f"{orders:,} orders, up to id {step.after:,} of {until - 1:,}")
        return orders, rows


def _rested(step: Callable[[], _Found]) -> _Found:
    """Run a step and pause; returns its result."""
    began = time.monotonic()
    found = step()
    time.sleep(_REST * (time.monotonic() - began))
    return found


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 36_500:
        raise argparse.ArgumentTypeError("a number of days from 1 on")
    return days
