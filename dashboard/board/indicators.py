"""The indicators: whether the board's numbers can be trusted; and every version's counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from dashboard.board import wording
from dashboard.board.wording import Json, tenths
from dashboard.comparison.foreign_text import visible
from dashboard.models import DeadLetter, DeadLetterTally, Participant
from dashboard.verdict.quantiles import LogHistogram
from dashboard.verdict.traffic import Traffic
from kitchen_worker.contract.messages import Role
from restaurant.models import BrokerProblem, Launch
from restaurant.resend import resend_counts

#: A backlog of more orders than arrive in this time makes an indicator show doubt, but never one of
#: fewer than this number.
_SLACK_S = 2.0
_SLACK_LEAST = 20
#: An order that has waited longer makes its indicator show doubt.
_OLD_S = 10.0
#: Outbox messages, queued orders and resent orders are counted up to here.
_COUNTED = 1000
#: How many of the newest dead letters are shown with their reasons, and characters of a reason.
_REASONS = 3
_REASON_SHOWN = 200


class IndicatorStatus(StrEnum):
    """What an indicator shows."""

    GOOD = "good"
    IDLE = "idle"
    DOUBT = "doubt"
    BAD = "bad"


_FEED = {
    "fresh": (IndicatorStatus.GOOD, "live"),
    "idle": (IndicatorStatus.IDLE, "idle"),
    "stale": (IndicatorStatus.BAD, "stale"),
}


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """One indicator: its key in the page, its name and its number."""

    key: str
    label: str
    status: IndicatorStatus
    text: str = ""
    #: The start of the age that it shows.
    at: datetime | None = None
    #: The newest reasons; None for an indicator that has none.
    reasons: Sequence[Json] | None = None


def indicators(state: Json) -> list[Indicator]:
    """The indicators of a board's state."""
    feed = state["feed"]
    slack = max(_SLACK_LEAST, state["rate"] * _SLACK_S)
    status, word = _FEED[feed["state"]]
    dead = feed["dead_letters"]
    return [
        Indicator(
            key="feed",
            label=f"events: {word}, last",
            status=status,
            at=None if feed["newest_at"] is None else _moment(feed["newest_at"]),
        ),
        _queued_orders(state["at"], feed["behind"], feed["oldest_s"], slack),
        _queue_length("backlog", "observer backlog", feed["backlog"], slack),
        _queue_length("unsent", "outbox pending", feed["unsent"], slack, most=_COUNTED),
        Indicator(
            key="dead",
            label="dead letters",
            status=_doubt(dead > 0),
            text=wording.count(dead),
            reasons=feed["dead_reasons"],
        ),
        _resent(feed["again"], feed["problems"], feed["again_reasons"]),
    ]


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _queued_orders(now: float, orders: int, oldest_s: float | None, slack: float) -> Indicator:
    """Orders without a known result, wherever they wait."""
    is_old = oldest_s is not None and oldest_s > _OLD_S
    return Indicator(
        key="behind",
        label="queued orders",
        status=_doubt(orders > slack or is_old),
        text=_at_most(orders, _COUNTED),
        # In whole seconds, so that the text does not change with every frame.
        at=None if oldest_s is None or oldest_s < _SLACK_S else _moment(round(now - oldest_s)),
    )


def _resent(again: int, problems: int, reasons: Sequence[Json]) -> Indicator:
    """Orders that were sent to the live kitchen again, and queues that the broker refused."""
    beside = f", {problems} queue{'s' * (problems > 1)} refused" if problems else ""
    return Indicator(
        key="again",
        label=f"sent again{beside}",
        status=IndicatorStatus.BAD if problems else _doubt(again > 0),
        text=_at_most(again, _COUNTED),
        reasons=reasons,
    )


def _queue_length(
    key: str, label: str, length: int | None, slack: float, *, most: int | None = None
) -> Indicator:
    """A queue's length; ``most``: it was not counted beyond this."""
    if length is None:
        return Indicator(key=key, label=label, status=IndicatorStatus.IDLE, text=wording.NONE)
    return Indicator(
        key=key, label=label, status=_doubt(length > slack), text=_at_most(length, most)
    )


def _doubt(is_doubtful: bool) -> IndicatorStatus:
    return IndicatorStatus.DOUBT if is_doubtful else IndicatorStatus.GOOD


def _at_most(number: int, most: int | None) -> str:
    is_beyond = most is not None and number > most
    return f"{wording.count(most)}+" if is_beyond else wording.count(number)


def versions_of(launch: Launch, traffic: Traffic) -> list[Json]:
    """Every version's counters, the control first."""
    percents = {dark.version: float(dark.percent) for dark in launch.dark_versions.all()}
    return [
        _version(one, percents.get(one.version), traffic.waiting_for(one))
        for one in traffic.participants
    ]


def feed_of(traffic: Traffic) -> Json:
    """The freshness of the events, and the backlogs."""
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
    """The number of dead letters, and the newest with their reasons."""
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
    """What the relay reports: orders that it sent again, and queues that it could not declare, each
    with the reason."""
    again = resend_counts(launch, at_most=_COUNTED + 1)
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


def _version(one: Participant, percent: float | None, waiting: int | None) -> Json:
    p50, p95, p99 = LogHistogram.from_json(one.times).quantiles(0.5, 0.95, 0.99)
    is_control = one.role == Role.CONTROL
    return {
        "name": one.version,
        "role": one.role,
        "build": visible(one.build),
        "percent": percent,
        "orders": one.orders,
        "pairs": None if is_control else one.pairs,
        "handled": one.handled,
        "failed": one.failed,
        "missing": one.missing,
        "late": one.late,
        "repeats": one.repeats,
        "waiting": waiting,
        "p50": tenths(p50),
        "p95": tenths(p95),
        "p99": tenths(p99),
    }
