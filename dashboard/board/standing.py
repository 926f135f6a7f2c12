"""How every version stands in a launch, and whether the numbers are fresh: from its tallies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from dashboard.board.frames import Json, tenths
from dashboard.domain.foreign_text import visible
from dashboard.domain.sketch import LogHistogram
from dashboard.models import DeadLetter, DeadLetterTally, Tally
from dashboard.observing.rosters import Roster
from dashboard.verdict.sample_ratio import mismatch
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import kitchen_queue
from restaurant.models import BrokerProblem, Launch, LaunchChange
from restaurant.resend import sent_again
from restaurant.sent_counts import samples

ROLE_ORDER = {Role.CONTROL: 0, Role.CANDIDATE: 1, Role.BASELINE: 2}
_FRESH_S = 5.0
_REASONS = 3
#: Orders that were sent again are counted up to here.
AGAIN_COUNTED = 1000
_REASON_SHOWN = 200


def read_tallies(roster: Roster) -> list[Tally]:
    """A tally for each version of a launch, the control's first, candidates before baselines;
    empty ones where nothing was heard yet."""
    stored = {tally.version: tally for tally in Tally.objects.filter(launch=roster.launch)}
    in_order = sorted(roster.roles.items(), key=lambda one: ROLE_ORDER[one[1]])
    return [
        stored.get(name) or Tally(launch=roster.launch, version=name, role=role)
        for name, role in in_order
    ]


def versions_of(
    launch: Launch, tallies: Sequence[Tally], backlogs: Mapping[str, int]
) -> list[Json]:
    """What a frame says of each version; without the length of its queue nobody knows how many
    orders wait for it."""
    percents = {dark.version: float(dark.percent) for dark in launch.dark_versions.all()}
    return [
        _version(tally, percents.get(tally.version), backlogs.get(kitchen_queue(tally.version)))
        for tally in tallies
    ]


def feed_of(versions: Sequence[Json], now: datetime, *, waiting: int, backlog: int | None) -> Json:
    """How fresh the numbers are: stale while somebody waits and nothing has come for a while."""
    newest = max((one["newest_at"] for one in versions if one["newest_at"]), default=None)
    age_s = max(0.0, now.timestamp() - newest) if newest is not None else None
    fresh = age_s is not None and age_s <= _FRESH_S
    state = "fresh" if fresh else "stale" if waiting or backlog else "idle"
    return {"newest_at": newest, "age_s": age_s, "state": state, "backlog": backlog}


def dead_letters() -> Json:
    """How many messages nobody could read, and why the newest."""
    newest = DeadLetter.objects.values_list("queue", "reason", "seen_at")[:_REASONS]
    return {
        "dead_letters": sum(DeadLetterTally.objects.values_list("count", flat=True)),
        "dead_reasons": [
            {
                "queue": visible(queue),
                "reason": visible(reason[:_REASON_SHOWN]),
                "at": seen_at.timestamp(),
            }
            for queue, reason, seen_at in newest
        ],
    }


def production(launch: UUID) -> Json:
    """What the relay had to put right: orders that it sent again, and queues that it could not
    declare as they should be; each with the reason."""
    again = sent_again(launch, at_most=AGAIN_COUNTED + 1)
    problems = BrokerProblem.objects.order_by("queue").values_list("queue", "reason")
    return {
        "again": sum(again.values()),
        "problems": len(problems),
        "again_reasons": [
            *(
                {"queue": visible(queue), "reason": visible(reason[:_REASON_SHOWN])}
                for queue, reason in problems
            ),
            *({"queue": str(count), "reason": why.label} for why, count in again.items()),
        ],
    }


class Run(StrEnum):
    """Whether a version gets orders."""

    RUNNING = "running"
    #: Its percent is 0.
    STOPPED = "stopped"
    #: Its launch has ended.
    ENDED = "ended"


def run_of(launch: Launch, beside: Tally | None) -> Json:
    """Whether the version beside the control gets orders, and if not, since when."""
    if launch.ended_at is not None:
        return {"state": Run.ENDED, "at": launch.ended_at.timestamp()}
    name = beside.version if beside is not None else ""
    if all(dark.percent for dark in launch.dark_versions.all() if dark.version == name):
        return {"state": Run.RUNNING, "at": None}
    changed = LaunchChange.objects.filter(launch=launch, version=name)
    at = changed.values_list("at", flat=True).first()
    return {"state": Run.STOPPED, "at": at.timestamp() if at else None}


def samples_of(launch: Launch) -> list[Json]:
    """What was sent to each dark version since its percent last changed, and what is wrong with
    it."""
    return [
        {
            "version": one.version,
            "offered": one.offered,
            "sent": one.sent,
            "wrong": mismatch(one.version, sent=one.sent, offered=one.offered, share=one.share),
        }
        for one in samples(launch)
    ]


def _version(tally: Tally, percent: float | None, backlog: int | None) -> Json:
    p50, p95, p99 = LogHistogram.from_json(tally.sketch).quantiles(0.5, 0.95, 0.99)
    in_hand = tally.orders - tally.handled - tally.failed - tally.missing
    is_control = tally.role == Role.CONTROL
    return {
        "name": tally.version,
        "role": tally.role,
        "build": visible(tally.build),
        "percent": percent,
        "orders": tally.orders,
        "pairs": None if is_control else tally.pairs,
        "handled": tally.handled,
        "failed": tally.failed,
        "missing": tally.missing,
        "late": tally.late,
        "repeats": tally.repeats,
        "waiting": None if backlog is None else max(0, in_hand) + backlog,
        "p50": tenths(p50),
        "p95": tenths(p95),
        "p99": tenths(p99),
        "newest_at": tally.newest_at.timestamp() if tally.newest_at else None,
        "ended_until": tally.ended_until.timestamp() if tally.ended_until else None,
    }
