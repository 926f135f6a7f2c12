"""Computes the verdict on a version from its stored evidence, the thresholds and the reviews."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from dashboard import models
from dashboard.comparison.folding import counterparts
from dashboard.comparison.judgement import Group, GroupKind
from dashboard.comparison.outcome import ACCEPTED
from dashboard.ingest.evidence import coverage_of, timing_of, whole_tally
from dashboard.models import Discrepancy, LaunchRequirements
from dashboard.verdict.blocks import Timing
from dashboard.verdict.coverage import Coverage
from dashboard.verdict.evidence import EvidenceTotals
from dashboard.verdict.segments import Contrast, SegmentEffect
from dashboard.verdict.thresholds import THRESHOLDS, LaunchHealth, Requirement, Requirements
from dashboard.verdict.verdict import FirstDecision, Passed, Verdict, verdict
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion

#: Builds that answered within this time of each other answer side by side.
_SIDE_BY_SIDE = timedelta(seconds=60)
_TRIES = 5


class _State(NamedTuple):
    """The state of an evidence row: a cache key that changes whenever the verdict's input does."""

    launch: UUID
    pk: int
    revision: int

    @classmethod
    def of(cls, row: models.Evidence | None, launch: UUID) -> _State:
        """The state of a row, or of a version without any evidence yet."""
        return cls(launch, row.pk, row.revision) if row else cls(launch, 0, 0)


@dataclass(frozen=True)
class Evaluation:
    """A verdict and its input."""

    verdict: Verdict
    state: _State
    evidence: EvidenceTotals
    timing: Timing
    row: models.Evidence
    accepted: frozenset[int]
    #: The version's discrepancies that the baseline shows as well, and about as often.
    noise: frozenset[int]
    required: Requirements

    @property
    def coverage(self) -> Coverage:
        return coverage_of(self.row)

    @property
    def contrasts(self) -> Sequence[Contrast]:
        """Pairs of segments whose effects differ so much that the overall number misleads; widest
        gap first."""
        return _contrasts(self.state, math.log1p(self.required.speed_margin))

    def effects(self, alpha: float) -> Sequence[SegmentEffect]:
        """The effect in each segment; all intervals hold together at level alpha."""
        return _effects(self.state, alpha)

    @property
    def decided(self) -> dict[Requirement, FirstDecision]:
        """The first decision on each requirement."""
        return read_decided(self.row)


def requirements_of(launch: UUID) -> Requirements:
    """The current thresholds of a launch: the last ones set, or the defaults."""
    row = LaunchRequirements.objects.filter(launch=launch).values(*THRESHOLDS).first()
    return Requirements(**row) if row else Requirements()


def evaluate(launch: UUID, version: str, health: LaunchHealth) -> Evaluation | None:
    """The verdict on a version of a launch; None while nothing is known."""
    row = current_evidence(launch, version)
    return None if row is None else evaluate_row(row, health)


def evaluate_row(row: models.Evidence, health: LaunchHealth) -> Evaluation:
    """The verdict on the version that this evidence belongs to."""
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
    """The evidence of the builds that answer now, or of the version's given ``build``.

    Builds that answered within a minute of each other count as answering side by side; of these the
    ones that started last are used, so that they do not take turns.
    """
    rows = models.Evidence.objects.filter(launch=launch, version=version)
    if build:
        rows = rows.filter(version_build=build)
    newest_at = rows.order_by("-newest_at").values_list("newest_at", flat=True).first()
    if newest_at is None:
        return None
    return rows.filter(newest_at__gte=newest_at - _SIDE_BY_SIDE).latest("started_at", "id")


class Names(NamedTuple):
    """What a verdict needs to know about the discrepancies in an evidence row."""

    #: Discrepancies that no longer count: accepted by a review, or ignored by rules in every pair;
    #: each with the baseline's of the same kind and path.
    accepted: frozenset[int]
    #: Pairs of a baseline's discrepancy and the version's own with the same kind and path,
    #: ascending: noise recorded before the version showed it has the baseline's number.
    same: tuple[tuple[int, int], ...]


def names_of(launch: UUID, version: str, baselines: Iterable[str]) -> Names:
    """The discrepancies of a version and of the baselines, with their current reviews."""
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
    found = counterparts(own.keys(), {group for _, group in theirs})
    same = {pk: own[found[group]] for pk, group in theirs if group in found}
    accepted = {
        pk
        for pk, of, _, _, state, count in rows
        if count == 0 or (of == version and state in ACCEPTED)
    }
    # Accepting a folded path does not accept what it was folded from, neither the version's own
    # discrepancies nor the baseline's, which are compared with each other.
    accepted |= {pk for pk, group in theirs if own.get(group) in accepted}
    return Names(frozenset(accepted), tuple(same.items()))


def read_decided(row: models.Evidence) -> dict[Requirement, FirstDecision]:
    """The first decisions, as stored with the evidence."""
    return {Requirement(name): FirstDecision(**said) for name, said in row.decided.items()}


def read_passed(row: models.Evidence) -> dict[Requirement, Passed]:
    """When requirements passed, as stored with the evidence."""
    return {Requirement(name): Passed(**stored) for name, stored in row.passed.items()}


@lru_cache(maxsize=32)
def _evidence(state: _State) -> EvidenceTotals:
    """The totals of a stored evidence row."""
    found = EvidenceTotals()
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
    health: LaunchHealth,
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
