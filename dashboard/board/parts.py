"""The parts of the board that change once a second at most: one template each.

They are the same for every reader: they depend on no request, user or time of day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.template.loader import render_to_string

from dashboard.board import wording
from dashboard.board.filters import Filter
from dashboard.board.indicators import indicators
from dashboard.board.verdict import verdict_text
from dashboard.board.wording import Json
from dashboard.comparison.foreign_text import visible, visible_together
from dashboard.comparison.judgement import GroupKind
from dashboard.comparison.outcome import ACCEPTED, Decision, Outcome, State
from dashboard.fold.discrepancies import MAX_DISCREPANCIES
from dashboard.launches.guards import on_the_board
from dashboard.models import Participant
from dashboard.review.listing import ListedDiscrepancy, listed, open_count
from restaurant.launches import find_launch
from restaurant.models import Launch

#: The decisions with their keys, as ``static/js/board/review.js`` knows them.
_DECISIONS = (
    (Decision.BUG, "b"),
    (Decision.BY_DESIGN, "d"),
    (Decision.NOISE, "n"),
    (Decision.OPEN, "o"),
)


_NAMES = (
    "launch", "guards", "verdict", "requirements", "indicators", "discrepancies", "outcomes",
)  # fmt: skip
#: Discrepancies on the board; the rest are on their own page.
SHOWN = 8
#: What a version has where it has no value, by the kind of difference.
_NO_VALUE = {
    GroupKind.FAILED: "handled", GroupKind.CONTROL_FAILED: "handled",
    GroupKind.MANY: "", GroupKind.OTHER: "",
}  # fmt: skip
#: Where the scale of the rates can end.
_SCALES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
#: The newest discrepancies, which a page announces unless it knows them.
_NEWEST = 5
_STATES = (State.HANDLED, State.FAILED, State.MISSING)
_WORDS = {State.HANDLED: "handled", State.FAILED: "failed", State.MISSING: "gave no answer"}


def render_parts(launch: Launch, state: Json, *, is_pinned: bool) -> dict[str, str]:
    """Each part of a board's state as HTML; most are empty without a dark version.

    ``is_pinned``: links name the launch, because it is not just the newest one.
    """
    control, *others = state["versions"]
    named = {"version": state["version"]} | ({"launch": state["launch"]} if is_pinned else {})
    context: dict[str, Any] = {
        "launch": launch,
        "state": state,
        "control": control,
        "here": urlencode(named),
    }
    for place, dark in enumerate(others, start=1):
        if dark["name"] == state["version"]:
            context |= {"dark": dark, "place": place}
    context["verdict"] = verdict_text(state)
    context["candidates"] = candidates(state, named)
    shown: dict[str, object] = {"indicators": indicators(state), "launch": launch}
    shown["verdict"] = context["verdict"]
    if state["guards"]:
        shown["guards"] = state["guards"]
    if "dark" in context:
        rows = state["discrepancies"]
        shown["discrepancies"] = [_as_listed(row) for row in rows]
        context |= {"scale": scale(rows), "decisions": _DECISIONS}
        context["share"] = wording.share(context["dark"]["percent"] or 0)
    if context["verdict"] is not None:
        shown["requirements"] = context["verdict"].requirements
    if "dark" in context and any(state["matrix"].values()):
        shown["outcomes"] = outcomes(state["matrix"], control["name"], state["version"])
    if launch.ended_at:
        context["ran"] = wording.age((launch.ended_at - launch.started_at).total_seconds())
    context["rate"] = wording.rate(state["rate"])
    return {
        name: render_to_string(f"dashboard/parts/{name}.html", context | {name: shown[name]})
        if name in shown
        else ""
        for name in _NAMES
    }


def guards(launch: UUID) -> list[Json]:
    """What guards did and nobody has acknowledged, in this and in other launches."""
    return [
        {
            "id": one.pk,
            "guard": one.guard,
            "version": one.version,
            "launch": one.launch,
            "launch_name": _name(one.launch) if one.launch != launch else "",
            "at": one.at,
            "why": one.why,
        }
        for one in on_the_board(SHOWN)
    ]


def _name(launch: UUID) -> str:
    found = find_launch(launch)
    return found.name if found is not None else "another launch"


def candidates(state: Json, named: Mapping[str, str]) -> list[Json]:
    """Every candidate with its word and the link that shows it; empty while there is only one.

    ``named``: what the link says besides the version.
    """
    return [
        {
            "name": one["name"],
            "place": place,
            "word": state["words"].get(one["name"], ""),
            "link": urlencode({**named, "version": one["name"]}),
        }
        for place, one in enumerate(state["versions"])
        if one["name"] in state["words"]
    ]


def discrepancies(launch: UUID, beside: Participant | None, candidates: Sequence[str]) -> Json:
    """The most frequent discrepancies of the version beside the control, and how many there are."""
    rows = (
        listed(launch, beside.version, at_most=2 * MAX_DISCREPANCIES) if beside is not None else []
    )
    counting = sum(row.counts_against for row in rows)
    waiting = sum(row.waits for row in rows)
    return {
        "discrepancies": [_discrepancy(row) for row in rows[:SHOWN]],
        "kinds": {
            "counting": counting,
            "carried": waiting,
            "decided": len(rows) - counting - waiting,
        },
        "newest": _newest(rows),
        "open": open_count(launch, candidates),
    }


def scale(rows: Sequence[Json]) -> float:
    """The smallest round rate that holds the longest bar."""
    longest = max((max(row["rate"] or 0, row["noise_rate"] or 0) for row in rows), default=0)
    return next((part for part in _SCALES if longest <= part), _SCALES[-1])


def _as_listed(row: Json) -> Json:
    """A discrepancy as it is listed; ``status``: counting, decided, or ignored in every pair."""
    undecided = "counting" if row["count"] or row["carried"] else "ignored"
    return {
        **row,
        "status": "decided" if row["state"] in ACCEPTED else undecided,
        "control_shown": row["control_value"] or _NO_VALUE.get(row["kind"], "nothing"),
        "version_shown": row["version_value"] or _NO_VALUE.get(row["kind"], "nothing"),
    }


def _discrepancy(row: ListedDiscrepancy) -> Json:
    found = row.discrepancy
    control, version = visible_together([found.control_value, found.version_value])
    return {
        "id": found.pk,
        "revision": found.revision,
        "kind": found.kind,
        "path": visible(found.path),
        "count": row.count,
        "ignored": 0 if row.carried else found.ignored,
        "rate": row.rate,
        "noise_rate": row.noise_rate,
        "state": found.state,
        "carried": row.carried,
        "first": found.first_seen_at.timestamp(),
        "last": found.last_seen_at.timestamp(),
        "control_value": control,
        "version_value": version,
        # The order that the values are from.
        "example": found.examples[0][1] if found.examples else None,
    }


def _newest(rows: Sequence[ListedDiscrepancy]) -> list[Json]:
    """The newest discrepancies, newest first."""
    here = sorted((row.discrepancy for row in rows if not row.carried), key=lambda one: -one.pk)
    return [{"id": one.pk, "kind": one.kind, "path": visible(one.path)} for one in here[:_NEWEST]]


@dataclass(frozen=True, kw_only=True)
class Box:
    """Pairs with one outcome: the key in the state, and the filter that shows them, if any.

    ``kind`` is agree, differ, failed or missing, or ``calm`` where neither is worse than the other.
    """

    key: str
    number: int
    kind: str
    meaning: str
    filter: str = ""


@dataclass(frozen=True, kw_only=True)
class OutcomeRow:
    """What the control did, and the boxes by what the dark version did; two where both handled the
    order."""

    state: str
    boxes: tuple[tuple[Box, ...], ...]


def outcomes(cells: Mapping[str, int], control: str, dark: str) -> list[OutcomeRow]:
    """The matrix: the control's states down, the dark version's across."""
    return [
        OutcomeRow(
            state=mine,
            boxes=tuple(tuple(_boxes(cells, (control, mine), (dark, its))) for its in _STATES),
        )
        for mine in _STATES
    ]


def _boxes(
    cells: Mapping[str, int], control: tuple[str, State], dark: tuple[str, State]
) -> Iterator[Box]:
    (name, mine), (other, theirs) = control, dark

    def box(key: str, kind: str, meaning: str, by: str) -> Box:
        return Box(key=key, number=cells.get(key, 0), kind=kind, meaning=meaning, filter=by)

    if mine is theirs is State.HANDLED:
        yield box(Outcome.AGREE, "agree", "both handled, results agree", "")
        meaning = "both handled, results differ, also if by design or noise"
        yield box(Outcome.DIFFER, "differ", meaning, Filter.DIFFERING)
        return
    meaning = f"{name} {_WORDS[mine]}, {other} {_WORDS[theirs]}"
    is_missing = State.MISSING in (mine, theirs)
    kind = "calm" if mine is theirs else "missing" if is_missing else "failed"
    yield box(f"{mine}/{theirs}", kind, meaning, Filter.MISSING if is_missing else Filter.FAILED)
