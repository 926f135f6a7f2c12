"""Rules in words: what each treatment does, and what one rule does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from dashboard.domain.comparing.rules import Treatment

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


def _distance(rule: Worded) -> str:
    said = [] if rule.absolute is None else [f"{rule.absolute:g}"]
    if rule.relative is not None:
        said.append(f"{rule.relative * 100:g} % of the larger")
    return " or ".join(said)
