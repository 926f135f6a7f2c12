"""The verdict and its requirements, as their templates print them.

Lengths are SVG percentages of a plot that is as wide as its column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from dashboard.board import wording
from dashboard.board.filters import Filter
from dashboard.board.wording import Json
from dashboard.verdict.assessment import Run
from dashboard.verdict.thresholds import Requirement, RequirementStatus
from dashboard.verdict.wording import Rate, Word, counted, points

#: How a sentence names the orders of a segment: when it comes first, and when it comes second.
_ORDERS = {
    "size": ("on {} orders", "on {} ones"),
    "item": ("on orders with {}", "on those with {}"),
    "hour": ("on orders at {}:00 UTC", "on those at {}:00 UTC"),
}
#: What the checklist says of a requirement's status.
_STATUS: Mapping[str, str] = {
    RequirementStatus.PASSED: "met",
    RequirementStatus.FAILED: "not met",
}
#: Beginnings of sentences that repeat the requirement's name.
_NAMES = ("failure rate ", "slow orders ", "differences beyond noise ")
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
#: Where a plot can end: log ratios, shares, seconds.
_SCALES: Mapping[str, Sequence[float]] = {
    Requirement.SPEED: (0.05, 0.1, 0.2, 0.5, 1.0, 1.4),
    Requirement.FAILURES: _SHARES,
    Requirement.SLOW_ORDERS: _SHARES,
    Requirement.DIFFERENCES: _SHARES,
    Requirement.COMPLETENESS: _SHARES,
    Requirement.KEEPING_UP: (10, 20, 30, 60, 120, 300, 600, 1800, 3600),
}
#: Requirements that are counted exactly: they have no interval, and are never below zero.
_COUNTED = (Requirement.COMPLETENESS, Requirement.KEEPING_UP)
#: An interval that reaches this far says nothing: for a log ratio or a ratio, and for a share. The
#: first is UNKNOWN in ``static/js/board/dots.js``.
_UNBOUNDED = 13.9
_UNBOUNDED_SHARE = 1.0
#: A plot shows at least this many times the threshold.
_BEYOND = 2.0
_SPACE = "\N{NO-BREAK SPACE}"
_ARROW = "\N{RIGHTWARDS ARROW}"
_AT_MOST = f"\N{LESS-THAN OR EQUAL TO}{_SPACE}"
_AT_LEAST = f"\N{GREATER-THAN OR EQUAL TO}{_SPACE}"


@dataclass(frozen=True, kw_only=True)
class Dated:
    """A text with a time in the middle."""

    before: str
    at: datetime
    after: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Positions in a plot: zero, the threshold, and the estimate with its interval."""

    zero: str
    line: str
    start: str
    width: str
    #: Empty while there is no estimate.
    dot: str


class Cause(NamedTuple):
    """Where to find out why a requirement does not pass: a filter of the lanes, or a part of the
    board."""

    name: str
    filter: str = ""
    part: str = "lanes"


_CAUSES: Mapping[str, Cause] = {
    Requirement.SPEED: Cause("slower orders", Filter.SLOWER),
    Requirement.FAILURES: Cause("failed orders", Filter.FAILED),
    Requirement.SLOW_ORDERS: Cause("slower orders", Filter.SLOWER),
    Requirement.DIFFERENCES: Cause("discrepancies", part="discrepancies"),
    Requirement.COMPLETENESS: Cause("missing orders", Filter.MISSING),
    Requirement.KEEPING_UP: Cause("queues", part="indicators"),
}


@dataclass(frozen=True, kw_only=True)
class ChecklistItem:
    """One requirement; ``anchor`` is its place in the page that explains it."""

    key: str
    anchor: str
    standing: str
    status: str
    text: str
    limit: str
    plot: Plot
    more: str
    #: None where there is nothing to show.
    cause: Cause | None
    history: Dated | None


@dataclass(frozen=True, kw_only=True)
class VerdictText:
    """The verdict's word with the text around it, and everything below the sentence."""

    #: The word as an attribute of the page.
    slug: str
    before: str
    word: str
    after: str
    #: The effect while the word is still open.
    so_far: str
    #: The segments whose effects differ most.
    contrast: str
    #: Where the version gets no more orders: since when, and how many were counted.
    state: Dated | None
    warnings: Sequence[str]
    requirements: Sequence[ChecklistItem]
    tested: str
    lag: str
    faster_share: str
    total_time: str
    #: Answers that came late, or could not be counted.
    trouble: str


