"""The evidence of a launch beside its verdict: every order accounted for, the dark versions dark,
the control unharmed, and what a dark version would have done to customers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.access import board_access
from dashboard.board import wording
from dashboard.comparison.outcome import State
from dashboard.fold.accounting import Place
from dashboard.ingest.stored import arrivals_of, hindsight_of, live_effect_of
from dashboard.models import (
    DeadLetter,
    DeadLetterTally,
    Observation,
    ObservedOrder,
    Participant,
)
from dashboard.pages.accounted_orders import (
    LISTED,
    LOOKED_AT,
    newest_ids,
    numbers_of,
    orders_at,
)
from dashboard.pages.launches import launch_or_404
from dashboard.verdict.capacity import MINUTE_S, Capacity, Handling, capacity_of
from dashboard.verdict.hindsight import slowest_tenth_ms
from dashboard.verdict.traffic import Traffic, read_traffic
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import ANSWERS_QUEUE
from restaurant.dark_answers import check_answers
from restaurant.models import Launch

#: What each place means.
PLACES = {
    Place.HANDLED: "a result came",
    Place.FAILED: "the version raised an error",
    Place.TIMED_OUT: "taken, but not ended in time",
    Place.MISSING: "never taken by the deadline",
    Place.DROPPED: "dropped from its full queue, or waited too long",
    Place.REFUSED: "a dead letter has the reason",
    Place.IN_WORK: "within the deadline",
}
#: The level of the interval of the control's time.
_ALPHA = 0.05
#: The newest orders from which it is read how many a version handles at once.
_LATELY = 500


@dataclass(frozen=True, kw_only=True)
class PlaceRow:
    """One place of the account: the number of each version."""

    place: Place
    meaning: str
    numbers: Sequence[tuple[Participant, int]]


@require_safe
@never_cache
@board_access
def evidence(request: HttpRequest, launch: UUID) -> HttpResponse:
    """The evidence of a launch, and on request the orders behind one of its numbers."""
    found = launch_or_404(launch)
    traffic = read_traffic(found, None)
    context = {
        "launch": found,
        "newest_at": _moment(traffic.newest_at),
        "since": traffic.control.accounted_since,
        "participants": traffic.participants,
        "rows": _account(traffic.participants),
        "is_whole": all(_adds_up(one) for one in traffic.participants),
        "sums": [sum(one.account.values()) for one in traffic.participants],
        **_listed(request, traffic),
        "dark": _dark(found, traffic),
        "live": _live(traffic.control),
        "capacities": _capacities(traffic),
        "peak": _peak(traffic),
        "candidates": [
            _hindsight(traffic.control, one)
            for one in traffic.participants
            if one.role == Role.CANDIDATE
        ],
    }
    return render(request, "dashboard/evidence.html", context)


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _account(participants: Sequence[Participant]) -> list[PlaceRow]:
    return [
        PlaceRow(
            place=place,
            meaning=meaning,
            numbers=[(one, one.account.get(place, 0)) for one in participants],
        )
        for place, meaning in PLACES.items()
    ]


def _adds_up(one: Participant) -> bool:
    return sum(one.account.values()) == one.sampled and min(one.account.values(), default=0) >= 0


def _listed(request: HttpRequest, traffic: Traffic) -> dict[str, Any]:
    """The orders at the asked place of the asked version; nothing unless both are known."""
    participant = traffic.participant(request.GET.get("version", ""))
    try:
        place = Place(request.GET.get("place", ""))
    except ValueError:
        return {}
    if participant is None:
        return {}
    found = orders_at(participant, place)
    return {
        "asked": participant,
        "place": place,
        "of": participant.account.get(place, 0),
        "orders": found.orders,
        "is_all": found.is_all,
        "most": LISTED,
        "looked_at": LOOKED_AT,
    }


def _dark(launch: Launch, traffic: Traffic) -> dict[str, Any]:
    """How many answers of dark versions came to the answers' queue, and to customers."""
    names = [one.version for one in traffic.participants[1:]]
    checked = check_answers(newest_ids(launch.pk, LOOKED_AT), names)
    refused = DeadLetter.objects.filter(
        queue=ANSWERS_QUEUE, version__in=names, seen_at__gte=launch.started_at
    )
    tally = DeadLetterTally.objects.filter(queue=ANSWERS_QUEUE)
    return {
        "names": names,
        "checked": checked,
        "refused": refused.count(),
        "newest_refused": refused.first(),
        "tally": tally.values_list("count", flat=True).first() or 0,
    }


