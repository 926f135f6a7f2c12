"""Times of day in drill-down: year, month, day, hour, minute; and the orders of such a period.

Orders are numbered as they are placed, so a period is a stretch of numbers: its ends are found by
halving, in a few looks at the primary key. No table needs an index for it, and none is scanned.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from dashboard.observing.halving import first_id_from
from restaurant.models import Order

#: How each level is written in an address, as far as it goes.
_FORMATS = ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H", "%Y-%m-%dT%H:%M")
_LABELS = ("%Y", "%B %Y", "%-d %B %Y", "%H:00", "%H:%M")
_MINUTE = len(_FORMATS) - 1


@dataclass(frozen=True)
class Period:
    """A year, a month, a day, an hour or a minute."""

    level: int
    start: datetime

    @classmethod
    def read(cls, text: str) -> Period | None:
        """What an address says, or None."""
        for level, written in enumerate(_FORMATS):
            try:
                start = datetime.strptime(text, written)  # noqa: DTZ007 - made aware below
            except ValueError:
                continue
            return cls(level, timezone.make_aware(start)) if 1 < start.year < 9999 else None
        return None

    @property
    def end(self) -> datetime:
        """When it is over."""
        start = timezone.make_naive(self.start)
        if self.level == 0:
            end = start.replace(year=start.year + 1)
        elif self.level == 1:
            end = (start + timedelta(days=32)).replace(day=1)
        else:
            days, hours, minutes = ((1, 0, 0), (0, 1, 0), (0, 0, 1))[self.level - 2]
            end = start + timedelta(days=days, hours=hours, minutes=minutes)
        return timezone.make_aware(end)

    @property
    def address(self) -> str:
        """What ``read`` reads."""
        return timezone.make_naive(self.start).strftime(_FORMATS[self.level])

    @property
    def label(self) -> str:
        """What a person reads."""
        return timezone.make_naive(self.start).strftime(_LABELS[self.level])

    def parts(self, first: datetime, last: datetime) -> list[Period]:
        """The periods of the next level within it, from the first to the last moment given."""
        return (
            []
            if self.level == _MINUTE
            else _between(
                self.level + 1,
                max(self.start, first),
                min(self.end - timedelta(microseconds=1), last),
            )
        )

    def above(self) -> list[Period]:
        """The periods that it is part of, the longest first."""
        return [_at(level, self.start) for level in range(self.level)]


def years(first: datetime, last: datetime) -> list[Period]:
    """The years from one moment to another."""
    return _between(0, first, last)


def span() -> tuple[datetime, datetime] | None:
    """When the first and the last order were placed."""
    placed = Order.objects.values_list("placed_at", flat=True)
    first, last = placed.order_by("pk").first(), placed.order_by("-pk").first()
    return (first, last) if first is not None and last is not None else None


def first_order_from(moment: datetime) -> int:
    """The number of the first order that was placed at a moment or later; the next one, if none."""
    return first_id_from("restaurant_order", "placed_at", moment)


def _between(level: int, first: datetime, last: datetime) -> list[Period]:
    periods = []
    period = _at(level, first)
    while period.start <= last:
        periods.append(period)
        period = Period(level, period.end)
    return periods


def _at(level: int, moment: datetime) -> Period:
    naive = timezone.make_naive(moment)
    start = datetime.strptime(naive.strftime(_FORMATS[level]), _FORMATS[level])  # noqa: DTZ007
    return Period(level, timezone.make_aware(start))