def requirement_status(standing: str) -> str:
    """What people read of a RequirementStatus."""
    return _STATUS.get(standing, standing)


def verdict_text(state: Json) -> VerdictText | None:
    """The verdict of a board's state; None while there is none."""
    verdict = state["verdict"]
    if verdict is None:
        return None
    before = f"{verdict['version']} is " if verdict["word"] == Word.READY else ""
    word = verdict["word"].upper()
    after = verdict["sentence"][len(before) + len(word) :].removeprefix(":").strip()
    over = state["run"]["state"] != Run.RUNNING
    return VerdictText(
        slug=verdict["word"].replace(" ", "-"),
        before=before,
        word=word,
        after=wording.unbroken(after),
        so_far="" if over else _so_far(verdict),
        contrast=_contrast(verdict["contrasts"]),
        state=_run_state(state["run"], verdict["orders"]),
        warnings=[wording.unbroken(warning) for warning in verdict["warnings"]],
        requirements=checklist(verdict["requirements"], over=over),
        tested=_tested(verdict),
        lag=f"verdict delay {wording.seconds(verdict['lag_s'])}",
        faster_share=_faster_share(verdict["faster_share"]),
        total_time=_total_time(verdict["total_time"]),
        trouble=", ".join(_trouble(verdict)),
    )


def checklist(rows: Sequence[Json], *, over: bool = False) -> Sequence[ChecklistItem]:
    """All requirements, in their order.

    ``over``: no more orders come, so none are predicted.
    """
    known = {row["key"]: row for row in rows}
    return [_checklist_item(known[key], over=over) for key in Requirement if key in known]


def _run_state(run: Json, orders: int) -> Dated | None:
    """Why no more orders come, and how many were counted."""
    if run["state"] == Run.RUNNING or run["at"] is None:
        return None
    counted_orders = f", on {counted(orders)} after the warm-up"
    if run["state"] == Run.STOPPED:
        return _dated("Stopped (0 % of orders) since ", run["at"], counted_orders)
    if run["final_at"] is None:
        return _dated("Ended ", run["at"], "; the last orders are still being counted")
    return _dated("Final: the launch ended ", run["at"], counted_orders)


def _dated(before: str, at: float, after: str) -> Dated:
    return Dated(
        before=wording.unbroken(before), at=datetime.fromtimestamp(at, UTC), after=f"{after}."
    )


def _so_far(verdict: Json) -> str:
    speed = next(one for one in verdict["requirements"] if one["key"] == Requirement.SPEED)
    is_open = verdict["word"] == Word.NOT_YET and speed["standing"] == RequirementStatus.PASSED
    return wording.unbroken(f"So far {speed['text']}.") if is_open else ""


def _contrast(contrasts: Sequence[Json]) -> str:
    """The strongest contrast, as in "Faster on small orders, slower on huge ones."."""
    if not contrasts:
        return ""
    strongest = contrasts[0]
    first, other = _ORDERS[strongest["kind"]]
    faster, slower = first.format(strongest["faster"]), other.format(strongest["slower"])
    if strongest["opposite"]:
        return f"Faster {faster}, slower {slower}."
    return f"Best {faster}, worst {slower}."


def _tested(verdict: Json) -> str:
    pairs, blocks = counted(verdict["pairs"], "pair"), counted(verdict["blocks"], "block")
    build = f" (build {verdict['build']})" if verdict["build"] else ""
    each = wording.seconds(verdict["block_s"])
    why = f" ({verdict['block_why']})" if verdict["block_why"] else ""
    return f"{pairs} measured{build}, {blocks} of {each}{why}"


def _faster_share(interval: Sequence[float] | None) -> str:
    return f"faster on {wording.span(*interval)} of orders" if interval else ""


def _total_time(interval: Sequence[float] | None) -> str:
    """The ratio of the versions' total times as a change."""
    if interval is None or not -_UNBOUNDED < interval[0] <= interval[1] < _UNBOUNDED:
        return ""
    low, high = interval[0] - 1, interval[1] - 1
    if low < 0 < high:
        return f"total time {wording.change(low)} to {wording.change(high)}"
    return f"total time {wording.span(low, high)} {'less' if high <= 0 else 'more'}"


