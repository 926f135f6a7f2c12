"""The verdict on a version, from its stored evidence, the thresholds and the reviews."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from dashboard import models
from dashboard.domain.comparing.judgement import Group, GroupKind
from dashboard.domain.decision import ACCEPTED
from dashboard.models import Discrepancy, LaunchRequirements
from dashboard.observing.evidence import coverage_of, timing_of, whole_tally
from dashboard.observing.same import same_as
from dashboard.verdict.coverage import Coverage
from dashboard.verdict.evidence import Evidence
from dashboard.verdict.latch import Decided, Passed
from dashboard.verdict.requirements import THRESHOLDS, Health, Requirement, Requirements
from dashboard.verdict.segments import Contrast, SegmentEffect
from dashboard.verdict.timing import Timing
from dashboard.verdict.verdict import Verdict, verdict
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion

#: Builds that were heard of within so long of each other answer side by side.
_SIDE_BY_SIDE = timedelta(seconds=60)
_TRIES = 5


class _State(NamedTuple):
    """What an evidence was at a moment: its revision says when what counts has changed."""

    launch: UUID
    pk: int
    revision: int

    @classmethod
    def of(cls, row: models.Evidence | None, launch: UUID) -> _State:
        """Of a row, or of a version that nobody has heard of yet."""
        return cls(launch, row.pk, row.revision) if row else cls(launch, 0, 0)


@dataclass(frozen=True)
class Evaluation:
    """A verdict, and what it was computed from."""

    verdict: Verdict
    state: _State
    evidence: Evidence
    timing: Timing
    row: models.Evidence
    accepted: frozenset[int]
    #: The version's discrepancies that the baseline shows as well, and as often as far as is known.
    noise: frozenset[int]
    required: Requirements

    @property
    def coverage(self) -> Coverage:
        """The orders seen by shape."""
        return coverage_of(self.row)

    @property
    def contrasts(self) -> Sequence[Contrast]:
        """Segments whose effects differ so much that the one number misleads, the gravest first."""
        return _contrasts(self.state, math.log1p(self.required.speed_margin))

    def effects(self, alpha: float) -> Sequence[SegmentEffect]:
        """The effect in each segment; all intervals hold together at level alpha."""
        return _effects(self.state, alpha)

    @property
    def decided(self) -> dict[Requirement, Decided]:
        """What was decided first, by requirement."""
        return read_decided(self.row)


def requirements_of(launch: UUID) -> Requirements:
    """The thresholds in force for a launch: those that were set last, else the defaults."""
    row = LaunchRequirements.objects.filter(launch=launch).values(*THRESHOLDS).first()
    return Requirements(**row) if row else Requirements()


def evaluate(launch: UUID, version: str, health: Health) -> Evaluation | None:
    """The verdict on a version of a launch; None while nothing is known of it."""
    row = current_evidence(launch, version)
    return None if row is None else evaluate_row(row, health)


def evaluate_row(row: models.Evidence, health: Health) -> Evaluation:
    """The verdict on the version whose evidence this is."""
    baselines = DarkVersion.objects.filter(launch=row.launch, role=Role.BASELINE)
    names = [name for name in baselines.values_list("version", flat=True) if name != row.version]
    bench = None
    if names:
        of_baseline = current_evidence(row.launch, names[0], build=row.baseline_build)
        bench = _State.of(of_baseline, row.launch)
    state, timing = _State.of(row, row.launch), timing_of(row)
    named, required = names_of(row.launch, row.version, names), requirements_of(row.launch)
    found = _verdict(
        *(state, bench, required, health, timing, named),
        tuple(read_passed(row).items()),
    )
    return Evaluation(
        verdict=found,
        state=state,
        evidence=_evidence(state),
        timing=timing,
        row=row,
        accepted=named.accepted,
        noise=frozenset(own for _, own in named.same) - {*found.flagged, *named.accepted},
        required=required,
    )


def current_evidence(launch: UUID, version: str, *, build: str = "") -> models.Evidence | None:
    """The evidence of the builds that answer now: of those that were heard of last, or shortly
    before, the ones that came last, so that two builds that answer side by side do not take turns.
    With ``build`` that of one build of the version.
    """
    rows = models.Evidence.objects.filter(launch=launch, version=version)
    if build:
        rows = rows.filter(version_build=build)
    newest_at = rows.order_by("-newest_at").values_list("newest_at", flat=True).first()
    if newest_at is None:
        return None
    return rows.filter(newest_at__gte=newest_at - _SIDE_BY_SIDE).latest("started_at", "id")


class Names(NamedTuple):
    """What the numbers of the evidence stand for, as far as a verdict asks."""

    #: The discrepancies that no longer count: those that a review accepted, and those that rules
    #: ignore in every pair; with each, the baseline's of the same kind and path.
    accepted: frozenset[int]
    #: By a baseline's discrepancy, the version's own that is the same, in ascending order: what
    #: was recorded before the version showed it has the baseline's.
    same: tuple[tuple[int, int], ...]


def names_of(launch: UUID, version: str, baselines: Iterable[str]) -> Names:
    """The discrepancies of a version and of the baselines, as they are reviewed by now."""
    rows = list(
        Discrepancy.objects.filter(launch=launch, version__in=[version, *baselines])
        .order_by("pk")
        .values_list("pk", "version", "kind", "path", "state", "count")
    )
    own, theirs = {}, []
    for pk, of, kind, path, _, _ in rows:
        group = Group(GroupKind(kind), path)
        if of == version:
            own[group] = pk
        else:
            theirs.append((pk, group))
    same = same_as(own, theirs)
    accepted = {
        pk
        for pk, of, _, _, state, count in rows
        if count == 0 or (of == version and state in ACCEPTED)
    }
    # A fold that is accepted takes none with it: neither the version's own from before the fold,
    # nor the baseline's, which are held against each other.
    accepted |= {pk for pk, group in theirs if own.get(group) in accepted}
    return Names(frozenset(accepted), tuple(same.items()))


def read_decided(row: models.Evidence) -> dict[Requirement, Decided]:
    """What was decided first, as it is stored with the evidence."""
    return {Requirement(name): Decided(**said) for name, said in row.decided.items()}


def read_passed(row: models.Evidence) -> dict[Requirement, Passed]:
    """When requirements passed, as it is stored with the evidence."""
    return {Requirement(name): Passed(**stored) for name, stored in row.passed.items()}


@lru_cache(maxsize=32)
def _evidence(state: _State) -> Evidence:
    """What counts of an evidence."""
    found = Evidence()
    for _ in range(_TRIES):
        row = models.Evidence.objects.filter(pk=state.pk).first()
        if row is None:
            break
        found = whole_tally(row).evidence()
        # A block that settles between two reads would be in neither.
        if models.Evidence.objects.filter(pk=row.pk, settled_until=row.settled_until).exists():
            break
    return found


@lru_cache(maxsize=64)
def _effects(state: _State, alpha: float) -> tuple[SegmentEffect, ...]:
    return tuple(_evidence(state).segments.effects(alpha))


@lru_cache(maxsize=64)
def _contrasts(state: _State, margin: float) -> tuple[Contrast, ...]:
    return tuple(_evidence(state).segments.misleading(margin))


@lru_cache(maxsize=64)
def _verdict(
    state: _State,
    bench: _State | None,
    required: Requirements,
    health: Health,
    timing: Timing,
    names: Names,
    passed: tuple[tuple[Requirement, Passed], ...],
) -> Verdict:
    return verdict(
        _evidence(state),
        required,
        health,
        timing=timing,
        bench=None if bench is None else _evidence(bench),
        accepted=names.accepted,
        same=dict(names.same),
        passed=dict(passed),
    )
