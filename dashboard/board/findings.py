"""What of a frame shows the differences of one version: the weightiest, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from dashboard.board.frames import Json
from dashboard.domain.foreign_text import visible, visible_together
from dashboard.models import Example, Tally
from dashboard.observing.grouping import MAX_DISCREPANCIES
from dashboard.reviewing.discrepancies import Row, listed, open_count

#: Discrepancies on the board; the rest are on their own page.
SHOWN = 8
#: The newest ones, by which a page knows what to announce.
_NEWEST = 5


def findings(launch: UUID, beside: Tally | None) -> Json:
    """The part of a frame on the differences of the version beside the control."""
    rows = (
        listed(launch, beside.version, at_most=2 * MAX_DISCREPANCIES) if beside is not None else []
    )
    counting = sum(row.counts_against for row in rows)
    waiting = sum(row.waits for row in rows)
    return {
        "discrepancies": _discrepancies(rows[:SHOWN]),
        "kinds": {
            "counting": counting,
            "carried": waiting,
            "decided": len(rows) - counting - waiting,
        },
        "newest": _newest(rows),
        "open": open_count(launch),
    }


def _discrepancies(rows: Sequence[Row]) -> list[Json]:
    ids = [row.discrepancy.pk for row in rows]
    # The first slot's order is the one whose values are shown.
    examples = dict(
        Example.objects.filter(discrepancy__in=ids, slot=0).values_list("discrepancy", "order")
    )
    return [_discrepancy(row, examples.get(row.discrepancy.pk)) for row in rows]


def _discrepancy(row: Row, example: UUID | None) -> Json:
    found = row.discrepancy
    control, version = visible_together([found.control_value, found.version_value])
    return {
        "id": found.pk,
        "revision": found.revision,
        "kind": found.kind,
        "path": visible(found.path),
        "count": row.count,
        "ignored": 0 if row.carried else found.ignored,
        "rate": row.rate,
        "noise_rate": row.noise_rate,
        "state": found.state,
        "carried": row.carried,
        "first": found.first_seen_at.timestamp(),
        "last": found.last_seen_at.timestamp(),
        "control_value": control,
        "version_value": version,
        "example": str(example) if example else None,
    }


def _newest(rows: Sequence[Row]) -> list[Json]:
    """The discrepancies that were seen first most lately, the newest first."""
    here = sorted((row.discrepancy for row in rows if not row.carried), key=lambda one: -one.pk)
    return [{"id": one.pk, "kind": one.kind, "path": visible(one.path)} for one in here[:_NEWEST]]
