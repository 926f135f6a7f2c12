"""``manage.py carry_over``: copies the history of the last release into the tables of this one."""

from __future__ import annotations

import argparse
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dashboard.database import atomic
from dashboard.ingest.history import SENT, Copied, copy
from dashboard.models import FormerComparison, FormerObservation, ObserverState
from restaurant.models import Order

#: Aim for shorter transactions: the observer waits for them.
_LONGEST_S = 0.05
#: The pause after a chunk, as a multiple of its time.
_REST = 1.0
_FIRST, _MOST = 100, 2000
#: Seconds between progress messages.
_SAY_EVERY_S = 10.0


class Command(BaseCommand):
    help = (
        "Copy what the last release observed into the tables of this one, the newest orders first, "
        "in small chunks beside live traffic. May be interrupted, and goes on where it stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--at-most", type=_number, metavar="N", help="copy so many orders, about"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        at_most, size, done = options["at_most"], _FIRST, Copied()
        began = said_at = time.monotonic()
        first = last = _left()
        while last > 0 and (at_most is None or done.orders < at_most):
            since = time.monotonic()
            copied = carry(max(1, last - size + 1), last)
            took_s = time.monotonic() - since
            last, done = max(0, last - size), Copied(*map(sum, zip(done, copied, strict=True)))
            size = max(10, size // 2) if took_s > _LONGEST_S else min(_MOST, size * 5 // 4)
            if time.monotonic() - said_at > _SAY_EVERY_S:
                said_at = time.monotonic()
                left_s = (said_at - began) / max(1, first - last) * last
                self.stdout.write(
                    f"{done.orders:,} orders, down to id {last + 1:,}; about {left_s / 60:.0f} min "
                    "to go"
                )
            time.sleep(took_s * _REST)
        self.stdout.write(
            f"Copied {done.orders:,} orders with {done.observations:,} observations in "
            f"{time.monotonic() - began:.0f} s; {f'{last:,} ids are left' if last else 'all done'}."
        )
        if not last and (rest := FormerObservation.objects.count()):
            pairs = FormerComparison.objects.count()
            self.stdout.write(
                f"{rest:,} observations and {pairs:,} pairs are of no order that was sent: they "
                "stay where they are."
            )


def carry(first: int, last: int) -> Copied:
    """Copy the orders in this range of ids that have former observations, in one transaction. The
    others were pruned, or were sent after the upgrade and observed by this release."""
    sent = Order.objects.exclude(launch=None).exclude(sent_at=None)
    orders = list(sent.filter(pk__range=(first, last)).values_list(*SENT))
    of_these = FormerObservation.objects.filter(order__in=[uuid for _, uuid, *_ in orders])
    known = {*of_these.values_list("order", flat=True)}
    orders = [one for one in orders if one[1] in known]
    with atomic():
        copied = copy(orders, first, last)
        ObserverState.objects.filter(pk=1).update(history_until=first - 1)
    return copied


def _left() -> int:
    state = ObserverState.objects.filter(pk=1).first()
    return state.history_until if state is not None else 0


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1 on")
    return number
