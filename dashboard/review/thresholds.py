"""A launch's thresholds: set by users with a reason, never overwritten.

A change applies at once, to all orders so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError

from dashboard.database import atomic
from dashboard.models import LaunchRequirements
from dashboard.verdict.thresholds import THRESHOLDS, Requirements


class RequirementsChanged(Exception):
    """Raised when somebody else changed the thresholds in the meantime."""


@dataclass(frozen=True, slots=True)
class ThresholdChange:
    """A change of thresholds; each as name, old and new value."""

    author: str
    set_at: datetime
    reason: str
    lines: tuple[tuple[str, float, float], ...]


def current_revision(launch: UUID) -> int:
    """The id of the change in force; 0 for the defaults."""
    return (
        LaunchRequirements.objects.filter(launch=launch).values_list("pk", flat=True).first() or 0
    )


def set_requirements(
    launch: UUID, required: Requirements, *, author: str, reason: str, now: datetime, seen: int
) -> LaunchRequirements:
    """Set thresholds; raises RequirementsChanged unless ``seen`` is still the current revision."""
    lines = {name: value for name, value in asdict(required).items() if name in THRESHOLDS}
    if current_revision(launch) != seen:
        raise RequirementsChanged
    try:
        with atomic():
            return LaunchRequirements.objects.create(
                launch=launch, author=author, reason=reason, set_at=now, follows=seen, **lines
            )
    except IntegrityError as others:
        raise RequirementsChanged from others


def changes(launch: UUID, most: int, *, until: datetime | None = None) -> Iterator[ThresholdChange]:
    """The newest changes before a time, newest first; the first one ever is compared with the
    defaults."""
    found = LaunchRequirements.objects.filter(launch=launch)
    rows = list((found if until is None else found.filter(set_at__lt=until))[: most + 1])
    before: Iterable[LaunchRequirements | Requirements] = (*rows[1:], Requirements())
    for row, old in zip(rows[:most], before, strict=False):
        values = ((name, getattr(old, name), getattr(row, name)) for name in THRESHOLDS)
        lines = tuple(one for one in values if one[1] != one[2])
        yield ThresholdChange(row.author, row.set_at, row.reason, lines)
