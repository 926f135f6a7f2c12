"""The final verdict on the candidates of a launch that has ended: kept once, by the observer."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef

from dashboard.models import Evidence, FinalVerdict
from dashboard.verdict.assessment import as_json, assess
from dashboard.verdict.closing import unresolved
from dashboard.verdict.evaluation import Evaluation
from dashboard.verdict.traffic import read_traffic
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion, Launch


def keep_final_verdicts(now: datetime) -> set[UUID]:
    """Keep the verdict on each candidate whose launch has ended, once all its orders are counted;
    gives the launches that got theirs. To be called once blocks were closed at ``now``.
    """
    found = {"launch": OuterRef("launch"), "version": OuterRef("version")}
    open_ones = DarkVersion.objects.filter(role=Role.CANDIDATE, launch__ended_at__lt=now)
    open_ones = open_ones.filter(Exists(Evidence.objects.filter(**found)))
    open_ones = open_ones.exclude(Exists(FinalVerdict.objects.filter(**found)))
    return {
        one.launch_id
        for one in open_ones.select_related("launch")
        if _keep(one.launch, one.version, now)
    }


def _keep(launch: Launch, version: str, now: datetime) -> bool:
    if unresolved(launch.id) is not None:
        return False
    evaluation = assess(launch, version, read_traffic(launch, queues=None)).evaluation
    if evaluation is None or not _all_counted(launch, evaluation, now):
        return False
    kept = FinalVerdict(
        launch=launch.id,
        version=version,
        word=evaluation.verdict.word.value,
        at=now,
        orders=evaluation.evidence.orders,
        verdict=as_json(evaluation),
    )
    FinalVerdict.objects.bulk_create([kept], ignore_conflicts=True)
    return True


def _all_counted(launch: Launch, evaluation: Evaluation, now: datetime) -> bool:
    """Whether the block of the launch's end is over, and every block counts."""
    ended_at, timing, row = launch.ended_at, evaluation.timing, evaluation.row
    if ended_at is None or timing.closed_at(now.timestamp()) <= timing.block_of(
        ended_at.timestamp()
    ):
        return False
    return not row.blocks.filter(number__gte=row.closed_until or 0).exists()
