"""The orders behind a number of the account, newest first: a bounded search."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from dashboard.comparison.outcome import Outcome, State
from dashboard.fold.accounting import Place, place_in
from dashboard.fold.records import Loss
from dashboard.ingest.stored import losses
from dashboard.models import LostOrder, Observation, ObservedOrder, Participant
from kitchen_worker.contract.messages import Role

#: Orders listed at most.
LISTED = 50
#: The newest orders of a launch that are looked through, and those that an index leads to.
LOOKED_AT = 1000
_LED_TO = 200
#: An index leads to pairs with these outcomes.
_OUTCOMES = {
    Place.FAILED: (Outcome.CANDIDATE_FAILED, Outcome.BOTH_FAILED),
    Place.TIMED_OUT: (Outcome.CANDIDATE_FAILED, Outcome.BOTH_FAILED, Outcome.MISSING),
    Place.MISSING: (Outcome.MISSING,),
}


@dataclass(frozen=True)
class FoundOrders:
    """The newest orders at a place; older ones may be there as well unless ``is_all``."""

    orders: list[ObservedOrder]
    is_all: bool


def orders_at(participant: Participant, place: Place) -> FoundOrders:
    """The newest orders that are at a place for a version."""
    of_launch = ObservedOrder.objects.filter(
        launch=participant.launch, id__gte=participant.accounted_from
    )
    newest = list(of_launch.order_by("-id").defer("body", "categories")[:LOOKED_AT])
    known = {one.pk: one for one in newest}
    further = {*_by_outcome(participant, place)} - known.keys()
    lost = [*_by_loss(participant, place)]
    for one in (
        *of_launch.filter(pk__in=further).defer("body", "categories"),
        *of_launch.filter(order_id__in=lost).defer("body", "categories"),
    ):
        known[one.pk] = one
    found = [*_at(participant, place, known.values())]
    found.sort(key=lambda one: -one.pk)
    return FoundOrders(found[:LISTED], is_all=len(newest) < LOOKED_AT and len(found) <= LISTED)


def _by_outcome(participant: Participant, place: Place) -> Iterator[int]:
    if not participant.pk:
        return
    pairs = Observation.objects.filter(participant=participant.pk)
    for outcome in _OUTCOMES.get(place, ()):
        rows = pairs.filter(exception=outcome).order_by("exception", "-order_id")
        yield from rows.values_list("order_id", flat=True)[:_LED_TO]


def _by_loss(participant: Participant, place: Place) -> Collection[str]:
    if place not in (Place.DROPPED, Place.REFUSED):
        return ()
    cause = Loss.DROPPED if place is Place.DROPPED else Loss.REFUSED
    rows = LostOrder.objects.filter(version=participant.version, cause=cause).order_by("-id")
    return list(rows.values_list("order_id", flat=True)[:_LED_TO])


def _at(
    participant: Participant, place: Place, orders: Iterable[ObservedOrder]
) -> Iterator[ObservedOrder]:
    sent = [
        one
        for one in orders
        if participant.role == Role.CONTROL or participant.version in one.sample
    ]
    lost = losses([one.order_id for one in sent])
    rows = Observation.objects.filter(
        participant=participant.pk, order__in=[one.pk for one in sent]
    ).values_list("order_id", "state", "received_at", "error_type")
    seen = {order: (State(state), at is not None, error) for order, state, at, error in rows}
    for one in sent:
        state, is_taken, error_type = seen.get(one.pk, (None, False, ""))
        loss = lost.get((one.order_id, participant.version))
        if place_in(state, loss, is_taken=is_taken, error_type=error_type) is place:
            yield one


def numbers_of(order_ids: Collection[str]) -> dict[str, str]:
    """How a few orders are called, by id."""
    return {one.order_id: str(one) for one in ObservedOrder.objects.filter(order_id__in=order_ids)}


def newest_ids(launch: UUID, most: int) -> list[UUID]:
    """The ids of the newest orders of a launch, without those that are no UUID."""
    rows = ObservedOrder.objects.filter(launch=launch).order_by("-id")
    return [*_uuids(rows.values_list("order_id", flat=True)[:most])]


def _uuids(texts: Iterable[str]) -> Iterator[UUID]:
    for text in texts:
        try:
            yield UUID(text)
        except ValueError:
            continue
