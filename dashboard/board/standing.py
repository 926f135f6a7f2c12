"""How every version stands in a launch, and whether the numbers are fresh: from its tallies."""

from __future__ import annotations

from uuid import UUID

from dashboard.board.frames import Json, tenths
from dashboard.domain.foreign_text import visible
from dashboard.domain.sketch import LogHistogram
from dashboard.models import DeadLetter, DeadLetterTally, Tally
from dashboard.verdict.traffic import Traffic
from kitchen_worker.contract.messages import Role
from restaurant.models import BrokerProblem, Launch
from restaurant.resend import sent_again

_REASONS = 3
#: Orders that were sent again are counted up to here.
AGAIN_COUNTED = 1000
_REASON_SHOWN = 200


def versions_of(launch: Launch, traffic: Traffic) -> list[Json]:
    """What a frame says of each version."""
    percents = {dark.version: float(dark.percent) for dark in launch.dark_versions.all()}
    return [
        _version(tally, percents.get(tally.version), traffic.waiting_for(tally))
        for tally in traffic.tallies
    ]


def feed_of(traffic: Traffic) -> Json:
    """How fresh the numbers are, and what waits."""
    return {
        "newest_at": traffic.newest_at,
        "age_s": traffic.age_s,
        "state": traffic.feed,
        "backlog": traffic.backlog,
        "unsent": traffic.unsent,
        "behind": traffic.behind,
        "oldest_s": traffic.oldest_s,
    }


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


def _version(tally: Tally, percent: float | None, waiting: int | None) -> Json:
    p50, p95, p99 = LogHistogram.from_json(tally.sketch).quantiles(0.5, 0.95, 0.99)
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
        "waiting": waiting,
        "p50": tenths(p50),
        "p95": tenths(p95),
        "p99": tenths(p99),
        "newest_at": tally.newest_at.timestamp() if tally.newest_at else None,
        "ended_until": tally.ended_until.timestamp() if tally.ended_until else None,
    }
