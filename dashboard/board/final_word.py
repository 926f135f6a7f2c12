"""The final word on the candidates of a launch that has ended: kept once, by the observer."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef

from dashboard.board.standing import read_tallies, samples_of
from dashboard.board.verdict_part import behind_at_the_end, verdict_part, wrong_samples
from dashboard.models import Evidence, FinalVerdict, Tally
from dashboard.observing.rosters import read_roster
from dashboard.reviewing.closing import unresolved
from dashboard.reviewing.verdicts import Weighed, weigh
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion, Launch


def final_word(launch: Launch, beside: Tally | None) -> FinalVerdict | None:
    """The final word on a version; None while there is none."""
    if launch.ended_at is None or beside is None:
        return None
    return FinalVerdict.objects.filter(launch=launch.id, version=beside.version).first()


def keep_final_words(now: datetime) -> set[UUID]:
    """Keep the word on each candidate whose launch has ended, once all its orders have been
    counted; gives the launches that got theirs. To be called once blocks were closed at ``now``.
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
    tallies = read_tallies(read_roster(launch))
    beside = next(one for one in tallies if one.version == version)
    weighed = weigh(
        launch.id,
        version,
        behind_s=behind_at_the_end(beside),
        held=wrong_samples(tallies, beside, samples_of(launch)),
        over=True,
    )
    if weighed is None or not _all_counted(launch, weighed, now):
        return False
    kept = FinalVerdict(
        launch=launch.id,
        version=version,
        word=weighed.verdict.word.value,
        at=now,
        orders=weighed.evidence.orders,
        verdict=verdict_part(weighed),
    )
    FinalVerdict.objects.bulk_create([kept], ignore_conflicts=True)
    return True


def _all_counted(launch: Launch, weighed: Weighed, now: datetime) -> bool:
    """Whether the block of the launch's end is over, and every block counts."""
    ended_at, timing, row = launch.ended_at, weighed.timing, weighed.row
    if ended_at is None or timing.closed_at(now.timestamp()) <= timing.block_of(
        ended_at.timestamp()
    ):
        return False
    return not row.blocks.filter(number__gte=row.closed_until or 0).exists()
