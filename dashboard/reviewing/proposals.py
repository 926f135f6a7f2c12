"""Rules that the baseline's evidence proposes, and rules that are often needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from dashboard.domain.comparing.folding import holds_anything
from dashboard.domain.comparing.judgement import Group, GroupKind
from dashboard.domain.comparing.numbers import time_in, within
from dashboard.domain.comparing.paths import ROOT
from dashboard.domain.comparing.rules import Rule, RuleError, Treatment
from dashboard.models import Discrepancy
from dashboard.observing.rulebook import current_rules
from dashboard.reviewing.discrepancies import Row, listed

#: Kinds of which no rule speaks.
UNRULED = frozenset({GroupKind.FAILED, GroupKind.CONTROL_FAILED, GroupKind.MANY, GroupKind.OTHER})
#: What is proposed at once.
MOST = 3
#: From so many pairs of the baseline on, and such a part of them, noise is worth a rule.
_LEAST_PAIRS, _LEAST_RATE = 10, 0.01
#: What the version shows so many times as often as the baseline may be more than noise.
_AS_OFTEN = 1.5
#: How many seconds apart times may be that are proposed to be near.
_SECONDS = (1, 10, 60, 600, 3600)


class Preset(NamedTuple):
    """A rule that is often needed, ready but for its reason; the path is where it mostly is."""

    name: str
    label: str
    path: str
    pattern: str
    replacement: str


#: All of them replace what is fresh on each side by one text.
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
#: A fold of keys, and the object that has them.
_FOLD = re.compile(r"(?P<parent>.*?)(?:^|\.)\*", re.DOTALL)


@dataclass(frozen=True)
class Proposal:
    """A rule for a discrepancy that the baseline shows as often as the version does."""

    row: Row
    draft: Rule


def proposals(launch: UUID, now: datetime) -> list[Proposal]:
    """What the baseline differs in as well, the most frequent first: each with a rule for it."""
    in_force = {(rule.path, rule.treatment) for rule in current_rules(now)}
    found: dict[tuple[str, Treatment], Proposal] = {}
    for one in _proposed(listed(launch)):
        key = one.draft.path, one.draft.treatment
        if key not in in_force:
            found.setdefault(key, one)
    return sorted(found.values(), key=lambda one: -(one.row.noise_rate or 0))[:MOST]


def _proposed(rows: Iterable[Row]) -> Iterator[Proposal]:
    for row in rows:
        if not row.counts_against or row.noise_count < _LEAST_PAIRS:
            continue
        noise = row.noise_rate or 0.0
        draft = draft_for(row.discrepancy)
        if draft is not None and noise >= _LEAST_RATE and (row.rate or 0.0) <= _AS_OFTEN * noise:
            yield Proposal(row, draft)


def draft_for(discrepancy: Discrepancy) -> Rule | None:
    """The rule that most likely is meant for a discrepancy, for every version; None for what no
    rule can be about."""
    group = Group(GroupKind(discrepancy.kind), discrepancy.path)
    if group.kind in UNRULED or holds_anything(group):
        return None
    made = _fields(group, discrepancy.control_value, discrepancy.version_value)
    try:
        return Rule(**{"id": 0, "path": discrepancy.path, **made})
    except RuleError:
        # A path that was cut, say.
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
    """A value as it is stored beside a discrepancy; None where it was cut."""
    try:
        return json.loads(text)
    except ValueError:
        return None
