"""The first paint of the discrepancies; ``static/js/board/finding.js`` paints the same places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from dashboard.board import wording
from dashboard.board.frames import Json
from dashboard.domain.comparing.judgement import GroupKind
from dashboard.domain.decision import ACCEPTED, Decision

#: Parts that the bars' scale can end at.
_SCALES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
#: What a version has where it has nothing.
_NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A discrepancy as the board lists it: ``bar`` and ``noise_bar`` are widths in SVG's words."""

    id: int
    seen: str
    kind: str
    path: str
    control_value: str
    version_value: str
    count: str
    ignored: str
    rate: str
    bar: str
    noise: str
    noise_bar: str
    first: str
    last: str
    state: str
    decision: str
    #: counting, decided, or ignored: by a rule, in every pair.
    look: str
    example: str


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The list: what is on it, what its bars end at, and how much there is altogether."""

    rows: tuple[Finding, ...]
    scale: str
    counting: str
    #: Bugs that the launch does not show; "0" for none.
    carried: str
    decided: str


def findings(frame: Json) -> Findings:
    """The discrepancies of a frame as the template prints them."""
    rows = frame["discrepancies"]
    kinds = frame["kinds"]
    scale = _scale(rows)
    return Findings(
        rows=tuple(_finding(row, scale, frame["at"]) for row in rows),
        scale=wording.part(scale),
        counting=wording.count(kinds["counting"]),
        carried=wording.count(kinds["carried"]),
        decided=wording.count(kinds["decided"]),
    )


def blank_finding() -> Finding:
    """The row from which the page's script makes others."""
    row = {
        "id": 0, "revision": 0, "kind": GroupKind.OTHER, "path": "", "count": 0, "ignored": 0,
        "rate": None, "noise_rate": None, "state": Decision.OPEN, "carried": False,
        "first": 0, "last": 0, "control_value": "", "version_value": "",
        "example": str(UUID(int=0)),
    }  # fmt: skip
    return _finding(row, 1.0, 0)


def _scale(rows: Sequence[Json]) -> float:
    """The smallest round part that holds the longest bar."""
    longest = max((max(row["rate"] or 0, row["noise_rate"] or 0) for row in rows), default=0)
    return next((part for part in _SCALES if longest <= part), _SCALES[-1])


def _finding(row: Json, scale: float, now: float) -> Finding:
    return Finding(
        id=row["id"],
        seen=f"{row['id']}:{row['revision']}",
        kind=kind_in_words(row["kind"]),
        path=row["path"],
        control_value=value_in_words(row, "control_value"),
        version_value=value_in_words(row, "version_value"),
        count=wording.count(row["count"]),
        ignored=f"+{wording.count(row['ignored'])} ignored" if row["ignored"] else "",
        rate=wording.part(row["rate"]),
        bar=_width(row["rate"], scale),
        noise=wording.part(row["noise_rate"]),
        noise_bar=_width(row["noise_rate"], scale),
        first="in an earlier launch"
        if row["carried"]
        else f"first {wording.ago(now - row['first'])}",
        last="not seen in this one" if row["carried"] else f"last {wording.ago(now - row['last'])}",
        state=row["state"],
        decision=row["state"].replace("_", " "),
        look=_look(row),
        example=row["example"] or "",
    )


def _look(row: Json) -> str:
    if row["state"] in ACCEPTED:
        return "decided"
    return "counting" if row["count"] or row["carried"] else "ignored"


def kind_in_words(kind: str) -> str:
    """``value``, ``control failed``."""
    return kind.replace("_", " ")


def value_in_words(row: Json, of: str) -> str:
    """What one version has there: a value, or that it has none."""
    if row[of]:
        return str(row[of])
    if row["kind"] in (GroupKind.FAILED, GroupKind.CONTROL_FAILED):
        return "handled"
    return "" if row["kind"] in (GroupKind.MANY, GroupKind.OTHER) else _NOTHING


def _width(part: float | None, scale: float) -> str:
    return f"{math.floor(min((part or 0) / scale, 1) * 1000 + 0.5) / 10:.1f}%"
