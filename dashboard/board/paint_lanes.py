"""The first paint of the lanes; ``static/js/board/lanes.js`` paints the same places afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dashboard.board import wording
from dashboard.board.paint import Version, dark_version
from dashboard.domain.outcome import Outcome, State

#: The part of the bars that the scale has room for.
_USUAL = 0.9
#: What each mark between two versions means; as in ``static/js/board/row.js``.
MEANINGS = {
    "agree": "agree",
    "accepted": "differ only by design, by noise or where a rule says so",
    "differ": "differ",
    "failed": "failed",
    "missing": "missing",
    "waiting": "waiting",
    "unsampled": "not sampled",
    "none": "no dark version",
}
_UNSAMPLED = {"state": "unsampled", "ms": None, "error": None, "late": False, "pair": None}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one version did with one order: ``bar`` and ``tick`` are widths in SVG's words."""

    state: str
    text: str
    bar: str = "0"
    #: Where the control ended, drawn over the dark version's bar.
    tick: str = ""
    late: bool = False
    #: True when the time is beyond the scale.
    over: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """An order in the lanes: the control's cell, the dark version's, and what lies between."""

    id: str
    number: int
    items: str
    note: bool
    control: Cell
    dark: Cell | None
    delta: str
    slower: bool
    mark: str
    #: The fields that differ and count.
    differs: str

    @property
    def meaning(self) -> str:
        """The mark in words."""
        return MEANINGS[self.mark]


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """Two versions side by side, an order a row, on one scale of time."""

    control: Version
    dark: Version | None
    #: The dark version's place among all versions, from which its shade comes.
    place: int
    rows: tuple[Row, ...]
    scale_ms: float

    @property
    def scale(self) -> str:
        """The end of the scale, in words."""
        return wording.duration(self.scale_ms)


def lanes(rows: Sequence[dict[str, Any]], versions: Sequence[Version], asked: str) -> Lanes:
    """The rows of a frame as the templates print them."""
    dark = dark_version(versions, asked)
    names = [versions[0]["name"]] + ([dark["name"]] if dark else [])
    scale_ms = nice_scale(_usual(rows, names))
    return Lanes(
        control=versions[0],
        dark=dark,
        place=versions.index(dark) if dark else 0,
        rows=tuple(_row(row, names, scale_ms) for row in rows),
        scale_ms=scale_ms,
    )


def blank_row(*, with_dark: bool) -> Row:
    """The row from which the page's script makes others."""
    cell = Cell(state="waiting", text="waiting")
    return Row(
        id=str(UUID(int=0)),
        number=0,
        items="",
        note=False,
        control=cell,
        dark=cell if with_dark else None,
        delta="",
        slower=False,
        mark="waiting",
        differs="",
    )


def nice_scale(longest_ms: float) -> float:
    """The smallest round step (1, 2, 3, 4, 5, 6, 8, 10, 20, ... ms) that holds this time."""
    if longest_ms <= 1:
        return 1
    power: float = 10 ** math.floor(math.log10(longest_ms))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if longest_ms <= step * power)


def _usual(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> float:
    """The time that nine of ten bars stay below; the rest are drawn broken off."""
    cells = (row["cells"].get(name, {}) for row in rows for name in names)
    times = sorted(float(cell["ms"]) for cell in cells if cell.get("state") == "handled")
    return times[math.ceil(len(times) * _USUAL) - 1] if times else 0


def _row(row: dict[str, Any], names: Sequence[str], scale_ms: float) -> Row:
    control = row["cells"].get(names[0], _UNSAMPLED)
    dark = row["cells"].get(names[1], _UNSAMPLED) if len(names) > 1 else None
    both = dark is not None and control["state"] == dark["state"] == State.HANDLED
    change = wording.delta(control["ms"], dark["ms"]) if dark and both else ""
    mark = _mark(control["state"], dark["state"], dark["pair"]) if dark else "none"
    return Row(
        id=row["id"],
        number=row["number"],
        items=row["items"],
        note=row["note"],
        control=_cell(control, scale_ms),
        dark=_cell(dark, scale_ms, control["ms"] if both else None) if dark else None,
        delta=change,
        slower=change.startswith("+"),
        mark=mark,
        differs=_differs(dark["pair"]) if dark and mark == "differ" else "",
    )


def _cell(cell: dict[str, Any], scale_ms: float, tick_ms: float | None = None) -> Cell:
    handled = cell["state"] == "handled"
    return Cell(
        state=cell["state"],
        text=wording.duration(cell["ms"]) if handled else _said(cell),
        bar=_width(cell["ms"], scale_ms) if handled else "0",
        tick="" if tick_ms is None else _width(tick_ms, scale_ms),
        late=cell["late"],
        over=handled and cell["ms"] > scale_ms,
    )


def _said(cell: dict[str, Any]) -> str:
    if cell["state"] == "failed" and cell["error"]:
        return f"failed: {cell['error']}"
    return "not sampled" if cell["state"] == "unsampled" else str(cell["state"])


def _mark(control: str, dark: str, pair: dict[str, Any] | None) -> str:
    for state in ("missing", "failed", "unsampled"):
        if state in (control, dark):
            return state
    if pair is None:
        return "waiting"
    if pair["outcome"] == Outcome.DIFFER and pair["differs"]:
        return "differ"
    return "accepted" if pair["accepted"] else "agree"


def _differs(pair: dict[str, Any]) -> str:
    more = f" +{pair['more']}" if pair["more"] else ""
    return ", ".join(pair["differs"]) + more


def _width(ms: float, scale_ms: float) -> str:
    return f"{math.floor(min(ms / scale_ms, 1) * 1000 + 0.5) / 10:.1f}%"
