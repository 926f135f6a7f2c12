"""What the board shows, read from tallies and the newest rows: a frame always costs the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.utils import timezone

from dashboard.board.final_word import final_word
from dashboard.board.findings import findings
from dashboard.board.frames import Json
from dashboard.board.lenses import FAST, Lens, Seen, newest_orders, seen_through
from dashboard.board.rows import read_rows
from dashboard.board.series import build_series, read_rate
from dashboard.board.standing import (
    dead_letters,
    feed_of,
    production,
    read_tallies,
    run_of,
    samples_of,
    versions_of,
)
from dashboard.board.verdict_part import verdict_part, weigh_beside
from dashboard.board.verdict_series import verdict_series
from dashboard.board.waits import waits_of
from dashboard.models import Tally
from dashboard.observing.rosters import read_roster
from dashboard.reviewing.discrepancies import against
from kitchen_worker.contract.topology import OBSERVER_QUEUE
from restaurant.launches import newest_change
from restaurant.models import Launch, Letter

_UNSENT_SHOWN = 1000


class Counted(NamedTuple):
    """What of a frame is read for every frame, and what it was read from."""

    part: Json
    tallies: Sequence[Tally]
    beside: Tally | None
    now: datetime

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
    backlogs = backlogs or {}
    now = timezone.now()
    roster = read_roster(launch)
    tallies = read_tallies(roster)
    versions = versions_of(launch, tallies, backlogs)
    unsent = Letter.objects.filter(sent_at=None)[: _UNSENT_SHOWN + 1].count()
    waits = waits_of(launch.id, tallies[0].ended_until, now)
    waiting = max((versions[0]["waiting"] or 0) + unsent, waits["behind"])
    feed = feed_of(versions, now, waiting=waiting, backlog=backlogs.get(OBSERVER_QUEUE))
    rate = read_rate(launch, roster, now)
    beside = _beside(tallies, version)
    seen = _seen(launch, lens, (tallies[0], beside), is_fast=rate > FAST)
    part: Json = {
        "type": "board",
        "launch": str(launch.id),
        "lens": lens.value,
        "version": beside.version if beside is not None else "",
        "at": now.timestamp(),
        "feed": {**feed, "unsent": unsent, **waits},
        "orders": versions[0]["orders"],
        "rate": rate,
        "waiting": waiting,
        "versions": versions,
        "rows": read_rows(roster, seen.orders, _names(tallies[0], beside)),
        "looked_at": seen.looked_at,
        "matrix": dict(beside.matrix) if beside is not None else {},
        "against": against(launch.id, beside.version) if beside is not None else 0,
    }
    return Counted(part, tallies, beside, now)


def work_out(launch: Launch, counted: Counted, *, with_series: bool) -> Json:
    """What takes longer than counting: the differences, the dead letters, the verdict, the charts.

    It may be a moment older than the rest of a frame.
    """
    tallies, beside = counted.tallies, counted.beside
    sampled, run = samples_of(launch), run_of(launch, beside)
    parts = {**counted.part, "samples": sampled, "run": run}
    final = final_word(launch, beside)
    weighed = weigh_beside(launch.id, tallies, beside, parts, is_final=final is not None)
    worked_out: Json = {
        "samples": sampled,
        "run": {**run, "final_at": final.at.timestamp() if final else None},
        **findings(launch.id, beside),
        "feed": {**dead_letters(), **production(launch.id)},
        "verdict": final.verdict if final else verdict_part(weighed),
        "change": newest_change(launch.id),
    }
    if with_series:
        verdict = verdict_series(weighed, tallies[0], beside)
        worked_out["series"] = build_series(launch, counted.now) | {"verdict": verdict}
    return worked_out


def _names(control: Tally, beside: Tally | None) -> list[str]:
    return [one.version for one in (control, beside) if one is not None]


def _beside(tallies: Sequence[Tally], asked: str) -> Tally | None:
    """The tally of the dark version that stands beside the control, if there is any."""
    dark = tallies[1:]
    return next((one for one in dark if one.version == asked), next(iter(dark), None))


def _seen(launch: Launch, lens: Lens, both: tuple[Tally, Tally | None], *, is_fast: bool) -> Seen:
    control, beside = both
    if lens is Lens.ALL:
        return Seen(newest_orders(launch, _ended_until(control, beside) if is_fast else None))
    return seen_through(lens, launch, beside.version if beside is not None else "")


def _ended_until(control: Tally, beside: Tally | None) -> datetime | None:
    """When the newest order was placed that both the control and the version beside it ended."""
    ended = [one.ended_until for one in (control, beside) if one is not None]
    return None if None in ended else min(one for one in ended if one is not None).astimezone(UTC)