def _trouble(verdict: Json) -> Iterator[str]:
    if verdict["late"]:
        yield f"{wording.count(verdict['late'])} counted late"
    if verdict["lost"]:
        yield f"{wording.count(verdict['lost'])} too late to count"
    if verdict["bad"]:
        yield f"{wording.count(verdict['bad'])} not usable"


def _checklist_item(row: Json, *, over: bool) -> ChecklistItem:
    is_comparable = row["word"] != Rate.NOT_COMPARABLE
    is_open = is_comparable and row["standing"] != RequirementStatus.PASSED
    return ChecklistItem(
        key=row["key"],
        anchor=row["key"].replace(" ", "-"),
        standing=row["standing"],
        status=requirement_status(row["standing"]),
        text=_text(row["text"]),
        limit=_limit(row["key"], row["line"]),
        plot=_plot(row),
        cause=_CAUSES[row["key"]] if is_open and row["estimate"] is not None else None,
        more=row["needs"] if is_comparable and not over else "",
        history=_history(row),
    )


def _text(text: str) -> str:
    for name in _NAMES:
        text = text.removeprefix(name)
    return wording.unbroken(text)


def _limit(key: str, line: float) -> str:
    if key == Requirement.SPEED:
        change = wording.percent(math.expm1(line))
        return f"{_AT_MOST}{change} slower" if line >= 0 else f"{_AT_LEAST}{change} faster"
    if key == Requirement.COMPLETENESS:
        return f"{_AT_MOST}{wording.percent(line)} missing"
    if key == Requirement.KEEPING_UP:
        return f"{_AT_MOST}{wording.seconds(line)} behind"
    return f"{_AT_MOST}{wording.unbroken(points(line))}"


def _history(row: Json) -> Dated | None:
    if row["passed_at"] and row["standing"] == RequirementStatus.PASSED:
        at = datetime.fromtimestamp(row["passed_at"], UTC)
        bound = row["bound"]
        is_below = bound is not None and bound < row["line"]
        shown = f": {_limit(row['key'], bound)} (95{_SPACE}%)" if is_below else ""
        return Dated(before="since ", at=at, after=shown)
    if row["was"]:
        at = datetime.fromtimestamp(row["was_at"], UTC)
        return Dated(before="since ", at=at, after=f": {row['was']} {_ARROW} {row['word']}")
    if row["since"]:
        at = datetime.fromtimestamp(row["since"], UTC)
        return Dated(before=f"{row['word']} since ", at=at, after="")
    return None


def _plot(row: Json) -> Plot:
    is_count = row["key"] in _COUNTED
    lo, hi = (None, None) if is_count else _interval(row)
    known = lo is not None and hi is not None and not _is_unbounded(row["key"], lo, hi)
    low, high = (lo, hi) if known else (None, None)
    end = _axis_end(row, [row["estimate"], low, high])
    begin = 0.0 if is_count else -end

    def place(number: float) -> float:
        return min(max((number - begin) / (end - begin), 0.0), 1.0)

    start = place(low) if low is not None else 0.0
    return Plot(
        zero=_svg_percent(place(0.0)),
        line=_svg_percent(place(row["line"])),
        start=_svg_percent(start),
        width=_svg_percent(place(high) - start if high is not None else 0.0),
        dot=_svg_percent(place(row["estimate"])) if row["estimate"] is not None else "",
    )


def _interval(row: Json) -> tuple[float | None, float | None]:
    """The interval to draw: up to the bound by which the requirement passed, if it has.

    None where that bound is over the threshold by now: the pass stays, the interval proves nothing.
    """
    bound = row["bound"] if row["standing"] == RequirementStatus.PASSED else None
    if bound is None:
        return row["lo"], row["hi"]
    return (row["lo"], bound) if bound < row["line"] else (None, None)


def _axis_end(row: Json, numbers: Sequence[float | None]) -> float:
    """Where the plot ends: the first scale beyond all these numbers and twice the threshold."""
    furthest = max(_BEYOND * row["line"], *(abs(one) for one in numbers if one is not None), 0.0)
    scales = _SCALES[row["key"]]
    return next((scale for scale in scales if furthest <= scale), scales[-1])


def _is_unbounded(key: str, lo: float, hi: float) -> bool:
    """Whether an interval reaches so far that it says nothing."""
    most = _UNBOUNDED if key == Requirement.SPEED else _UNBOUNDED_SHARE
    return lo <= -most or hi >= most


def _svg_percent(of_one: float) -> str:
    return f"{math.floor(of_one * 1000 + 0.5) / 10:.1f}%"
