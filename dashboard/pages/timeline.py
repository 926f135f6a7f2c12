"""One order's timeline: what every version did with it, as positions on one axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dashboard.board import wording
from dashboard.board.paint_lanes import nice_scale
from dashboard.domain.outcome import State
from dashboard.models import Observation
from kitchen_worker.contract.messages import Role

#: The part of the axis that is kept free at its end.
_AIR = 1.04
_OPEN = frozenset({"waiting", State.RECEIVED.value})


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of the axis: where it starts and how wide it is, in SVG's percents."""

    start: str
    width: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One version's line of the timeline."""

    version: str
    role: str
    state: str
    said: str
    seen: Observation | None
    #: From placed to received.
    waited: Span | None = None
    worked: Span | None = None
    end: str = ""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Every version of one order on one axis, which starts when the order was placed."""

    lanes: tuple[Lane, ...]
    #: Position and label of each mark of the axis.
    ticks: tuple[tuple[str, str], ...]
    #: Until the letter was posted and confirmed: a kitchen may have had the order before.
    sent: Span | None

    @property
    def is_open(self) -> bool:
        """True while a version may still answer."""
        return any(lane.state in _OPEN for lane in self.lanes)


@dataclass(frozen=True)
class _Axis:
    start: datetime
    span_ms: float

    def ms(self, when: datetime) -> float:
        return max((when - self.start) / timedelta(milliseconds=1), 0.0)

    def percent(self, ms: float) -> str:
        return f"{min(ms / self.span_ms, 1) * 100:.2f}%"

    def span(self, begin: datetime, end: datetime, text_ms: float | None = None) -> Span:
        first, last = self.ms(begin), self.ms(end)
        length = max(last - first, 0.0)
        return Span(
            start=self.percent(first),
            width=self.percent(length),
            text=wording.duration(length if text_ms is None else text_ms),
        )


def parts(story: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and role of every version with a part in the order's launch, control first."""
    launch = story["launch"]
    seen = [(one.version, one.role) for one in story["observations"]]
    if launch is None:
        return seen
    dark = [(version.version, version.role) for version in launch.dark_versions.all()]
    known = [(launch.control, Role.CONTROL.value), *dark]
    names = {name for name, _ in known}
    return known + [part for part in seen if part[0] not in names]


def lay_out(story: Mapping[str, Any]) -> Timeline:
    """Lay every version's observation on one axis."""
    start: datetime = story["order"].placed_at
    seen = {one.version: one for one in story["observations"]}
    moments = [one.finished_at or one.received_at for one in seen.values()]
    latest = max((when for when in [*moments, story["sent_at"]] if when), default=start)
    axis = _Axis(start, max((latest - start) / timedelta(milliseconds=1), 1.0) * _AIR)
    sampled = {*story["sample"], parts(story)[0][0]} if parts(story) else set()
    return Timeline(
        lanes=tuple(
            _lane(axis, seen[name])
            if name in seen
            else _silent(name, role, sampled=name in sampled)
            for name, role in parts(story)
        ),
        ticks=tuple(_ticks(axis)),
        sent=axis.span(start, story["sent_at"]) if story["sent_at"] else None,
    )


def _lane(axis: _Axis, one: Observation) -> Lane:
    received, finished = one.received_at, one.finished_at
    begun = received or finished
    return Lane(
        version=one.version,
        role=one.role,
        state=one.state,
        said=f"{one.state}, late" if one.late else str(one.state),
        seen=one,
        waited=axis.span(axis.start, begun, one.queue_ms) if begun else None,
        worked=axis.span(received, finished, one.handling_ms) if received and finished else None,
        end=axis.percent(axis.ms(finished)) if finished else "",
    )


def _silent(name: str, role: str, *, sampled: bool) -> Lane:
    state = "waiting" if sampled else "unsampled"
    said = "no answer yet" if sampled else "not sampled"
    return Lane(version=name, role=role, state=state, said=said, seen=None)


def _ticks(axis: _Axis) -> list[tuple[str, str]]:
    step = nice_scale(axis.span_ms / 5)
    marks = [step * n for n in range(int(axis.span_ms // step) + 1)]
    return [(axis.percent(ms), wording.duration(ms) if ms else "placed") for ms in marks]
