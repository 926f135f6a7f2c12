"""The board's first paint: what the templates print of a frame.

``static/js/board/`` paints the same places from the frames that follow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dashboard import wording

Frame = dict[str, Any]
Version = dict[str, Any]

#: The counters' columns: a version's key in the frame, the label, what it means.
COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("orders", "orders", "orders this version was to handle"),
    ("pairs", "pairs", "orders that both the control and this version have ended with"),
    ("handled", "handled", "orders it handled"),
    ("failed", "failed", "orders on which it raised an error"),
    ("missing", "missing", "orders without an answer when the deadline had passed"),
    ("waiting", "waiting", "orders it still has time to answer"),
    ("late", "late", "answers after the deadline"),
    ("repeats", "repeats", "answers heard more than once; the first one counts"),
    ("p50", "p50", "half of the orders were handled within this time"),
    ("p95", "p95", "95 of 100 orders were handled within this time"),
    ("p99", "p99", "99 of 100 orders were handled within this time"),
)
#: The columns that are times.
TIMES = frozenset({"p50", "p95", "p99"})
#: What is no trouble when it is none, and is to be seen when there is any.
_ALARMS = frozenset({"failed", "missing", "late", "repeats"})


#: A version's times are held against the control's only if both are of nearly the same orders:
#: of this part of the control's, and of so many at least. As in ``static/js/board/counters.js``.
_COMPARABLE = 0.95
_COMPARABLE_LEAST = 100
#: The part of the bars that the scale has room for.
_USUAL = 0.9


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a version. ``delta`` is its distance from the control's, where that is fair."""

    key: str
    text: str
    is_time: bool
    delta: str = ""
    alarm: bool = False


@dataclass(frozen=True, kw_only=True)
class Headline:
    """What is measured of the dark version that is looked at, in short."""

    version: Version
    place: int
    share: str
    pairs: str
    median: str
    failed: str
    missing: str


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
    mark: str


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


def dark_version(versions: Sequence[Version], asked: str) -> Version | None:
    """The dark version to hold against the control: the asked one, else the first."""
    dark = versions[1:]
    return next((version for version in dark if version["name"] == asked), next(iter(dark), None))


def headline(versions: Sequence[Version], asked: str) -> Headline | None:
    """The board's first sentence; none while the control works alone."""
    dark = dark_version(versions, asked)
    if dark is None:
        return None
    return Headline(
        version=dark,
        place=versions.index(dark),
        share=wording.share(dark["percent"] or 0),
        pairs=wording.count(dark["pairs"]),
        median=_change("p50", dark, versions[0]),
        failed=wording.count(dark["failed"]),
        missing=wording.count(dark["missing"]),
    )


def figures(version: Version, control: Version) -> list[Figure]:
    """A version's line of the counters."""
    return [
        Figure(
            key=key,
            text=wording.duration(version[key]) if key in TIMES else wording.count(version[key]),
            is_time=key in TIMES,
            delta=_change(key, version, control) if key in TIMES else "",
            alarm=key in _ALARMS and bool(version[key]),
        )
        for key, _, _ in COLUMNS
    ]


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
        mark="waiting",
    )


def nice_scale(longest_ms: float) -> float:
    """The smallest round step (1, 2, 3, 4, 5, 6, 8, 10, 20, ... ms) that holds this time."""
    if longest_ms <= 1:
        return 1
    power: float = 10 ** math.floor(math.log10(longest_ms))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if longest_ms <= step * power)


def _change(key: str, version: Version, control: Version) -> str:
    """How far a version's time is from the control's; nothing while it has other orders."""
    pairs = version["pairs"] or 0
    if pairs < max(_COMPARABLE_LEAST, _COMPARABLE * control["orders"]):
        return ""
    return wording.delta(control[key], version[key])


def _usual(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> float:
    """The time that nine of ten bars stay below; the rest are drawn broken off."""
    cells = (row["cells"].get(name, {}) for row in rows for name in names)
    times = sorted(float(cell["ms"]) for cell in cells if cell.get("state") == "handled")
    return times[math.ceil(len(times) * _USUAL) - 1] if times else 0


def _row(row: dict[str, Any], names: Sequence[str], scale_ms: float) -> Row:
    unsampled = {"state": "unsampled", "ms": None, "error": None, "late": False}
    control = row["cells"].get(names[0], unsampled)
    dark = row["cells"].get(names[1], unsampled) if len(names) > 1 else None
    both = dark is not None and control["state"] == dark["state"] == "handled"
    change = wording.delta(control["ms"], dark["ms"]) if dark and both else ""
    return Row(
        id=row["id"],
        number=row["number"],
        items=row["items"],
        note=row["note"],
        control=_cell(control, scale_ms),
        dark=_cell(dark, scale_ms, control["ms"] if both else None) if dark else None,
        delta=change,
        mark=_mark(control["state"], dark["state"], change) if dark else "none",
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


def _mark(control: str, dark: str, change: str) -> str:
    for state in ("missing", "failed", "unsampled"):
        if state in (control, dark):
            return state
    if not change:
        return "handled" if control == dark == "handled" else "waiting"
    return {"−": "faster", "+": "slower"}.get(change[0], "same")


def _width(ms: float, scale_ms: float) -> str:
    return f"{math.floor(min(ms / scale_ms, 1) * 1000 + 0.5) / 10:.1f}%"
