"""Rules in words: what each treatment does, and what one rule does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dashboard.domain.comparing.rules import Rule, Treatment

#: What a person chooses among: a name, and what it is for.
TREATMENTS: Mapping[Treatment, tuple[str, str]] = {
    Treatment.IGNORE: ("Ignore", "Ignore this path and everything below it."),
    Treatment.TOLERANCE: ("Tolerance", "Treat numbers within a tolerance as equal."),
    Treatment.TIMES: ("Near times", "Treat times within so many seconds as equal (ISO 8601)."),
    Treatment.DECIMAL: ("Decimal", "Treat spellings of one number as equal: 3.50 and 3.5."),
    Treatment.NULL: ("Null as absent", "Treat null and a missing field as equal."),
    Treatment.UNORDERED: ("Unordered list", "Ignore the order of a list."),
    Treatment.KEYED: ("Keyed list", "Match a list's members by a key field; ignore their order."),
    Treatment.VALUES: (
        "Map keyed by fresh ids",
        "Ignore an object's keys: compare its values as an unordered list.",
    ),
    Treatment.REPLACE: ("Replace", "Replace a pattern in both texts, then compare."),
}


class Worded(Protocol):
    """What there is to say of a rule."""

    treatment: str
    absolute: float | None
    relative: float | None
    key: str
    pattern: str
    replacement: str


def in_words(rule: Worded) -> str:
    """What a rule does, without its path: ``numbers within 0.01 are equal``."""
    match Treatment(rule.treatment):
        case Treatment.TOLERANCE:
            return f"numbers within {_distance(rule)} are equal"
        case Treatment.TIMES:
            return f"times within {rule.absolute:g} s are equal"
        case Treatment.NULL:
            return "null and a missing field are equal"
        case Treatment.VALUES:
            return "keys are ignored, values are compared as an unordered list"
        case Treatment.DECIMAL:
            return "spellings of the same decimal number are equal"
        case Treatment.UNORDERED:
            return "the order of the list is ignored"
        case Treatment.KEYED:
            return f"members are matched by “{rule.key}”, their order is ignored"
        case Treatment.REPLACE:
            what = f"“{rule.replacement}”" if rule.replacement else "nothing"
            return f"/{rule.pattern}/ is replaced by {what} before comparing"
        case _:
            return "ignored, with all below it"


def as_question(rule: Rule) -> str:
    """What a proposed rule would do, as a question that follows what it is about."""
    match rule.treatment:
        case Treatment.TIMES:
            return f"treat times within {rule.absolute:g} s as equal?"
        case Treatment.NULL:
            return "treat null and a missing field as equal?"
        case Treatment.VALUES:
            return "ignore its keys?"
        case Treatment.UNORDERED:
            return "ignore its order?"
        case Treatment.REPLACE:
            return f"replace each by {rule.replacement}?"
        case _:
            return "ignore it?"


def _distance(rule: Worded) -> str:
    said = [] if rule.absolute is None else [f"{rule.absolute:g}"]
    if rule.relative is not None:
        said.append(f"{rule.relative * 100:g} % of the larger")
    return " or ".join(said)
