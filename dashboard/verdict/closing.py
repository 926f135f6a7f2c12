"""Closes the blocks of time that are over, and records the verdict's history: once a sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Min

from dashboard import models
from dashboard.ingest.evidence import CLOSED, close_until, closes, timing_of
from dashboard.ingest.recorder import ClosedBlocks
from dashboard.ingest.stored import changing
from dashboard.verdict.evaluation import Evaluation, evaluate_row, read_decided, read_passed
from dashboard.verdict.thresholds import LaunchHealth, Requirement
from dashboard.verdict.verdict import latched, passes

#: The most points in the history; beyond it every second point is dropped, and points come half as
#: often.
MAX_POINTS = 240


def close_blocks(
    now: datetime,
    *,
    on_step: Callable[[], None] = lambda: None,
    on_closed: Callable[[ClosedBlocks], None] = lambda _: None,
) -> set[UUID]:
    """Count the blocks whose orders all have a result; returns the launches that changed.

    ``on_step`` is called before each evidence row, ``on_closed`` before the commit of each.
    """
    waiting = models.Evidence.objects.filter(blocks__isnull=False).distinct()
    changed = set()
    for row in waiting:
        on_step()
        if closes(row, _until(row, now)):
            with changing():
                closed = _close(models.Evidence.objects.get(pk=row.pk), now)
                if closed is not None:
                    on_closed(closed)
            changed.add(row.launch)
    return changed


def close_again(closed: ClosedBlocks) -> None:
    """Close the blocks of an evidence row as they were closed before, when rebuilding."""
    rows = models.Evidence.objects.filter(launch=closed.launch, version=closed.version)
    row = rows.filter(key=closed.key).first()
    if row is not None and close_until(row, closed.until):
        _keep(row, closed)


def _close(row: models.Evidence, now: datetime) -> ClosedBlocks | None:
    now = _until(row, now)
    if not close_until(row, now):
        return None
    row.save(update_fields=CLOSED)
    evaluation = evaluate_row(row, LaunchHealth())
    closed = ClosedBlocks(
        launch=row.launch,
        version=row.version,
        key=row.key,
        until=now,
        decided=_decided(row, evaluation, now),
        passed=_passed(row, evaluation, now),
        point=_point(evaluation, now),
    )
    _keep(row, closed)
    return closed


def _keep(row: models.Evidence, closed: ClosedBlocks) -> None:
    row.decided, row.passed = closed.decided, closed.passed
    row.history = with_point(row.history, closed.point)
    row.save(update_fields=[*CLOSED, "decided", "passed", "history"])


def _until(row: models.Evidence, now: datetime) -> datetime:
    """The time up to which every order that was sent has its final result."""
    horizon, timing = unresolved(row.launch), timing_of(row)
    if horizon is None:
        return now
    return min(now, horizon + timedelta(seconds=timing.deadline_s + timing.grace_s))


def unresolved(launch: UUID) -> datetime | None:
    """When the oldest order was sent that may still be answered in time."""
    state = models.ObserverState.objects.filter(pk=1).first()
    orders = models.ObservedOrder.objects.filter(launch=launch)
    waiting = orders.filter(pk__gt=state.swept_until if state else 0)
    return waiting.aggregate(at=Min("sent_at"))["at"]  # type: ignore[no-any-return]


def _decided(row: models.Evidence, evaluation: Evaluation, now: datetime) -> dict[str, Any]:
    found = latched(read_decided(row), evaluation.verdict.requirements, now.timestamp())
    return {requirement.value: asdict(decided) for requirement, decided in found.items()}


def _passed(row: models.Evidence, evaluation: Evaluation, now: datetime) -> dict[str, Any]:
    before, judged = read_passed(row), evaluation.verdict.requirements
    accepted = evaluation.evidence.shown_of(evaluation.accepted)
    found = passes(before, judged, accepted, now.timestamp())
    return {requirement.value: asdict(passed) for requirement, passed in found.items()}


def _point(evaluation: Evaluation, now: datetime) -> list[float | None]:
    """Time, orders, and for speed the estimate and both ends of its interval."""
    speed = evaluation.verdict.of(Requirement.SPEED)
    ends = (speed.interval.lo, speed.interval.hi) if speed.interval else (None, None)
    return [round(now.timestamp(), 3), evaluation.evidence.orders, speed.estimate, *ends]


def with_point(history: dict[str, Any], point: list[float | None]) -> dict[str, Any]:
    """The history with one more point; ``every`` is how many closings make a point."""
    every, seen = history.get("every", 1), history.get("seen", 0) + 1
    points = list(history.get("points", ()))
    if (seen - 1) % every == 0:
        points.append(point)
    if len(points) > MAX_POINTS:
        points, every = points[::2], every * 2
    return {"every": every, "seen": seen, "points": points}
