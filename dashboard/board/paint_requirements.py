"""The first paint of the requirements; ``static/js/board/requirements.js`` paints the same places.

Each is a line of the checklist: its number in words, and its interval drawn beside what it must
stay below. Lengths are in SVG's words, of a plot that is as wide as its column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from dashboard.board import wording
from dashboard.board.frames import Json
from dashboard.board.lenses import Lens
from dashboard.verdict.phrases import points
from dashboard.verdict.requirements import Requirement, Standing
from dashboard.verdict.words import Rate

_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
#: What is counted, where a requirement's name does not say it.
_LABELS: Mapping[str, str] = {Requirement.DIFFERENCES: "differences beyond noise"}
#: How the sentences of three of them begin, which a line of that name need not say again.
_NAMES = ("failure rate ", "slow orders ", "differences beyond noise ")
#: What a plot can end at: log ratios, shares, seconds.
_SCALES: Mapping[str, Sequence[float]] = {
    Requirement.SPEED: (0.05, 0.1, 0.2, 0.5, 1.0, 1.4),
    Requirement.FAILURES: _SHARES,
    Requirement.SLOW_ORDERS: _SHARES,
    Requirement.DIFFERENCES: _SHARES,
    Requirement.COMPLETENESS: _SHARES,
    Requirement.KEEPING_UP: (10, 20, 30, 60, 120, 300, 600, 1800, 3600),
}
#: What is counted, and so has no interval, and no other side of zero.
_COUNTED = (Requirement.COMPLETENESS, Requirement.KEEPING_UP)
#: Ends of an interval that say nothing: of a log ratio or a ratio, and of a share.
UNKNOWN = 13.9
_UNKNOWN_SHARE = 1.0
_SPACE = "\N{NO-BREAK SPACE}"
_ARROW = "\N{RIGHTWARDS ARROW}"
#: Beyond the line, there is room for as much again.
_BEYOND = 2.0


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Where things are in a plot: zero, the line, and the estimate in its interval."""

    zero: str
    line: str
    start: str
    width: str
    #: Empty while there is no estimate.
    dot: str


@dataclass(frozen=True, kw_only=True)
class Dated:
    """A few words with a time in the middle."""

    before: str
    at: datetime
    after: str


class Cause(NamedTuple):
    """Where to look for what a requirement does not pass for: orders, by a filter of the lanes, or
    a part of the board."""

    name: str
    lens: str = ""
    part: str = "lanes"


