"""Judges a pair: its outcome, and its differences in groups of like ones."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from dashboard.comparison.diff import MAX_DIFFERENCES, Difference, compare
from dashboard.comparison.outcome import Outcome, State, outcome
from dashboard.comparison.paths import NOTHING, ROOT
from dashboard.comparison.rules import Rules

#: Longest path of a group, in characters.
MAX_GROUP_PATH = 250
#: Longest normalised message, in characters, and how much of a message is read for it.
MAX_NORMALISED = 200
_MAX_READ = 1000

#: The parts of a message that vary. A quotation begins and ends at a word's border, so that the
#: apostrophe of "can't" is not one.
_VARIABLE = re.compile(
    r"""
      (?P<quoted>
          (?<!\w) (?: '[^']*(?:(?<=\w)'(?=\w)[^']*)*'  |  "[^"]*"  |  `[^`]*` ) (?!\w)
        | “[^”]*” | „[^“”]*[“”] | \u2018(?:[^\u2019]|\u2019(?=\w))*\u2019(?!\w) | «[^»]*»
      )
    | (?P<number>
          (?<![^\W_])
          (?: [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}
            | 0x[0-9a-f]+
            | (?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}
            | \d+ (?: [.,:]\d+ )* (?: e[+-]?\d+ )?
          )
          (?![^\W_])
      )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")
_SPACE = re.compile(r"\s+")
#: What a database or a page cannot hold: NUL, and lone surrogates.
_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")


def normalised(message: str) -> str:
    """A failure's message with ``#`` for numbers and identifiers, and ``'…'`` for quotations."""
    text = _SPACE.sub(" ", message[:_MAX_READ]).strip()
    text = _DIGITS.sub("#", _VARIABLE.sub(_placeholder, text))
    return text if len(text) <= MAX_NORMALISED else f"{text[: MAX_NORMALISED - 1]}…"


def _placeholder(found: re.Match[str]) -> str:
    # One kind of quotation mark: Python's repr chooses by the content.
    return "'…'" if found["quoted"] else "#"


class GroupKind(StrEnum):
    """What the members of a group have in common, besides their path."""

    VALUE = "value"
    TYPE = "type"
    MISSING = "missing"
    EXTRA = "extra"
    ORDER = "order"
    #: The version failed where the control handled the order.
    FAILED = "failed"
    CONTROL_FAILED = "control_failed"
    #: One pair has more differences than are listed.
    MANY = "many"
    #: Groups beyond the limit.
    OTHER = "other"


class Group(NamedTuple):
    """Like differences: a kind and a grouped path, or a failure's type and normalised message."""

    kind: GroupKind
    path: str


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an order ended in one version: its result, or its error."""

    state: State
    result: Any = None
    error_type: str = ""
    error_message: str = ""


class Judgement(msgspec.Struct, frozen=True):
    """A pair's outcome, and its groups with the rule that ignores each; None if it counts."""

    outcome: Outcome
    groups: Mapping[Group, int | None]


def judge(control: Ending, version: Ending, rules: Rules) -> Judgement:
    """Judge a pair; raises ValueError if one of the two has not ended."""
    found = outcome(control.state, version.state, agree=True)
    if found is None:
        raise ValueError("a pair has no outcome before both have ended")
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
    """The differences of a pair, each with the rule that ignores it; both must have handled the
    order, or both failed."""
    return _differences(control, version, rules)[0]


def values_at(control: Ending, version: Ending, group: Group, rules: Rules) -> tuple[str, str]:
    """The values of both at the first difference of a group, as text; empty for no value."""
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
    """A value as JSON; only brackets if it is nested too deeply."""
    if value is NOTHING:
        return ""
    try:
        return _keepable(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "[…]" if isinstance(value, list) else "{…}"


def _differences(
    control: Ending, version: Ending, rules: Rules
) -> tuple[list[tuple[Difference, int | None]], bool]:
    """The differences with their rules, and whether there are more that count."""
    ours, theirs = _document(control), _document(version)
    found, more = compare(ours, theirs, rules)
    ruled = [(difference, rules.ignoring(difference)) for difference in found]
    if more and rules:
        # Ignored differences must not crowd out those that count.
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
    return Group(GroupKind(difference.kind.value), _bounded(difference.grouped))


def _failure(kind: GroupKind, ending: Ending) -> Group:
    return Group(kind, _bounded(f"{ending.error_type}: {normalised(ending.error_message)}"))


def _bounded(path: str) -> str:
    """A path of bounded length; a digest keeps cut paths distinct."""
    if len(path) > MAX_GROUP_PATH:
        digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        path = f"{path[: MAX_GROUP_PATH - 9]}…{digest}"
    return _keepable(path)


def _keepable(text: str) -> str:
    return _UNKEEPABLE.sub("\ufffd", text)
