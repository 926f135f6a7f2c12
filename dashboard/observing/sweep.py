"""Finds the orders that a version has not answered in time: every order is accounted for.

The deadline runs from when the order was sent. Letters are looked through in the order of sending,
once each, so that a sweep costs the same however long the launch has run; and a bounded number at a
time, so that events that come meanwhile do not wait for long.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from dashboard.models import Observation, Sweep
from dashboard.observing.recording import Silence, record_silences
from dashboard.observing.rosters import Roster, read_roster
from restaurant.launches import find_launch
from restaurant.models import Launch, Letter
from restaurant.write_lock import write_transaction

#: Letters that one step looks through at most (more only where they were sent at one instant).
STEP = 500
#: Letters this much before the last sweep are looked at again: their sending may have been
#: committed late.
_OVERLAP = timedelta(seconds=5)
#: How long after its end orders may still be placed in a launch, by processes that have not heard.
_AFTER_END = timedelta(hours=1)


def unfinished() -> QuerySet[Launch]:
    """The launches in which something may still be missing that was not looked for."""
    finished = Sweep.objects.filter(finished=True).values("launch")
    return Launch.objects.exclude(id__in=finished).order_by("started_at")


@dataclass
class Sweeping:
    """One sweep of all launches, of letters that were sent until a time; call ``step`` until it is
    done. A step is one transaction at most, and may be repeated."""

    until: datetime
    #: The launches that are to be swept yet, and from when on; None before the first step.
    _left: dict[UUID, datetime] | None = field(default=None)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to look through."""
        return self._left is not None and not self._left

    def step(self, now: datetime) -> int:
        """Look through the next letters; says how many observations were marked as missing."""
        if self._left is None:
            self._left = dict(self._beginnings())
        if not self._left:
            return 0
        launch_id, since = next(iter(self._left.items()))
        launch = find_launch(launch_id)
        if launch is None:
            del self._left[launch_id]
            return 0
        roster = read_roster(launch)
        end, letters = _next(launch, since, self.until)
        silences = list(_silences(roster, letters))
        marked = record_silences(roster, silences, now) if silences else 0
        with write_transaction():
            self._save(launch, end)
        if end < self.until:
            self._left[launch_id] = end
        else:
            del self._left[launch_id]
        return marked

    def _beginnings(self) -> Iterable[tuple[UUID, datetime]]:
        swept = dict(Sweep.objects.values_list("launch", "swept_until"))
        for launch, started_at in unfinished().values_list("id", "started_at"):
            since = swept.get(launch, started_at)
            if since < self.until:
                yield launch, since - _OVERLAP

    def _save(self, launch: Launch, end: datetime) -> None:
        row, _ = Sweep.objects.get_or_create(
            launch=launch.id, defaults={"swept_until": launch.started_at}
        )
        row.swept_until = max(row.swept_until, end)
        row.finished = (
            launch.ended_at is not None
            and end >= max(self.until, launch.ended_at + _AFTER_END)
            and not Letter.objects.filter(launch=launch, sent_at=None).exists()
        )
        row.save()


def _next(launch: Launch, since: datetime, until: datetime) -> tuple[datetime, list[Letter]]:
    """The next letters whose deadline has passed, and up to when they were sent."""
    sent = Letter.objects.filter(launch=launch, sent_at__gt=since, sent_at__lte=until)
    last = sent.order_by("sent_at").values_list("sent_at", flat=True)[STEP : STEP + 1].first()
    end = last or until
    fields = ("sample", "order__uuid", "order__placed_at")
    return end, list(sent.filter(sent_at__lte=end).select_related("order").only(*fields))


def _silences(roster: Roster, letters: Iterable[Letter]) -> Iterable[Silence]:
    orders = [letter.order.uuid for letter in letters]
    known = set(
        Observation.objects.filter(order__in=orders)
        .exclude(state="received")
        .values_list("order", "version")
    )
    for letter in letters:
        for version in (roster.control, *letter.sample):
            if version in roster.roles and (letter.order.uuid, version) not in known:
                yield Silence(letter.order.uuid, version, letter.order.placed_at)
