"""One order's pairs, difference by difference: what each belongs to, and whether it counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from dashboard.domain.comparing.folding import home
from dashboard.domain.comparing.judgement import (
    Ending,
    Group,
    GroupKind,
    Judgement,
    differences,
    group_of,
    judge,
)
from dashboard.domain.comparing.rules import Rule, Rules
from dashboard.domain.decision import ACCEPTED, Decision
from dashboard.domain.outcome import Outcome, State
from dashboard.models import Comparison, Discrepancy, Observation
from dashboard.observing.placing import group_of_row
from dashboard.observing.rulebook import compiled, stored_rules, usable_rules
from dashboard.pages.side_by_side import Mark, Standing


@dataclass(frozen=True)
class Rulebook:
    """The rules in force, and why each of them is."""

    in_force: tuple[Rule, ...]
    reasons: Mapping[int, str]

    @classmethod
    def of(cls, now: datetime) -> Rulebook:
        """As it is now, in one query."""
        rows = stored_rules(now)
        return cls(tuple(usable_rules(rows)), {row.pk: row.reason for row in rows})

    def rules(self, version: str) -> Rules:
        """Those for one version."""
        return compiled(self.in_force, version)


@dataclass(frozen=True)
class Groups:
    """A version's discrepancies by kind and path."""

    rows: Mapping[Group, Discrepancy]

    @classmethod
    def of(cls, launch: UUID, versions: Iterable[str]) -> dict[str, Groups]:
        """Those of each of these versions in a launch, in one query."""
        found: dict[str, dict[Group, Discrepancy]] = {version: {} for version in versions}
        for row in Discrepancy.objects.filter(launch=launch, version__in=found):
            found[row.version][Group(GroupKind(row.kind), row.path)] = row
        return {version: cls(rows) for version, rows in found.items()}

    def of_group(self, group: Group) -> Discrepancy | None:
        """The discrepancy that a group counts in: its own, or one that stands for many."""
        place = group if group in self.rows else home(group, self.rows)
        return self.rows[place] if place is not None else None


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """Differences that are counted together, in a discrepancy of several kinds."""

    standing: Standing
    #: How many of those that are marked; None for those that are not told apart.
    number: int | None = None
    discrepancy: Discrepancy | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a version made of the order beside what the control made of it."""

    version: str
    role: str
    outcome: Outcome
    #: Each difference of two results, or of two failures.
    marks: tuple[Mark, ...] = ()
    #: What is counted together, beyond the kinds that are kept apart or told apart.
    beyond: tuple[Beyond, ...] = ()
    #: The discrepancy of the one's failure where the other did not fail.
    failure: Discrepancy | None = None
    #: The outcome that is stored, where the rules of today would make another.
    judged_as: str = ""
    numbers: Mapping[Standing, int] = field(default_factory=dict)

    @property
    def has_both_results(self) -> bool:
        """Whether both versions handled the order."""
        return self.outcome in (Outcome.AGREE, Outcome.DIFFER)

    @property
    def has_more(self) -> bool:
        """Whether there are more differences than are marked."""
        return any(one.number is None for one in self.beyond)

    @property
    def counting(self) -> int:
        """Differences that count against the version."""
        return self.numbers.get(Standing.OPEN, 0)

    @property
    def accepted(self) -> int:
        """Differences that a person has accepted."""
        return self.numbers.get(Standing.ACCEPTED, 0)

    @property
    def ignored(self) -> int:
        """Differences that a rule ignores."""
        return self.numbers.get(Standing.IGNORED, 0)


def pairs_of(launch: UUID, observations: Sequence[Observation], now: datetime) -> list[Pair]:
    """Every pair of one order that has ended, in the order of the observations."""
    control = next((one for one in observations if one.role == "control"), None)
    others = [one for one in observations if one is not control]
    if control is None or control.state == State.RECEIVED or not others:
        return []
    rulebook = Rulebook.of(now)
    groups = Groups.of(launch, [one.version for one in others])
    stored = dict(Comparison.objects.filter(order=control.order).values_list("version", "outcome"))
    return [
        _pair(control, one, rulebook, groups[one.version], stored.get(one.version, ""))
        for one in others
        if one.state != State.RECEIVED
    ]


def ending(one: Observation) -> Ending:
    """How a version ended the order."""
    result: Any = json.loads(one.result) if one.result else None
    return Ending(
        state=State(one.state),
        result=result,
        error_type=one.error_type,
        error_message=one.error_message,
    )


def marks_of(
    control: Ending, version: Ending, rulebook: Rulebook, name: str, groups: Groups
) -> list[Mark]:
    """Each difference of a pair of which both handled the order, or both failed."""
    return [
        _mark(difference_and_rule, rulebook, groups)
        for difference_and_rule in differences(control, version, rulebook.rules(name))
    ]


def _mark(found: tuple[Any, int | None], rulebook: Rulebook, groups: Groups) -> Mark:
    difference, rule = found
    row = groups.of_group(group_of(difference))
    standing = _standing(row, rule)
    if rule is not None:
        why = rulebook.reasons.get(rule, "")
    else:
        why = Decision(row.state).value.replace("_", " ") if row is not None else ""
    return Mark(
        difference=difference,
        standing=standing,
        why=why,
        discrepancy=row.pk if row is not None else None,
    )


def _standing(row: Discrepancy | None, rule: int | None) -> Standing:
    if rule is not None:
        return Standing.IGNORED
    accepted = row is not None and row.state in ACCEPTED
    return Standing.ACCEPTED if accepted else Standing.OPEN


def _beyond(marks: Sequence[Mark], judged: Judgement, groups: Groups) -> Iterator[Beyond]:
    """What a pair shows in the discrepancies that are of several kinds."""
    by_id = {row.pk: row for row in groups.rows.values()}
    shared: Counter[tuple[int, Standing]] = Counter()
    marked = set()
    for mark in marks:
        group = group_of(mark.difference)
        marked.add(group)
        row = by_id.get(mark.discrepancy or 0)
        if row is not None and group_of_row(row) != group:
            shared[row.pk, mark.standing] += 1
    for (pk, standing), number in shared.items():
        yield Beyond(standing=standing, number=number, discrepancy=by_id[pk])
    for group, rule in judged.groups.items():
        if group not in marked:
            row = groups.of_group(group)
            yield Beyond(standing=_standing(row, rule), discrepancy=row)


def _pair(
    control: Observation, one: Observation, rulebook: Rulebook, groups: Groups, stored: str
) -> Pair:
    ends = ending(control), ending(one)
    judged = judge(*ends, rulebook.rules(one.version))
    marks: list[Mark] = []
    beyond: list[Beyond] = []
    failure = None
    if judged.outcome in (Outcome.CANDIDATE_FAILED, Outcome.CONTROL_FAILED):
        failure = next((groups.of_group(group) for group in judged.groups), None)
    elif judged.outcome is not Outcome.MISSING:
        marks = marks_of(*ends, rulebook, one.version, groups)
        beyond = list(_beyond(marks, judged, groups))
    unmarked = [one.standing for one in beyond if one.number is None]
    return Pair(
        version=one.version,
        role=one.role,
        outcome=judged.outcome,
        marks=tuple(marks),
        beyond=tuple(beyond),
        failure=failure,
        judged_as=stored.replace("_", " ") if stored and stored != judged.outcome else "",
        numbers=Counter([*(mark.standing for mark in marks), *unmarked]),
    )
