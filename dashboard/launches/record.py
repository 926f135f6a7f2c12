"""The record of a launch that has ended: frozen once, when nothing of it is open anymore.

It keeps what the launch showed. What people decide later is not part of it: those rows are never
changed either, and a record whose hash changed with each of them would prove nothing.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db.models import Exists, OuterRef, Q

from dashboard.database import atomic
from dashboard.ingest.evidence import timing_in_force
from dashboard.launches.record_body import (
    MOST_ACTS,
    MOST_DISCREPANCIES,
    RecordFacts,
    record_body,
)
from dashboard.models import (
    Discrepancy,
    Evidence,
    FinalVerdict,
    LaunchDecision,
    LaunchRecord,
    LaunchRequirements,
    Participant,
    Rejudging,
    Review,
    Rule,
)
from dashboard.review.listing import listed
from dashboard.review.thresholds import changes
from dashboard.verdict.assessment import unseen_orders, waits_to_be_sent
from dashboard.verdict.closing import unresolved
from dashboard.verdict.thresholds import THRESHOLDS, Requirements
from kitchen_worker.contract.messages import Role
from restaurant.models import Launch
from restaurant.sent_counts import sent_by_change

logger = logging.getLogger(__name__)

#: Launches that are looked at, the newest.
_MOST_LAUNCHES = 1_000
#: More than there are.
_ALL = 1_000_000
#: How long a launch waits after its record failed.
_RETRY = timedelta(minutes=1)
#: A row may be committed this long after its time.
_COMMIT = timedelta(minutes=1)


@dataclass
class RecordKeeper:
    """Freezes the records of launches that have ended."""

    #: Launches whose record failed, and when it is tried again.
    _failed: dict[UUID, datetime] = field(default_factory=dict)

    def freeze(self, now: datetime) -> set[UUID]:
        """Freeze the records that are due; returns their launches. Idempotent. Whatever fails is
        logged and tried again later. Call it after final verdicts were kept at ``now``."""
        frozen = set()
        try:
            for launch in _without_record(now):
                if self._failed.get(launch.pk, now) <= now and self._freeze(launch, now):
                    frozen.add(launch.pk)
        except Exception:
            logger.exception("launches are not read", extra={"action": "record_failed"})
        return frozen

    def _freeze(self, launch: Launch, now: datetime) -> bool:
        try:
            with atomic():
                return _is_over(launch, now) and _keep(launch, now)
        except Exception:
            logger.exception("no record of %s", launch.pk, extra={"action": "record_failed"})
            self._failed[launch.pk] = now + _RETRY
            return False


class LaterActs(NamedTuple):
    """What was decided after the record was frozen, oldest first."""

    decisions: list[LaunchDecision]
    reviews: list[Review]


def find_record(launch: UUID) -> LaunchRecord | None:
    return LaunchRecord.objects.filter(launch=launch).first()


def is_intact(record: LaunchRecord) -> bool:
    """Whether the stored text still has the record's hash."""
    return _hash(record.body) == record.sha256


def later_acts(record: LaunchRecord, body: dict[str, Any]) -> LaterActs:
    """The newest decisions and reviews that are not in a record's body."""
    since = record.at - _COMMIT
    known = [one["id"] for one in body["decisions"]["listed"]]
    decisions = LaunchDecision.objects.filter(launch=record.launch, at__gt=since)
    rows = body["discrepancies"]["listed"]
    reviewed = [one["id"] for row in rows for one in row["reviews"]["listed"]]
    reviews = Review.objects.filter(discrepancy__launch=record.launch, decided_at__gt=since)
    return LaterActs(
        [*decisions.exclude(pk__in=known)[:MOST_ACTS]][::-1],
        [*reviews.exclude(pk__in=_newest(reviewed)).select_related("discrepancy")[:MOST_ACTS]][
            ::-1
        ],
    )


def _newest(ids: Iterable[int]) -> list[int]:
    """Those that may be newer than the record; SQLite takes a bounded number of parameters."""
    return sorted(ids, reverse=True)[:MOST_ACTS]


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _without_record(now: datetime) -> Iterator[Launch]:
    ended = Launch.objects.filter(ended_at__lt=now).order_by("-started_at")
    ids = ended.values_list("pk", flat=True)[:_MOST_LAUNCHES]
    kept = set(LaunchRecord.objects.values_list("launch", flat=True))
    if due := [pk for pk in ids if pk not in kept]:
        yield from Launch.objects.prefetch_related("dark_versions").filter(pk__in=due)


