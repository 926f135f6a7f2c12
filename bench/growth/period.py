"""The first period of a launch, recorded by the product's own code: all else is copied from it.

Orders and letters are what ``place_orders`` writes, answers and observations what their recorders
write of the events that kitchens would send, and what is missing is what a sweep finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any, TypeVar

from django.conf import settings

from bench.growth.clock import it_is, named_from
from bench.growth.names import START, Period
from dashboard.observing.recording import record_events
from dashboard.observing.rosters import Roster, read_roster
from dashboard.observing.sweep import sweep
from kitchen_worker.contract.messages import Event, EventKind, Order, Role, decode_order
from kitchen_worker.cooking import failure_of
from kitchen_worker.kitchens.known import COOKS, known_name
from restaurant import answers
from restaurant.launches import start_launch
from restaurant.models import Letter
from restaurant.orders import place_orders
from restaurant.outbox import mark_sent
from restaurant.rush import rush

CONTROL, CANDIDATE, BASELINE = "vlatest", "vnext", "vlatest-b"
#: Events that are recorded at once: as many as an observer takes when it has much to do.
_AT_ONCE = 500
#: The end of a period, in which nothing is placed: what is cooked ends in its own period.
_LULL_S = 2.0
_MINUTE_MS = 4.0
#: Of the candidate's orders, those that it never ends, and those of which one hears late.
_LOST, _LATE = 0.0005, 0.0005

_One = TypeVar("_One")


@dataclass(frozen=True)
class _Told:
    """What one version said of one order, and when that was heard."""

    said: tuple[Event, ...]
    late: bool = False


def record_period(period: Period, seed: int) -> Roster:
    """Open a launch and record its first orders, up to the sweep after them."""
    random = Random(seed)
    shares = [(CANDIDATE, Role.CANDIDATE, Decimal(100)), (BASELINE, Role.BASELINE, Decimal(20))]
    with it_is(START), named_from(seed, 0):
        launch = start_launch("Grown", CONTROL, shares, author="bench")
    _place(period, seed)
    roster = read_roster(launch)
    told = [one for letter in _letters() for one in _said(letter, random)]
    _record(roster, [event for one in told if not one.late for event in one.said])
    deadline = timedelta(seconds=settings.ENVIRONMENT.deadline_s)
    sweep(period.start(1) + deadline, deadline)
    _record(roster, [event for one in told if one.late for event in one.said])
    return roster


def _place(period: Period, seed: int) -> None:
    """Place orders one by one, evenly over the period, each of which is sent at once."""
    step = timedelta(seconds=(period.seconds - _LULL_S) / period.orders)
    for place, request in enumerate(islice(rush(seed), period.orders)):
        moment = START + place * step
        # A message leaves out a fraction that is nought; a copy counts on there being one.
        moment = moment.replace(microsecond=moment.microsecond | 1)
        with it_is(moment), named_from(seed, place + 1):
            placed = place_orders([request])
        with it_is(moment + timedelta(milliseconds=5)):
            mark_sent([order.letter.pk for order in placed])


def _letters() -> Iterator[Letter]:
    return Letter.objects.select_related("order").order_by("id").iterator(2000)


def _said(letter: Letter, random: Random) -> Iterator[_Told]:
    """What each version that was sent an order says of it."""
    order = decode_order(bytes(letter.body))
    for version in (CONTROL, *letter.sample):
        received, ended = _events(order, str(letter.launch_id), version, random)
        drawn = random.random() if version == CANDIDATE else 1.0
        if drawn < _LOST:
            yield _Told((received,))
        else:
            yield _Told((received, ended), late=drawn < _LOST + _LATE)


def _events(order: Order, launch: str, version: str, random: Random) -> tuple[Event, Event]:
    received_at = order.placed_at + timedelta(milliseconds=random.uniform(2, 20))
    said: dict[str, Any] = {
        "order_id": order.id,
        "launch": launch,
        "version": version,
        "role": {CONTROL: Role.CONTROL, CANDIDATE: Role.CANDIDATE}.get(version, Role.BASELINE),
        "build": "shipped",
        "worker": f"{version}-1:4711",
        "placed_at": order.placed_at,
        "received_at": received_at,
    }
    received = Event(event_id=f"{order.id}/{version}/0", kind=EventKind.RECEIVED, **said)
    result, error, minutes = None, None, 1
    try:
        result = COOKS[known_name(version) or version](order, random)
        minutes = result["actual_minutes"]
    except ValueError as cause:
        error = failure_of(cause)
    handling_ms = min(1500.0, minutes * _MINUTE_MS * random.lognormvariate(0, 0.08))
    ended = Event(
        event_id=f"{order.id}/{version}/1",
        kind=EventKind.FAILED if error else EventKind.HANDLED,
        finished_at=received_at + timedelta(milliseconds=handling_ms),
        queue_ms=(received_at - order.placed_at).total_seconds() * 1000,
        handling_ms=handling_ms,
        result=result,
        error=error,
        **said,
    )
    return received, ended


def _record(roster: Roster, events: Sequence[Event]) -> None:
    """Let the restaurant hear its own kitchen, and the observer all of them."""
    for some in _chunks(events):
        heard_at = max(event.finished_at or event.received_at for event in some)
        with it_is(heard_at):
            answers.record(event for event in some if event.version == roster.control)
        record_events(roster, some, heard_at)


def _chunks(several: Sequence[_One]) -> Iterator[Sequence[_One]]:
    return (several[start : start + _AT_ONCE] for start in range(0, len(several), _AT_ONCE))
