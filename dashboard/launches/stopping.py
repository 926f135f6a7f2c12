"""How fast a stop took hold: the last order that went to a version, as the observer saw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from dashboard.models import ObservedOrder
from restaurant.models import DarkVersion, Launch, LaunchChange

#: Orders that are looked at before the stop and after it.
_BEFORE = 500
_AFTER = 1_000
#: After so many orders without the version, or so long, the last one is known.
_SURE = 20
_SURE_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True)
class StopEffect:
    """The effect of a stop at a time."""

    at: datetime
    #: The last order that went to the version, as people name it, its id, and how long after the
    #: stop it was sent; empty if none is known.
    order: str = ""
    order_id: str = ""
    took_s: float = 0.0
    #: Later orders without it, and whether there may be more than were counted.
    since: int = 0
    is_more: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether the last order is not expected to change."""
        return self.since >= _SURE or timezone.now() - self.at > _SURE_AFTER


def stop_effects(launch: Launch) -> dict[str, StopEffect]:
    """The effects on the dark versions that get no more orders."""
    stops = {dark.version: _stopped_at(launch, dark) for dark in launch.dark_versions.all()}
    around = {at: _around(launch.pk, at) for at in {*stops.values()} if at is not None}
    return {
        version: _effect(*around[at], version, at)
        for version, at in stops.items()
        if at is not None
    }


def _stopped_at(launch: Launch, dark: DarkVersion) -> datetime | None:
    if dark.percent:
        return launch.ended_at
    changes = LaunchChange.objects.filter(launch=launch, version=dark.version)
    stopped = changes.values_list("at", flat=True).first()
    return stopped or launch.started_at


def _effect(
    orders: Sequence[ObservedOrder], is_more: bool, version: str, at: datetime
) -> StopEffect:
    last, since = None, 0
    for one in orders:
        last, since = (one, 0) if version in one.sample else (last, since + 1)
    if last is None:
        return StopEffect(at=at, since=since, is_more=is_more)
    return StopEffect(
        at=at,
        order=str(last),
        order_id=last.order_id,
        took_s=max(0.0, (last.sent_at - at).total_seconds()),
        since=since,
        is_more=is_more,
    )


def _around(launch: UUID, at: datetime) -> tuple[Sequence[ObservedOrder], bool]:
    """The orders around a time, in order of arrival, and whether there may be later ones."""
    orders = ObservedOrder.objects.filter(launch=launch).only(
        "number", "order_id", "sample", "sent_at"
    )
    first = _first_after(launch, at)
    before = reversed(orders.filter(pk__lt=first).order_by("-pk")[:_BEFORE])
    after = list(orders.filter(pk__gte=first).order_by("pk")[:_AFTER])
    return [*before, *after], len(after) == _AFTER


def _first_after(launch: UUID, at: datetime) -> int:
    """Where the orders begin that arrived after a time: their ids rise with their arrival, so that
    a few of them tell."""
    orders = ObservedOrder.objects.filter(launch=launch)
    low, newest = (orders.order_by(by).values_list("pk", flat=True).first() for by in ("pk", "-pk"))
    low, high = low or 0, (newest or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = orders.filter(pk__gte=middle).order_by("pk").values_list("pk", "arrived_at").first()
        if row is None or row[1] > at:
            high = middle
        else:
            low = row[0] + 1
    return low
