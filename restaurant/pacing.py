"""Places the orders of a rush when they are due; overdue ones in bulk."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic

from django.db.models import Count

from restaurant.models import Order, OrderState
from restaurant.orders import place_orders
from restaurant.pricing import OrderRequest
from restaurant.replay import Recorded

#: Maximum number of orders per transaction.
BATCH = 200
#: How often a rush checks for answers.
_LOOK_S = 0.2

_UNANSWERED = (OrderState.PLACED, OrderState.IN_KITCHEN)


@dataclass(frozen=True, slots=True)
class Due:
    """An order, and how many seconds after the start it is due."""

    after_s: float
    request: OrderRequest


def at_rate(requests: Iterable[OrderRequest], *, rate: float, orders: int) -> Iterator[Due]:
    """``rate`` orders a second, evenly spaced."""
    for position, request in enumerate(islice(requests, orders)):
        yield Due(position / rate, request)


def at_recorded_pace(recorded: Iterable[Recorded], *, speed: float) -> Iterator[Due]:
    """Recorded orders at their recorded intervals, ``speed`` times as fast, in the file's
    sequence."""
    start = None
    for one in recorded:
        start = start or one.placed_at
        yield Due((one.placed_at - start).total_seconds() / speed, one.request)


@dataclass
class RushResult:
    """The orders that a rush placed, as ranges of their numbers."""

    orders: int = 0
    seconds: float = 0.0
    stretches: list[tuple[int, int]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The achieved orders a second."""
        return self.orders / self.seconds if self.seconds else 0.0

    def add(self, orders: Sequence[Order]) -> None:
        self.orders += len(orders)
        for number in sorted(order.pk for order in orders):
            if self.stretches and self.stretches[-1][1] == number - 1:
                self.stretches[-1] = (self.stretches[-1][0], number)
            else:
                self.stretches.append((number, number))


def place(
    due: Iterable[Due],
    *,
    placed: RushResult,
    stop: threading.Event,
    on_placed: Callable[[int], object],
) -> None:
    """Place every order when it is due, until there are no more or ``stop`` is set.

    Time doesn't wait for the site: overdue orders are placed in bulk.
    """
    upcoming = iter(due)
    start = monotonic()
    following = next(upcoming, None)
    while following is not None and not stop.wait(start + following.after_s - monotonic()):
        elapsed = monotonic() - start
        batch: list[OrderRequest] = []
        while following is not None and following.after_s <= elapsed and len(batch) < BATCH:
            batch.append(following.request)
            following = next(upcoming, None)
        placed.add(place_orders(batch))
        placed.seconds = monotonic() - start
        on_placed(len(batch))


def wait_for_answers(placed: RushResult, *, seconds: float, stop: threading.Event) -> None:
    """Wait until the control has answered all orders, at most so many seconds."""
    deadline = monotonic() + seconds
    for first, last in placed.stretches:
        stretch = Order.objects.filter(pk__range=(first, last), state__in=_UNANSWERED)
        while stretch.exists():
            if stop.wait(max(0.0, min(_LOOK_S, deadline - monotonic()))):
                return
            if monotonic() >= deadline:
                return


def count_states(placed: RushResult) -> Counter[str]:
    """How many of the orders are in which state."""
    states: Counter[str] = Counter()
    for first, last in placed.stretches:
        rows = Order.objects.filter(pk__range=(first, last)).values_list("state")
        states.update(dict(rows.annotate(Count("pk"))))
    return states
