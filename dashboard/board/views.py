"""What sockets look at, and its newest state as text: built once for all of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from dashboard.board.frame import Counted, count, work_out
from dashboard.board.frames import Json
from dashboard.board.lenses import Lens
from restaurant.launches import find_launch, newest_launch
from restaurant.models import Launch

#: The launch, its differences, the verdict and the charts are looked at anew so often.
WORKED_OUT_EVERY_S = 1.0
#: Nothing older is shown, even where nobody could look anew.
_TOO_OLD_S = 3 * WORKED_OUT_EVERY_S


@dataclass(frozen=True, slots=True)
class View:
    """What a socket looks at: a launch (None: the newest) through a lens, and which dark version
    beside the control (empty: the first)."""

    launch: UUID | None
    lens: Lens
    version: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it is what the board's page shows unless somebody chooses something."""
        return self.launch is None and self.lens is Lens.ALL


DEFAULT = View(None, Lens.ALL)
#: What sockets look at that ask for a launch that does not exist.
NOWHERE = View(UUID(int=0), Lens.ALL)


@dataclass(frozen=True, slots=True)
class WorkedOut:
    """What of a view takes long: its launch, the differences, the verdict; the charts as text."""

    at: float
    launch: Launch
    part: Json
    series: str

    @property
    def is_old(self) -> bool:
        """Whether it is time to look anew."""
        return time.monotonic() - self.at >= WORKED_OUT_EVERY_S

    @property
    def is_too_old(self) -> bool:
        """Whether no frame may do with it any more, in whatever hurry."""
        return time.monotonic() - self.at >= _TOO_OLD_S


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
    #: When the charts were worked out.
    series_at: float
    #: None without a launch.
    counted: Counted | None = None
    #: What took long, for the frames that come.
    worked_out: WorkedOut | None = None


def build(
    view: View, before: WorkedOut | None, *, number: int, backlogs: Mapping[str, int] | None
) -> Frame:
    """The state of a view now, with what takes long from before, if it is given."""
    built_at = time.monotonic()
    launch = before.launch if before is not None else _launch_of(view)
    if launch is None:
        text = json.dumps({"n": number, "type": "none"})
        return Frame(view, number, built_at, text, text, built_at)
    counted = count(launch, view.lens, version=view.version, backlogs=backlogs)
    worked_out = before if before is not None else _work_out(launch, counted, built_at)
    plain = _json({"n": number, **counted.joined(worked_out.part)})
    return Frame(
        view=replace(view, version=counted.part["version"]),
        number=number,
        built_at=built_at,
        plain=plain,
        with_series=f'{plain[:-1]},"series":{worked_out.series}}}',
        series_at=worked_out.at,
        counted=counted,
        worked_out=worked_out,
    )


def look_anew(frame: Frame) -> Frame:
    """The same frame, with what takes long worked out anew for those that come.

    Without it where the view is of another launch by now.
    """
    launch, counted = _launch_of(frame.view), frame.counted
    if launch is None or counted is None or str(launch.id) != counted.part["launch"]:
        return replace(frame, worked_out=None)
    return replace(frame, worked_out=_work_out(launch, counted, time.monotonic()))


def _work_out(launch: Launch, counted: Counted, at: float) -> WorkedOut:
    part = work_out(launch, counted, with_series=True)
    return WorkedOut(at, launch, part, _json(part.pop("series")))


def _launch_of(view: View) -> Launch | None:
    return find_launch(view.launch) if view.launch else newest_launch()


def _json(state: Json) -> str:
    """As ASCII: every text that is sent has to be encoded, and this one is so at once."""
    return json.dumps(state, separators=(",", ":"))
