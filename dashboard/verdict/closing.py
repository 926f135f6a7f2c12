"""Closes the blocks of time that are over, and keeps how the verdict went: once a sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dashboard import models
from dashboard.models import Sweep, Tally
from dashboard.observing.evidence import CLOSED, close_until, timing_of
from dashboard.verdict.evaluation import Evaluation, evaluate_row, read_decided, read_passed
from dashboard.verdict.latch import latched, passes
from dashboard.verdict.requirements import Health, Requirement
from kitchen_worker.contract.messages import EARLIEST
from restaurant.models import Letter
from restaurant.write_lock import write_transaction

#: Points of the history at most; then every second one goes, and half as many come.
MAX_POINTS = 240


def close_blocks(now: datetime, *, on_step: Callable[[], None] = lambda: None) -> set[UUID]:
    """Let the blocks count whose orders have all ended; gives the launches that changed.

    ``on_step`` is called before each evidence.
    """
    waiting = models.Evidence.objects.filter(blocks__isnull=False).distinct()
    changed = set()
    for launch, pk in waiting.values_list("launch", "pk"):
        on_step()
        with write_transaction():
            list(Tally.objects.select_for_update().filter(launch=launch).order_by("id"))
            if _close(models.Evidence.objects.get(pk=pk), now):
                changed.add(launch)
    return changed


def _close(row: models.Evidence, now: datetime) -> bool:
    timing = timing_of(row)
    horizon = unresolved(row.launch)
    if horizon is not None:
        now = min(now, horizon + timedelta(seconds=timing.deadline_s + timing.grace_s))
    if close_until(row, now) is None:
        return False
    row.save(update_fields=CLOSED)
    evaluation = evaluate_row(row, Health())
    row.decided = _decided(row, evaluation, now)
    row.passed = _passed(row, evaluation, now)
    row.history = with_point(row.history, _point(evaluation, now))
    row.save(update_fields=["decided", "passed", "history"])
    return True


def unresolved(launch: UUID) -> datetime | None:
    """When the oldest order was placed that was not sent yet, or not swept since."""
    letters = Letter.objects.filter(launch=launch)
    unsent = letters.filter(sent_at=None).order_by("id")
    placed = [unsent.values_list("order__placed_at", flat=True).first()]
    swept = Sweep.objects.filter(launch=launch).values_list("swept_until", flat=True).first()
    # Those of one batch were sent at one moment.
    later = letters.filter(sent_at__gt=swept or EARLIEST).order_by("sent_at", "order__placed_at")
    placed.append(later.values_list("order__placed_at", flat=True).first())
    return min((at for at in placed if at is not None), default=None)


def _decided(row: models.Evidence, evaluation: Evaluation, now: datetime) -> dict[str, Any]:
    found = latched(read_decided(row), evaluation.verdict.requirements, now.timestamp())
    return {requirement.value: asdict(decided) for requirement, decided in found.items()}


def _passed(row: models.Evidence, evaluation: Evaluation, now: datetime) -> dict[str, Any]:
    before, judged = read_passed(row), evaluation.verdict.requirements
    accepted = evaluation.evidence.shown_of(evaluation.accepted)
    found = passes(before, judged, accepted, now.timestamp())
    return {requirement.value: asdict(passed) for requirement, passed in found.items()}


def _point(evaluation: Evaluation, now: datetime) -> list[float | None]:
    """Time, orders, and of the speed the estimate and both ends of its interval."""
    speed = evaluation.verdict.of(Requirement.SPEED)
    ends = (speed.interval.lo, speed.interval.hi) if speed.interval else (None, None)
    return [round(now.timestamp(), 3), evaluation.evidence.orders, speed.estimate, *ends]


def with_point(history: dict[str, Any], point: list[float | None]) -> dict[str, Any]:
    """The history with one point more; ``every`` says which of the closings it keeps."""
    every, seen = history.get("every", 1), history.get("seen", 0) + 1
    points = list(history.get("points", ()))
    if (seen - 1) % every == 0:
        points.append(point)
    if len(points) > MAX_POINTS:
        points, every = points[::2], every * 2
    return {"every": every, "seen": seen, "points": points}
