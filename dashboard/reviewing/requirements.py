"""A launch's thresholds: set by people, with a reason, never overwritten.

A change counts at once, for all orders seen so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from dashboard.models import LaunchRequirements
from dashboard.verdict.requirements import THRESHOLDS, Requirements


class RequirementsChanged(Exception):
    """Raised when somebody else has set the lines since they were looked at."""


@dataclass(frozen=True, slots=True)
class Change:
    """One setting of the lines: by whom, when, why, and which of them: name, before, after."""

    author: str
    set_at: datetime
    reason: str
    lines: tuple[tuple[str, float, float], ...]


def newest(launch: UUID) -> int:
    """The number of the setting that holds; 0 while the defaults do."""
    return (
        LaunchRequirements.objects.filter(launch=launch).values_list("pk", flat=True).first() or 0
    )


def set_requirements(
    launch: UUID, required: Requirements, *, author: str, reason: str, now: datetime, seen: int
) -> LaunchRequirements:
    """Have these lines hold from now on; ``seen`` is what held when the author looked.

    Raises RequirementsChanged.
    """
    lines = {name: value for name, value in asdict(required).items() if name in THRESHOLDS}
    if newest(launch) != seen:
        raise RequirementsChanged
    try:
        with transaction.atomic():
            return LaunchRequirements.objects.create(
                launch=launch, author=author, reason=reason, set_at=now, follows=seen, **lines
            )
    except IntegrityError as others:
        raise RequirementsChanged from others


def changes(launch: UUID, most: int) -> Iterator[Change]:
    """Who set which lines and why, newest first, and the first one against the defaults."""
    rows = list(LaunchRequirements.objects.filter(launch=launch)[: most + 1])
    before: Iterable[LaunchRequirements | Requirements] = (*rows[1:], Requirements())
    for row, old in zip(rows[:most], before, strict=False):
        values = ((name, getattr(old, name), getattr(row, name)) for name in THRESHOLDS)
        lines = tuple(one for one in values if one[1] != one[2])
        yield Change(row.author, row.set_at, row.reason, lines)
