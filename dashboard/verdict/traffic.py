"""The traffic of a launch: orders that wait, how fast they come, and how current the counts are.

A queue's length does not show how many orders wait: a consumer may hold a thousand messages that it
has not recorded. So the backlog is counted from the orders themselves, wherever they wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from dashboard.fold.fold import SLICE_S
from dashboard.ingest.stream import Roster, read_roster
from dashboard.models import ObservedOrder, Participant, TimeSlice
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import STREAM_QUEUE, kitchen_queue
from restaurant.models import Launch
from restaurant.outbox import Backlog, backlog, sent_since

ROLE_ORDER = {Role.CONTROL: 0, Role.CANDIDATE: 1, Role.BASELINE: 2}
#: Orders and outbox messages are counted up to here; one more means "more".
_COUNTED = 1000
_FRESH_S = 5.0
_RATE_SLICES = 5


class Feed(StrEnum):
    """How current the counts are."""

    FRESH = "fresh"
    #: Orders wait, and no event has come for a while.
    STALE = "stale"
    IDLE = "idle"


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The counters of the versions of a launch, and what waits, at one moment."""

    at: datetime
    roster: Roster
    #: The control first, then candidates, then baselines.
    participants: Sequence[Participant]
    #: Waiting messages by queue; a queue that is not listed is unknown.
    queues: Mapping[str, int]
    #: Outbox messages that are not sent yet.
    unsent: int
    #: Orders placed after the newest one that the control has answered, seen by the observer or
    #: not, including those of an open launch in the outbox; and the age of the oldest one. Counted
    #: up to a limit, from the newest on.
    behind: int
    oldest_s: float | None
    #: Orders per second that the control answers.
    rate: float

    @property
    def control(self) -> Participant:
        return self.participants[0]

    @property
    def backlog(self) -> int | None:
        """Messages that wait for the observer; None if unknown."""
        return self.queues.get(STREAM_QUEUE)

    @property
    def waiting(self) -> int:
        """Orders that wait for the control, anywhere."""
        return max((self.waiting_for(self.control) or 0) + self.unsent, self.behind)

    @property
    def newest_at(self) -> float | None:
        """When the newest event of any version arrived, in seconds since 1970."""
        newest = (
            one.newest_at.timestamp() for one in self.participants if one.newest_at is not None
        )
        return max(newest, default=None)

    @property
    def age_s(self) -> float | None:
        """The age of the newest event; None before the first."""
        newest = self.newest_at
        return None if newest is None else max(0.0, self.at.timestamp() - newest)

    @property
    def feed(self) -> Feed:
        """How current the counts are."""
        age_s = self.age_s
        if age_s is not None and age_s <= _FRESH_S:
            return Feed.FRESH
        return Feed.STALE if self.waiting or self.backlog else Feed.IDLE

    def waiting_for(self, version: Participant) -> int | None:
        """Orders that wait for a version; None if the length of its queue is unknown."""
        backlog = self.queues.get(kitchen_queue(version.version))
        in_hand = version.orders - version.handled - version.failed - version.missing
        return None if backlog is None else max(0, in_hand) + backlog

    def participant(self, version: str) -> Participant | None:
        return next((one for one in self.participants if one.version == version), None)

    def beside(self, asked: str) -> Participant | None:
        """The counters of the dark version to show beside the control: the one asked for, else the
        first; None if there is none."""
        dark = self.participants[1:]
        return next((one for one in dark if one.version == asked), next(iter(dark), None))


def read_traffic(launch: Launch, queues: Mapping[str, int] | None) -> Traffic:
    """The current traffic of a launch; ``queues``: waiting messages by queue, None if unknown."""
    now = timezone.now()
    roster = read_roster(launch)
    participants = _participants(roster)
    unsent = backlog(at_most=_COUNTED + 1)
    late = [*_behind(launch.id, participants[0].ended_until)]
    if launch.ended_at is None:
        late.append(unsent)
    behind = sum(one.orders for one in late)
    oldest = min((one.oldest for one in late if one.oldest is not None), default=None)
    return Traffic(
        at=now,
        roster=roster,
        participants=participants,
        queues=queues or {},
        unsent=unsent.orders,
        behind=behind,
        oldest_s=max(0.0, (now - oldest).total_seconds()) if oldest is not None else None,
        rate=_rate(roster, now),
    )


def _participants(roster: Roster) -> list[Participant]:
    """The counters of each version, all zero before its first event."""
    stored = {one.version: one for one in Participant.objects.filter(launch=roster.launch)}
    in_order = sorted(roster.roles.items(), key=lambda one: ROLE_ORDER[one[1]])
    return [
        stored.get(name) or Participant(launch=roster.launch, version=name, role=role)
        for name, role in in_order
    ]


def _behind(launch: UUID, ended_until: datetime | None) -> Iterator[Backlog]:
    """The orders placed later: those that the observer has seen, and the others, of which it may
    hold a thousand unrecorded."""
    later = Q(placed_at__gt=ended_until) if ended_until is not None else Q(pk__isnull=False)
    newest = ObservedOrder.objects.filter(launch=launch).order_by("-id")[: _COUNTED + 1]
    found = newest.aggregate(
        orders=Count("pk", filter=later),
        oldest=Min("placed_at", filter=later),
        number=Max("number"),
    )
    yield Backlog(found["orders"], found["oldest"])
    number = found["number"] or _newest_number()
    yield sent_since(launch, number, at_most=_COUNTED + 1)


def _newest_number() -> int:
    """The highest order number; not every system numbers its orders."""
    numbers = ObservedOrder.objects.order_by("-id").values_list("number", flat=True)
    return numbers.first() or 0


def _rate(roster: Roster, now: datetime) -> float:
    """Orders per second that the control answered, over the last whole slices."""
    end = int(now.timestamp()) // SLICE_S * SLICE_S
    start = end - _RATE_SLICES * SLICE_S
    ended = TimeSlice.objects.filter(
        launch=roster.launch, version=roster.control, start__gte=start, start__lt=end
    ).values_list("handled", "failed")
    return round(sum(map(sum, ended)) / (_RATE_SLICES * SLICE_S), 1)
