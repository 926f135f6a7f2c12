"""Rules proposed from the baseline's noise, common rules, and rejudging by new rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Max, Min

from dashboard.comparison.folding import is_catch_all
from dashboard.comparison.judgement import Group, GroupKind
from dashboard.comparison.paths import ROOT
from dashboard.comparison.rules import ComparisonRule, RuleError, Treatment
from dashboard.comparison.values import time_in, within
from dashboard.ingest.rulebook import current_rules, stored_rules
from dashboard.ingest.stored import changing
from dashboard.models import Discrepancy, ObservedOrder, Rejudging
from dashboard.review.listing import ListedDiscrepancy, listed

#: Kinds that rules do not apply to.
UNRULED = frozenset({GroupKind.FAILED, GroupKind.CONTROL_FAILED, GroupKind.MANY, GroupKind.OTHER})
#: Proposals per page.
MOST = 3
#: Least noise that is worth a rule: pairs of the baseline, and their share.
_LEAST_PAIRS, _LEAST_RATE = 10, 0.01
#: A difference this many times as frequent as in the baseline may be more than noise.
_MAX_RATIO = 1.5
#: Proposed tolerances of times, in seconds.
_SECONDS = (1, 10, 60, 600, 3600)


class Preset(NamedTuple):
    """A common rule, complete except for its reason."""

    name: str
    label: str
    path: str
    pattern: str
    replacement: str


#: All replace values that each version generates by a constant.
PRESETS = (
    Preset(
        "uuid",
        "UUIDs",
        "**",
        r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        "<uuid>",
    ),
    Preset(
        "time",
        "ISO times",
        "**",
        r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)? ?([Zz]|[+-]\d\d(:?\d\d)?)?",
        "<time>",
    ),
    Preset(
        "host",
        "host names",
        "**.host*",
        r"(?i)\b(\d{1,3}(\.\d{1,3}){3}|[a-z0-9]+([.-][a-z0-9]+)+)(:\d+)?\b",
        "<host>",
    ),
)
_UUID = PRESETS[0]
#: A path with ``*`` for keys, and the object they belong to.
_FOLD = re.compile(r"(?P<parent>.*?)(?:^|\.)\*", re.DOTALL)


@dataclass(frozen=True)
class Proposal:
    """A rule for a discrepancy that the baseline shows about as often as the version."""

    row: ListedDiscrepancy
    draft: ComparisonRule


def proposals(launch: UUID, now: datetime) -> list[Proposal]:
    """Rules for differences that the baseline shows as well, the most frequent first."""
    in_force = {(rule.path, rule.treatment) for rule in current_rules(now)}
    found: dict[tuple[str, Treatment], Proposal] = {}
    for one in _proposed(listed(launch)):
        key = one.draft.path, one.draft.treatment
        if key not in in_force:
            found.setdefault(key, one)
    return sorted(found.values(), key=lambda one: -(one.row.noise_rate or 0))[:MOST]


def _proposed(rows: Iterable[ListedDiscrepancy]) -> Iterator[Proposal]:
    for row in rows:
        if not row.counts_against or row.noise_count < _LEAST_PAIRS:
            continue
        noise = row.noise_rate or 0.0
        draft = draft_for(row.discrepancy)
        if draft is not None and noise >= _LEAST_RATE and (row.rate or 0.0) <= _MAX_RATIO * noise:
            yield Proposal(row, draft)


def draft_for(discrepancy: Discrepancy) -> ComparisonRule | None:
    """The most likely rule for a discrepancy, for all versions; None if no rule can apply."""
    group = discrepancy.group
    if group.kind in UNRULED or is_catch_all(group):
        return None
    made = _fields(group, discrepancy.control_value, discrepancy.version_value)
    try:
        return ComparisonRule(**{"id": 0, "path": discrepancy.path, **made})
    except RuleError:
        # For example, the path was cut.
        return None


def _fields(group: Group, control: str, version: str) -> dict[str, Any]:
    if group.kind is GroupKind.ORDER:
        return {"treatment": Treatment.UNORDERED}
    if group.kind in (GroupKind.MISSING, GroupKind.EXTRA):
        if (fold := _FOLD.fullmatch(group.path)) is not None:
            return {"treatment": Treatment.VALUES, "path": fold["parent"] or ROOT}
        if "null" in (control, version):
            return {"treatment": Treatment.NULL}
    if group.kind is GroupKind.VALUE:
        return _of_texts(_read(control), _read(version))
    return {"treatment": Treatment.IGNORE}


def _of_texts(control: Any, version: Any) -> dict[str, Any]:
    first, second = time_in(control), time_in(version)
    if first is not None and second is not None and first.has_zone == second.has_zone:
        for seconds in _SECONDS:
            if within(first.seconds, second.seconds, absolute=seconds, relative=None):
                return {"treatment": Treatment.TIMES, "absolute": float(seconds)}
    if _has_uuid(control) and _has_uuid(version):
        return {
            "treatment": Treatment.REPLACE,
            "pattern": _UUID.pattern,
            "replacement": _UUID.replacement,
        }
    return {"treatment": Treatment.IGNORE}


def _has_uuid(value: Any) -> bool:
    return isinstance(value, str) and re.search(_UUID.pattern, value) is not None


def _read(text: str) -> Any:
    """A stored value of a discrepancy; None if it was cut."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def request_rejudging(launch: UUID, *, author: str, now: datetime) -> Rejudging:
    """Request that a launch's pairs are judged again, or return the request under way.

    The latter restarts if the rules have changed since.
    """
    with changing():
        # Nothing is recorded now: orders without an id yet will be judged by the current rules.
        newest = ObservedOrder.objects.filter(launch=launch).aggregate(id=Max("id"))["id"]
        until = newest or 0
        rules = [rule.pk for rule in stored_rules(now)]
        running = Rejudging.objects.filter(launch=launch, finished_at=None).first()
        if running is None:
            return Rejudging.objects.create(
                launch=launch, requested_by=author, requested_at=now, rules=rules, until=until
            )
        if running.rules != rules:
            running.requested_by, running.requested_at, running.rules = author, now, rules
            running.cursor, running.until = 0, until
            running.judged = running.changed = 0
            running.save()
        return running


def rejudged_share(rejudging: Rejudging) -> float:
    """The share that is done, from 0 to 1."""
    if rejudging.finished_at is not None:
        return 1.0
    orders = ObservedOrder.objects.filter(launch=rejudging.launch)
    start = (orders.aggregate(id=Min("id"))["id"] or 1) - 1
    span = rejudging.until - start
    return min(1.0, max(0.0, (rejudging.cursor - start) / span)) if span > 0 else 0.0