def _live(control: Participant) -> dict[str, Any]:
    """The control's handling time on sampled orders against the others."""
    found = live_effect_of(control)
    if found.estimate is None:
        return {"blocks": 0, "open": len(found.open)}
    interval = found.interval(_ALPHA)
    is_known = interval.hi < math.log(100)
    return {
        "blocks": found.blocks,
        "sampled": found.sampled,
        "others": found.others,
        "lost": found.lost,
        "estimate": wording.change(math.expm1(found.estimate)),
        "interval": f"{wording.change(math.expm1(interval.lo))} to "
        f"{wording.change(math.expm1(interval.hi))}"
        if is_known
        else "",
        "harmed": is_known and interval.lo > 0,
        "faster": is_known and interval.hi < 0,
    }


@dataclass(frozen=True, kw_only=True)
class KeepingUp:
    """What a version's capacity means for the traffic of the launch."""

    participant: Participant
    capacity: Capacity | None
    #: At the launch's rate now, and at its busiest minute.
    utilisation: float | None = None
    headroom: float | None = None
    backlog: int = 0
    drain: str = ""

    @property
    def per_second(self) -> str:
        return wording.rate(self.capacity.per_second) if self.capacity else ""

    @property
    def mean(self) -> str:
        return wording.duration(self.capacity.mean_ms) if self.capacity else ""


def _capacities(traffic: Traffic) -> list[KeepingUp]:
    return [_keeping_up(one, traffic) for one in traffic.participants]


def _keeping_up(one: Participant, traffic: Traffic) -> KeepingUp:
    found = capacity_of(_lately(one), {int(bucket): n for bucket, n in one.times.items()})
    backlog = one.account.get(Place.IN_WORK, 0)
    if found is None:
        return KeepingUp(participant=one, capacity=None, backlog=backlog)
    peak = arrivals_of(traffic.control).peak_rate
    drain_s = found.drain_s(backlog, traffic.rate)
    return KeepingUp(
        participant=one,
        capacity=found,
        utilisation=found.utilisation(traffic.rate),
        headroom=found.headroom(peak),
        backlog=backlog,
        drain="never: it falls behind" if drain_s is None else wording.age(drain_s),
    )


def _lately(one: Participant) -> list[Handling]:
    """What a version handled of the newest orders of the launch."""
    if not one.pk:
        return []
    orders = ObservedOrder.objects.filter(launch=one.launch).order_by("-id")
    newest = list(orders.values_list("id", flat=True)[:_LATELY])
    rows = Observation.objects.filter(
        participant=one.pk, order__in=newest, state=State.HANDLED
    ).values_list("worker", "finished_at", "handling_ms")
    return [
        Handling(worker, finished_at, ms)
        for worker, finished_at, ms in rows
        if finished_at is not None and ms is not None
    ]


def _peak(traffic: Traffic) -> dict[str, Any] | None:
    found = arrivals_of(traffic.control)
    if not found.peak:
        return None
    return {
        "orders": found.peak,
        "rate": wording.rate(found.peak_rate),
        "at": _moment(found.peak_minute * MINUTE_S),
        "now": wording.rate(traffic.rate),
    }


def _hindsight(control: Participant, one: Participant) -> dict[str, Any]:
    """What would have happened had this version been live."""
    found, cells = hindsight_of(one), one.matrix
    ours, theirs = (
        slowest_tenth_ms({int(bucket): n for bucket, n in row.times.items()})
        for row in (control, one)
    )
    names = numbers_of([order_id for _, order_id in found.worst])
    lost_s = found.lost_s
    return {
        "participant": one,
        "would_fail": cells.get("handled/failed", 0),
        "would_miss": cells.get("handled/missing", 0),
        "would_serve": cells.get("failed/handled", 0) + cells.get("missing/handled", 0),
        "pairs": found.pairs,
        "is_lost": lost_s > 0,
        "total": wording.age(abs(lost_s)),
        "each": wording.duration(abs(lost_s) * 1000 / found.pairs) if found.pairs else "",
        "tenth": {
            "control": wording.duration(ours),
            "version": wording.duration(theirs),
            "change": wording.delta(ours, theirs),
        }
        if ours and theirs
        else None,
        "worst": [
            (order_id, names.get(order_id, order_id), wording.duration(slower_us / 1000))
            for slower_us, order_id in found.worst
        ],
    }
