"""Rules in words: what each treatment does, and what one rule does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dashboard.domain.comparing.rules import Treatment

#: What a person chooses among: a name, and what it is for.
TREATMENTS: Mapping[Treatment, tuple[str, str]] = {
    Treatment.IGNORE: ("Ignore", "Whatever stands at the path and below it may differ."),
    Treatment.TOLERANCE: ("Tolerance", "Numbers that lie near enough are as good as equal."),
    Treatment.DECIMAL: ("Decimal", "The same number spelled in another way: 3.50 and 3.5."),
    Treatment.UNORDERED: ("Unordered list", "The members of the list may stand in any order."),
    Treatment.KEYED: ("Keyed list", "Members are matched by a field; their order may differ."),
    Treatment.REPLACE: ("Replace", "Texts are compared after a pattern was replaced in both."),
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


def _distance(rule: Worded) -> str:
    said = [] if rule.absolute is None else [f"{rule.absolute:g}"]
    if rule.relative is not None:
        said.append(f"{rule.relative * 100:g} % of the larger")
    return " or ".join(said)
