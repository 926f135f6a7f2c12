"""Views, which sockets watch, and their frames: built and encoded once for all sockets.

A frame carries what changed since an earlier one. Each row, each part and the charts' points keep
the number of the frame in which they last changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from dashboard.board.filters import Filter
from dashboard.board.frame import FastPart, fast_part, frame_fields, slow_part
from dashboard.board.parts import render_parts
from dashboard.board.rows import find_rows
from dashboard.board.wording import Json
from restaurant.launches import find_launch, newest_launch
from restaurant.models import Launch

#: How often the launch, its differences, the verdict and the charts are computed.
SLOW_PART_EVERY_S = 1.0
#: The age from which they are not shown any more, even in a rush.
_TOO_OLD_S = 3 * SLOW_PART_EVERY_S
#: Encodes to ASCII: turning that into UTF-8 for each socket costs nothing.
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class View:
    """What a socket watches: a launch (None: the newest), a filter, and the dark version beside the
    control (empty: the first)."""

    launch: UUID | None
    filter: Filter
    version: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it is what the board shows by default, of any version."""
        return self.launch is None and self.filter is Filter.ALL


DEFAULT = View(None, Filter.ALL)
#: Shows a launch that does not exist.
NOWHERE = View(UUID(int=0), Filter.ALL)


@dataclass(frozen=True, slots=True)
class SlowPart:
    """The slow part of a view: its launch, differences, verdict, charts and rendered parts."""

    at: float
    launch: Launch
    part: Json

    @property
    def is_old(self) -> bool:
        """Whether to compute it again."""
        return time.monotonic() - self.at >= SLOW_PART_EVERY_S

    @property
    def is_too_old(self) -> bool:
        """Whether no frame may use it any more."""
        return time.monotonic() - self.at >= _TOO_OLD_S


class Piece(NamedTuple):
    """A piece of a frame, its JSON, and the number of the frame in which it last changed."""

    value: object
    text: str
    changed: int


_Pieces = Mapping[str, Piece]


@dataclass(frozen=True, slots=True)
class Frame:
    """A view at one moment."""

    number: int
    #: What every frame carries, as a JSON object without its closing brace.
    head: str
    #: The view that was built, with the version that is shown where none or another was asked for.
    view: View = DEFAULT
    built_at: float = field(default_factory=time.monotonic)
    #: By order, in the order of the lanes.
    rows: _Pieces = field(default_factory=dict)
    #: HTML by part.
    parts: _Pieces = field(default_factory=dict)
    #: The charts' points; None without a launch.
    series: Piece | None = None
    #: None without a launch.
    fast: FastPart | None = None
    #: For the next frames.
    slow: SlowPart | None = None
    _texts: dict[int, str] = field(default_factory=dict, compare=False)

    def text(self, since: int) -> str:
        """The JSON of what changed since frame ``since`` of this view; 0: of everything."""
        if since not in self._texts:
            self._texts[since] = self._text(since)
        return self._texts[since]

    def _text(self, since: int) -> str:
        rows = ",".join(row.text for row in self.rows.values() if row.changed > since)
        parts = ",".join(
            f"{_encode(name)}:{part.text}"
            for name, part in self.parts.items()
            if part.changed > since
        )
        series = ""
        if self.series is not None and self.series.changed > since:
            series = f',"series":{self.series.text}'
        return f'{self.head},"since":{since},"rows":[{rows}],"parts":{{{parts}}}{series}}}'


def build(
    view: View,
    known: SlowPart | None,
    frames: Mapping[View, Frame],
    *,
    number: int,
    backlogs: Mapping[str, int] | None,
) -> Frame:
    """The next frame of a view, after the newest of these.

    ``known``: its slow part; None: compute it now.
    """
    built_at = time.monotonic()
    launch = known.launch if known is not None else _launch_of(view)
    if launch is None:
        return Frame(number, _head({"n": number, "type": "none", "ids": []}), view, built_at)
    fast = fast_part(launch, view.filter, version=view.version, backlogs=backlogs)
    slow = known if known is not None else _build_slow_part(view, launch, fast, built_at)
    shown = replace(view, version=fast.part["version"])
    frame = compose(fast.joined(slow.part), frames.get(shown), number=number)
    return replace(frame, view=shown, built_at=built_at, fast=fast, slow=slow)


def compose(state: Json, before: Frame | None, *, number: int) -> Frame:
    """The frame of a state; pieces that have not changed since the frame before keep its number."""
    head = {"n": number, **frame_fields(state)}
    rows = {row["id"]: row for row in head.pop("rows")}
    series = head.pop("series")
    return Frame(
        number=number,
        head=_head(head),
        rows=_pieces(rows, before.rows if before else {}, number),
        parts=_pieces(state["parts"], before.parts if before else {}, number),
        series=_piece(series, before.series if before else None, number),
    )


def _head(state: Json) -> str:
    return _encode(state)[:-1]


def _pieces(values: Mapping[str, object], before: _Pieces, number: int) -> _Pieces:
    return {name: _piece(value, before.get(name), number) for name, value in values.items()}


def _piece(value: object, before: Piece | None, number: int) -> Piece:
    if before is not None and before.value == value:
        return before
    return Piece(value, _encode(value), number)


def refresh(frame: Frame) -> Frame:
    """The same frame, with its slow part computed again for the next ones.

    Without a slow part if its view shows another launch by now.
    """
    launch, fast = _launch_of(frame.view), frame.fast
    if launch is None or fast is None or str(launch.id) != fast.part["launch"]:
        return replace(frame, slow=None)
    return replace(frame, slow=_build_slow_part(frame.view, launch, fast, time.monotonic()))


def _build_slow_part(view: View, launch: Launch, fast: FastPart, at: float) -> SlowPart:
    part = slow_part(launch, fast)
    parts = render_parts(launch, fast.joined(part), is_pinned=view.launch is not None)
    return SlowPart(at, launch, part | {"parts": parts})


def find(view: View, text: str) -> str:
    """The orders of a view's launch that match a search, as a frame of its own type."""
    launch = _launch_of(view)
    rows = find_rows(launch, text) if launch is not None else []
    return _encode({"type": "found", "q": text, "rows": rows})


def existing(asked: AbstractSet[View]) -> dict[View, View]:
    """The views to show for those that are asked for.

    All launches that do not exist share one; a version that does not exist becomes the first one.
    """
    launches = Launch.objects.prefetch_related("dark_versions").in_bulk(
        {view.launch for view in asked if view.launch is not None}
    )
    newest = newest_launch()
    views = {}
    for view in asked:
        launch = newest if view.launch is None else launches.get(view.launch)
        if launch is None:
            views[view] = DEFAULT if view.launch is None else NOWHERE
            continue
        is_there = view.version in {dark.version for dark in launch.dark_versions.all()}
        views[view] = view if is_there else replace(view, version="")
    return views


def versions_in(views: Iterable[View]) -> set[str]:
    """All versions of the launches that are watched."""
    versions: set[str] = set()
    for view in {replace(view, filter=Filter.ALL, version="") for view in views}:
        launch = _launch_of(view)
        if launch is not None:
            versions |= {launch.control, *(dark.version for dark in launch.dark_versions.all())}
    return versions


def _launch_of(view: View) -> Launch | None:
    return find_launch(view.launch) if view.launch else newest_launch()