#: What is behind each requirement.
_CAUSES: Mapping[str, Cause] = {
    Requirement.SPEED: Cause("slower orders", Lens.SLOWER),
    Requirement.FAILURES: Cause("failed orders", Lens.FAILED),
    Requirement.SLOW_ORDERS: Cause("slower orders", Lens.SLOWER),
    Requirement.DIFFERENCES: Cause("discrepancies", part="findings"),
    Requirement.COMPLETENESS: Cause("missing orders", Lens.MISSING),
    Requirement.KEEPING_UP: Cause("queues", part="lights"),
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One requirement of the checklist; ``anchor`` is its place in the page that explains it."""

    key: str
    name: str
    anchor: str
    standing: str
    text: str
    limit: str
    plot: Plot
    more: str
    cause: Cause
    #: Whether there is a cause to look at.
    leads_on: bool
    history: Dated | None


def lines(rows: Sequence[Json], *, over: bool = False) -> tuple[Line, ...]:
    """The checklist: all requirements, in their order; empty ones while there is no verdict.

    ``over``: no more orders come, and none are predicted.
    """
    known = {row["key"]: row for row in rows}
    return tuple(_line(known.get(key) or _nothing(key), over=over) for key in Requirement)


def _nothing(key: str) -> Json:
    return {
        "key": key, "standing": Standing.NOT_YET, "word": "", "text": "", "estimate": None,
        "lo": None, "hi": None, "line": 0.0, "orders": 0, "needs": "", "since": None, "was": None,
        "was_at": None, "bound": None, "passed_at": None,
    }  # fmt: skip


def _line(row: Json, *, over: bool) -> Line:
    return Line(
        key=row["key"],
        name=_LABELS.get(row["key"], row["key"]),
        anchor=row["key"].replace(" ", "-"),
        standing=row["standing"],
        text=_text(row["text"]),
        limit=_limit(row),
        plot=_plot(row),
        cause=_CAUSES[row["key"]],
        leads_on=_leads_on(row),
        more="" if over else _more(row),
        history=_history(row),
    )


def _text(text: str) -> str:
    for name in _NAMES:
        text = text.removeprefix(name)
    return wording.unbroken(text)


def _limit(row: Json) -> str:
    """What the number must stay below."""
    return _at_most(row["key"], row["line"])


def _at_most(key: str, line: float) -> str:
    if key == Requirement.SPEED:
        change = wording.percent(math.expm1(line))
        return f"at most {change} slower" if line >= 0 else f"at least {change} faster"
    if key == Requirement.COMPLETENESS:
        return f"at most {wording.percent(line)} missing"
    if key == Requirement.KEEPING_UP:
        return f"at most {wording.seconds(line)} behind"
    return f"at most {points(line)}"


def _more(row: Json) -> str:
    return row["needs"] if row["word"] != Rate.NOT_COMPARABLE else ""


def _leads_on(row: Json) -> bool:
    is_open = row["standing"] != Standing.PASSED and row["word"] != Rate.NOT_COMPARABLE
    return is_open and row["estimate"] is not None


def _history(row: Json) -> Dated | None:
    if row["passed_at"] and row["standing"] == Standing.PASSED:
        at = datetime.fromtimestamp(row["passed_at"], UTC)
        bound = row["bound"]
        is_below = bound is not None and bound < row["line"]
        shown = f": {_at_most(row['key'], bound)} (95{_SPACE}%)" if is_below else ""
        return Dated(before="passed since ", at=at, after=shown)
    if row["was"]:
        at = datetime.fromtimestamp(row["was_at"], UTC)
        return Dated(before="since ", at=at, after=f": {row['was']} {_ARROW} {row['word']}")
    if row["since"]:
        at = datetime.fromtimestamp(row["since"], UTC)
        return Dated(before=f"{row['word']} since ", at=at, after="")
    return None


def _plot(row: Json) -> Plot:
    counted = row["key"] in _COUNTED
    lo, hi = (None, None) if counted else _ends(row)
    known = lo is not None and hi is not None and not _unknown(row["key"], lo, hi)
    low, high = (lo, hi) if known else (None, None)
    end = _end(row, [row["estimate"], low, high])
    begin = 0.0 if counted else -end

    def place(number: float) -> float:
        return min(max((number - begin) / (end - begin), 0.0), 1.0)

    start = place(low) if low is not None else 0.0
    return Plot(
        zero=_part(place(0.0)),
        line=_part(place(row["line"])),
        start=_part(start),
        width=_part(place(high) - start if high is not None else 0.0),
        dot=_part(place(row["estimate"])) if row["estimate"] is not None else "",
    )


def _ends(row: Json) -> tuple[float | None, float | None]:
    """What is drawn of an interval: up to the bound by which the requirement passed, if it has.

    Nothing where the bound of now is over the limit: what passed earlier stays, and says no more.
    """
    bound = row["bound"] if row["standing"] == Standing.PASSED else None
    if bound is None:
        return row["lo"], row["hi"]
    return (row["lo"], bound) if bound < row["line"] else (None, None)


def _end(row: Json, numbers: Sequence[float | None]) -> float:
    """The smallest round number that holds all of them, and leaves room beyond the line."""
    furthest = max(_BEYOND * row["line"], *(abs(one) for one in numbers if one is not None), 0.0)
    scales = _SCALES[row["key"]]
    return next((scale for scale in scales if furthest <= scale), scales[-1])


def _unknown(key: str, lo: float, hi: float) -> bool:
    """Whether one end of an interval says nothing."""
    most = UNKNOWN if key == Requirement.SPEED else _UNKNOWN_SHARE
    return lo <= -most or hi >= most


def _part(of_one: float) -> str:
    return f"{math.floor(of_one * 1000 + 0.5) / 10:.1f}%"
