"""What sockets look at, and its newest state as text: built once for all of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from dashboard.board.frame import build_frame, find_launch, newest_launch
from dashboard.board.frames import Json
from dashboard.board.lenses import Lens
from restaurant.models import Launch

#: The launch, its differences, the verdict and the charts are looked at anew so often.
WORKED_OUT_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class View:
    """What a socket looks at: a launch (None: the newest) through a lens, and which dark version
    beside the control (empty: the first)."""

    launch: UUID | None
    lens: Lens
    version: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One built state of a view, as text with and without the charts.

    ``view`` is the one that was built: where somebody wished for a version that is not there,
    the one that everybody gets instead.
    """

    view: View
    number: int
    built_at: float
    plain: str
    with_series: str
    #: When what takes long to work out was worked out, the charts among it.
    worked_out_at: float
    launch: Launch | None = None
    state: Json = field(default_factory=dict)
    series: str = ""


def build(
    view: View, before: Frame | None, *, number: int, backlogs: Mapping[str, int] | None
) -> Frame:
    """The state of a view now. What takes long to work out is taken over from the frame before it,
    for a second."""
    now = time.monotonic()
    if before is not None and now - before.worked_out_at >= WORKED_OUT_EVERY_S:
        before = None
    launch = before.launch if before is not None else _launch_of(view)
    if launch is None:
        text = json.dumps({"n": number, "type": "none"})
        return Frame(view, number, now, text, text, now)
    since = before.state if before is not None else None
    state = build_frame(
        launch,
        view.lens,
        version=view.version,
        with_series=since is None,
        backlogs=backlogs,
        since=since,
    )
    series = before.series if before is not None else _json(state.pop("series"))
    plain = _json({"n": number, **state})
    return Frame(
        view=replace(view, version=state["version"]),
        number=number,
        built_at=now,
        plain=plain,
        with_series=f'{plain[:-1]},"series":{series}}}',
        worked_out_at=before.worked_out_at if before is not None else now,
        launch=launch,
        state=state,
        series=series,
    )


def _launch_of(view: View) -> Launch | None:
    return find_launch(view.launch) if view.launch else newest_launch()


def _json(state: Json) -> str:
    """As ASCII: a text that goes to hundreds of sockets is encoded anew for each of them."""
    return json.dumps(state, separators=(",", ":"))
