"""What the board shows, read from tallies and the newest rows: a frame always costs the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from dashboard.board.findings import findings
from dashboard.board.frames import Json
from dashboard.board.lenses import FAST, Lens, Seen, newest_orders, seen_through
from dashboard.board.rows import read_rows
from dashboard.board.series import build_series
from dashboard.board.standing import dead_letters, feed_of, production, versions_of
from dashboard.board.verdict_series import verdict_series
from dashboard.models import Tally
from dashboard.reviewing.discrepancies import against
from dashboard.verdict.assessment import assess
from dashboard.verdict.traffic import Traffic, read_traffic
from restaurant.launches import newest_change
from restaurant.models import Launch


class Counted(NamedTuple):
    """What of a frame is read for every frame, and what it was read from."""

    part: Json
    traffic: Traffic
    beside: Tally | None

    def joined(self, worked_out: Json) -> Json:
        """The whole frame, with what was worked out now or a moment ago."""
        return {**self.part, **worked_out, "feed": self.part["feed"] | worked_out["feed"]}


def build_frame(
    launch: Launch,
    lens: Lens,
    *,
    version: str = "",
    with_series: bool,
    backlogs: Mapping[str, int] | None = None,
) -> Json:
    """One whole state of the board; see `count`."""
    counted = count(launch, lens, version=version, backlogs=backlogs)
    return counted.joined(work_out(launch, counted, with_series=with_series))


def count(
    launch: Launch,
    lens: Lens,
    *,
    version: str = "",
    backlogs: Mapping[str, int] | None = None,
) -> Counted:
    """The orders, the versions and the rows.

    ``version``: the dark version beside the control, through whose pairs the lens looks; another
    name means the first candidate. ``backlogs``: messages waiting, by queue; None if nobody knows.
    """
    traffic = read_traffic(launch, backlogs)
    control, beside = traffic.control, traffic.beside(version)
    versions = versions_of(launch, traffic)
    seen = _seen(launch, lens, (control, beside), is_fast=traffic.rate > FAST)
    part: Json = {
        "type": "board",
        "launch": str(launch.id),
        "lens": lens.value,
        "version": beside.version if beside is not None else "",
        "at": traffic.at.timestamp(),
        "feed": feed_of(traffic),
        "orders": control.orders,
        "rate": traffic.rate,
        "waiting": traffic.waiting,
        "versions": versions,
        "rows": read_rows(traffic.roster, seen.orders, _names(control, beside)),
        "looked_at": seen.looked_at,
        "matrix": dict(beside.matrix) if beside is not None else {},
        "against": against(launch.id, beside.version) if beside is not None else 0,
    }
    return Counted(part, traffic, beside)


def work_out(launch: Launch, counted: Counted, *, with_series: bool) -> Json:
    """What takes longer than counting: the differences, the dead letters, the verdict, the charts.

    It may be a moment older than the rest of a frame.
    """
    traffic, beside = counted.traffic, counted.beside
    assessment = assess(launch, counted.part["version"], traffic)
    worked_out: Json = {
        "samples": [one._asdict() for one in assessment.samples],
        "run": assessment.run,
        **findings(launch.id, beside),
        "feed": {**dead_letters(), **production(launch.id)},
        "verdict": assessment.verdict,
        "change": newest_change(launch.id),
    }
    if with_series:
        verdict = verdict_series(assessment.evaluation, traffic.control, beside)
        worked_out["series"] = build_series(launch, traffic.at) | {"verdict": verdict}
    return worked_out


def _names(control: Tally, beside: Tally | None) -> list[str]:
    return [one.version for one in (control, beside) if one is not None]


def _seen(launch: Launch, lens: Lens, both: tuple[Tally, Tally | None], *, is_fast: bool) -> Seen:
    control, beside = both
    if lens is Lens.ALL:
        return Seen(newest_orders(launch, _ended_until(control, beside) if is_fast else None))
    return seen_through(lens, launch, beside.version if beside is not None else "")


def _ended_until(control: Tally, beside: Tally | None) -> datetime | None:
    """When the newest order was placed that both the control and the version beside it ended."""
    ended = [one.ended_until for one in (control, beside) if one is not None]
    return None if None in ended else min(one for one in ended if one is not None).astimezone(UTC)
