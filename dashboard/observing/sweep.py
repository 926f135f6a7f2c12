"""Finds the orders that a version has not answered in time: every order is accounted for.

The deadline runs from when the order was sent. Letters are looked through in the order of sending,
once each, so that a sweep costs the same however long the launch has run.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from dashboard.models import Observation, Sweep
from dashboard.observing.recording import Silence, record_silences
from dashboard.observing.rosters import Roster, read_roster
from restaurant.models import Launch, Letter

#: Letters that one step looks through at most (more only where they were sent at one instant).
STEP = 1000
#: Letters this much before the last step are looked at again: their sending may have been
#: committed late.
_OVERLAP = timedelta(seconds=5)
#: How long after its end a launch is still swept.
_AFTER_END = timedelta(hours=1)


def sweep(now: datetime, deadline: timedelta) -> int:
    """Mark what is missing in every launch; says how many observations it marked."""
    launches = Launch.objects.filter(ended_at=None) | Launch.objects.filter(
        ended_at__gt=now - _AFTER_END
    )
    return sum(
        _sweep_launch(launch, now - deadline, now)
        for launch in launches.prefetch_related("dark_versions")
    )


def _sweep_launch(launch: Launch, until: datetime, now: datetime) -> int:
    roster = read_roster(launch)
    sweep_row, _ = Sweep.objects.get_or_create(
        launch=launch.id, defaults={"swept_until": launch.started_at}
    )
    marked = 0
    while sweep_row.swept_until < until:
        sweep_row.swept_until, letters = _due(launch, sweep_row.swept_until, until)
        if silences := list(_silences(roster, letters)):
            marked += record_silences(roster, silences, now)
        sweep_row.save()
    return marked


def _due(launch: Launch, since: datetime, until: datetime) -> tuple[datetime, list[Letter]]:
    """The next letters whose deadline has passed, and up to when they were sent."""
    later = Letter.objects.filter(launch=launch, sent_at__gt=since, sent_at__lte=until)
    last = later.order_by("sent_at").values_list("sent_at", flat=True)[STEP : STEP + 1].first()
    until = last or until
    letters = Letter.objects.filter(launch=launch, sent_at__gt=since - _OVERLAP, sent_at__lte=until)
    fields = ("sample", "order__uuid", "order__placed_at")
    return until, list(letters.select_related("order").only(*fields))


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
