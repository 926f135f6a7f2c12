"""What to think of a pair: its outcome, and the groups that its differences belong to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from dashboard.domain.comparing.comparison import MAX_DIFFERENCES, Difference, compare
from dashboard.domain.comparing.failures import normalised
from dashboard.domain.comparing.paths import NOTHING, ROOT
from dashboard.domain.comparing.rules import Rules
from dashboard.domain.outcome import Outcome, State, outcome

#: Longest path of a group, in characters.
MAX_GROUP_PATH = 250

#: What a database or a page cannot keep: NUL, and halves of surrogate pairs.
_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")


class GroupKind(StrEnum):
    """What the members of a group have in common, beside their path."""

    VALUE = "value"
    TYPE = "type"
    MISSING = "missing"
    EXTRA = "extra"
    ORDER = "order"
    #: The version failed where the control handled the order.
    FAILED = "failed"
    CONTROL_FAILED = "control_failed"
    #: One pair has more differences than are told apart.
    MANY = "many"
    #: Groups beyond those that are kept apart.
    OTHER = "other"


class Group(NamedTuple):
    """All like differences: one kind, one grouped path; of failures, type and like messages."""

    kind: GroupKind
    path: str


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an order ended in one version: what it made of it, or why it failed."""

    state: State
    result: Any = None
    error_type: str = ""
    error_message: str = ""


class Judgement(msgspec.Struct, frozen=True):
    """A pair's outcome, and its groups: by which rule each is ignored, or None if it counts."""

    outcome: Outcome
    groups: Mapping[Group, int | None]


def judge(control: Ending, version: Ending, rules: Rules) -> Judgement:
    """Judge a pair; raises ValueError while one of the two may still end."""
    found = outcome(control.state, version.state, agree=True)
    if found is None:
        raise ValueError("a pair of which one has not ended has no outcome")
    if found is Outcome.CANDIDATE_FAILED:
        return Judgement(found, {_failure(GroupKind.FAILED, version): None})
    if found is Outcome.CONTROL_FAILED:
        return Judgement(found, {_failure(GroupKind.CONTROL_FAILED, control): None})
    if found is Outcome.MISSING:
        return Judgement(found, {})
    groups = _groups(control, version, rules)
    if found is Outcome.AGREE and None in groups.values():
        found = Outcome.DIFFER
    return Judgement(found, groups)


def differences(
    control: Ending, version: Ending, rules: Rules
) -> list[tuple[Difference, int | None]]:
    """Each difference of a pair of which both handled the order or both failed, with the rule that
    ignores it."""
    return _differences(control, version, rules)[0]


def values_at(control: Ending, version: Ending, group: Group, rules: Rules) -> tuple[str, str]:
    """What each of a pair has at the first difference of a group; empty where it has nothing."""
    if group.kind in (GroupKind.FAILED, GroupKind.CONTROL_FAILED):
        return _failure_text(control), _failure_text(version)
    for difference, _ in differences(control, version, rules):
        if group_of(difference) == group:
            return _text(difference.control), _text(difference.version)
    return "", ""


def _failure_text(ending: Ending) -> str:
    failed = ending.state is State.FAILED
    return _keepable(f"{ending.error_type}: {ending.error_message}") if failed else ""


def _text(value: Any) -> str:
    """A value as JSON; only brackets for one that is nested too deeply to be written."""
    if value is NOTHING:
        return ""
    try:
        return _keepable(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "[…]" if isinstance(value, list) else "{…}"


def _differences(
    control: Ending, version: Ending, rules: Rules
) -> tuple[list[tuple[Difference, int | None]], bool]:
    """The differences with their rules, and whether more of them count than these."""
    ours, theirs = _document(control), _document(version)
    found, more = compare(ours, theirs, rules)
    ruled = [(difference, rules.ignoring(difference)) for difference in found]
    if more and rules:
        # What is ignored must not use up the room of what counts.
        counting, more = compare(ours, theirs, rules, only_counting=True)
        ignored = [pair for pair in ruled if pair[1] is not None]
        ruled = [(difference, None) for difference in counting]
        ruled += ignored[: MAX_DIFFERENCES - len(ruled)]
    return ruled, more


def _document(ending: Ending) -> Any:
    if ending.state is State.FAILED:
        return {"error": {"type": ending.error_type, "message": ending.error_message}}
    return ending.result


def _groups(control: Ending, version: Ending, rules: Rules) -> dict[Group, int | None]:
    ruled, more = _differences(control, version, rules)
    groups: dict[Group, int | None] = {}
    for difference, rule in ruled:
        group = group_of(difference)
        groups[group] = rule if groups.get(group, rule) is not None else None
    if more:
        groups[Group(GroupKind.MANY, ROOT)] = None
    return groups


def group_of(difference: Difference) -> Group:
    """The group that a difference belongs to."""
    return Group(GroupKind(difference.kind.value), _bounded(difference.grouped))


def _failure(kind: GroupKind, ending: Ending) -> Group:
    return Group(kind, _bounded(f"{ending.error_type}: {normalised(ending.error_message)}"))


def _bounded(path: str) -> str:
    """A path that a database can keep; what is cut still differs where the whole does."""
    if len(path) > MAX_GROUP_PATH:
        digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        path = f"{path[: MAX_GROUP_PATH - 9]}…{digest}"
    return _keepable(path)


def _keepable(text: str) -> str:
    return _UNKEEPABLE.sub("\ufffd", text)