def _is_over(launch: Launch, now: datetime) -> bool:
    """Whether nothing of an ended launch is open anymore, so that all its numbers stay."""
    timing, ended_at = timing_in_force(), launch.ended_at
    if ended_at is None or timing.closed_at(now.timestamp()) <= timing.block_of(
        ended_at.timestamp()
    ):
        return False
    if unresolved(launch.pk) is not None or waits_to_be_sent(launch):
        return False
    if Rejudging.objects.filter(launch=launch.pk, finished_at=None).exists():
        return False
    return _has_final_verdicts(launch)


def _has_final_verdicts(launch: Launch) -> bool:
    """Whether each candidate with evidence has its final verdict."""
    candidates = [one.version for one in launch.dark_versions.all() if one.role == Role.CANDIDATE]
    final = FinalVerdict.objects.filter(launch=launch.pk, version=OuterRef("version"))
    open_ones = Evidence.objects.filter(~Exists(final), launch=launch.pk, version__in=candidates)
    return not open_ones.exists()


def _keep(launch: Launch, now: datetime) -> bool:
    body = record_body(read_facts(launch, now))
    record = LaunchRecord(launch=launch.pk, body=body, sha256=_hash(body), at=now)
    LaunchRecord.objects.bulk_create([record], ignore_conflicts=True)
    logger.info("record of %s is frozen", launch.name, extra={"action": "record_frozen"})
    return True


def read_facts(launch: Launch, now: datetime) -> RecordFacts:
    """All that a record of a launch is made of, as of now."""
    finals = {one.version: one for one in FinalVerdict.objects.filter(launch=launch.pk)}
    judged_at = max((one.at for one in finals.values()), default=now)
    found = listed(launch.pk, at_most=_ALL)
    unseen, numbered = unseen_orders(launch.pk)
    return RecordFacts(
        launch=launch,
        dark=[*launch.dark_versions.all()],
        participants={one.version: one for one in Participant.objects.filter(launch=launch.pk)},
        verdicts=finals,
        thresholds=_thresholds(launch.pk, judged_at),
        threshold_changes=[*changes(launch.pk, _ALL, until=now)][::-1],
        rules=_rules(launch),
        discrepancies=found,
        reviews=_reviews([one.discrepancy for one in found[:MOST_DISCREPANCIES]]),
        changes=[*launch.changes.order_by("pk")],
        sent=sent_by_change(launch.pk),
        numbered=numbered,
        unseen=unseen,
        decisions=[*LaunchDecision.objects.filter(launch=launch.pk).order_by("pk")],
        at=now,
    )


def _thresholds(launch: UUID, judged_at: datetime) -> Requirements:
    """The thresholds that the final verdicts were judged by."""
    rows = LaunchRequirements.objects.filter(launch=launch, set_at__lte=judged_at)
    values = rows.values(*THRESHOLDS).first()
    return Requirements(**values) if values else Requirements()


def _rules(launch: Launch) -> list[Rule]:
    """The rules that the launch's pairs were compared by, oldest first."""
    begin, end = launch.started_at, launch.ended_at
    during = Q(created_at__lte=end) & (Q(ended_at=None) | Q(ended_at__gt=begin))
    during &= Q(expires_at=None) | Q(expires_at__gt=begin)
    again = Rejudging.objects.filter(launch=launch.pk).values_list("rules", flat=True)
    return [*Rule.objects.filter(during | Q(pk__in={pk for some in again for pk in some}))][::-1]


def _reviews(rows: Collection[Discrepancy]) -> dict[int, list[Review]]:
    found: defaultdict[int, list[Review]] = defaultdict(list)
    reviews = Review.objects.filter(discrepancy__in=[one.pk for one in rows])
    for one in reviews.order_by("pk"):
        found[one.discrepancy_id].append(one)
    return found


def read_body(record: LaunchRecord) -> dict[str, Any]:
    """What a record says, with its times as such."""
    body: dict[str, Any] = _with_times(msgspec.json.decode(record.body))
    return body


def _with_times(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _with_times(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_times(one) for one in value]
    is_time = isinstance(value, str) and (name == "at" or name.endswith("_at"))
    return datetime.fromisoformat(value) if is_time else value
