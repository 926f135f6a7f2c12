"""What is under way in a launch: orders that wait, how fast they come, how fresh the counts are.

A queue's length does not tell how many orders wait: a consumer may hold a thousand messages that it
has not recorded. So the backlog is counted from the orders themselves, wherever they wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import Count, Min, Q
from django.utils import timezone

from dashboard.models import Tally, TimeSlice
from dashboard.observing.recording import SLICE_S
from dashboard.observing.rosters import Roster, read_roster
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import OBSERVER_QUEUE, kitchen_queue
from restaurant.models import Launch, Letter, Order

ROLE_ORDER = {Role.CONTROL: 0, Role.CANDIDATE: 1, Role.BASELINE: 2}
#: Orders and outbox messages are counted up to here; one more means any number.
_COUNTED = 1000
_FRESH_S = 5.0
_RATE_SLICES = 5


class Feed(StrEnum):
    """How fresh the counts are."""

    FRESH = "fresh"
    #: Orders wait, and no event has come for a while.
    STALE = "stale"
    IDLE = "idle"


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The counters of a launch's versions, and what waits, at one moment."""

    at: datetime
    roster: Roster
    #: The control's first, candidates before baselines.
    tallies: Sequence[Tally]
    #: Messages that wait, by queue; what is missing is unknown.
    queues: Mapping[str, int]
    #: Outbox messages that are not sent yet.
    unsent: int
    #: Orders placed after the newest that the control is known to have ended, and the age of the
    #: oldest of them; of more than are counted, of the newest so many.
    behind: int
    oldest_s: float | None
    #: Orders a second that the control ended.
    rate: float

    @property
    def control(self) -> Tally:
        """The control's counters."""
        return self.tallies[0]

    @property
    def backlog(self) -> int | None:
        """Messages that wait for the observer; None if unknown."""
        return self.queues.get(OBSERVER_QUEUE)

    @property
    def waiting(self) -> int:
        """Orders that wait for the control, wherever."""
        return max((self.waiting_for(self.control) or 0) + self.unsent, self.behind)

    @property
    def newest_at(self) -> float | None:
        """When the newest event of any version came, in seconds since 1970."""
        newest = (one.newest_at.timestamp() for one in self.tallies if one.newest_at is not None)
        return max(newest, default=None)

    @property
    def age_s(self) -> float | None:
        """The age of the newest event; None before the first."""
        newest = self.newest_at
        return None if newest is None else max(0.0, self.at.timestamp() - newest)

    @property
    def feed(self) -> Feed:
        """How fresh the counts are: stale while anything waits and no event comes."""
        age_s = self.age_s
        if age_s is not None and age_s <= _FRESH_S:
            return Feed.FRESH
        return Feed.STALE if self.waiting or self.backlog else Feed.IDLE

    def waiting_for(self, version: Tally) -> int | None:
        """Orders that wait for a version; None if the length of its queue is unknown."""
        backlog = self.queues.get(kitchen_queue(version.version))
        in_hand = version.orders - version.handled - version.failed - version.missing
        return None if backlog is None else max(0, in_hand) + backlog

    def tally_of(self, version: str) -> Tally | None:
        """The counters of a version of the launch."""
        return next((one for one in self.tallies if one.version == version), None)

    def beside(self, asked: str) -> Tally | None:
        """The counters of the dark version beside the control: the one asked for, else the first;
        None if there is none."""
        dark = self.tallies[1:]
        return next((one for one in dark if one.version == asked), next(iter(dark), None))


def read_traffic(launch: Launch, queues: Mapping[str, int] | None) -> Traffic:
    """The traffic of a launch now; ``queues``: messages that wait, by queue, None if unknown."""
    now = timezone.now()
    roster = read_roster(launch)
    tallies = _tallies(roster)
    behind, oldest = _behind(launch.id, tallies[0].ended_until)
    return Traffic(
        at=now,
        roster=roster,
        tallies=tallies,
        queues=queues or {},
        unsent=Letter.objects.filter(sent_at=None)[: _COUNTED + 1].count(),
        behind=behind,
        oldest_s=max(0.0, (now - oldest).total_seconds()) if oldest is not None else None,
        rate=_rate(roster, now),
    )


def _tallies(roster: Roster) -> list[Tally]:
    """A tally for each version of a launch; an empty one before its first event."""
    stored = {tally.version: tally for tally in Tally.objects.filter(launch=roster.launch)}
    in_order = sorted(roster.roles.items(), key=lambda one: ROLE_ORDER[one[1]])
    return [
        stored.get(name) or Tally(launch=roster.launch, version=name, role=role)
        for name, role in in_order
    ]


def _behind(launch: UUID, ended_until: datetime | None) -> tuple[int, datetime | None]:
    """How many orders were placed later, and when the oldest of them."""
    later = Q(placed_at__gt=ended_until) if ended_until is not None else Q(pk__isnull=False)
    newest = Order.objects.filter(launch=launch).order_by("-id")[: _COUNTED + 1]
    found = newest.aggregate(
        orders=Count("pk", filter=later), oldest=Min("placed_at", filter=later)
    )
    return found["orders"], found["oldest"]


def _rate(roster: Roster, now: datetime) -> float:
    """Orders per second that the control ended, over the last whole slices."""
    end = int(now.timestamp()) // SLICE_S * SLICE_S
    start = end - _RATE_SLICES * SLICE_S
    ended = TimeSlice.objects.filter(
        launch=roster.launch, version=roster.control, start__gte=start, start__lt=end
    ).values_list("handled", "failed")
    return round(sum(map(sum, ended)) / (_RATE_SLICES * SLICE_S), 1)
