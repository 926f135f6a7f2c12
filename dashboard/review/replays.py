"""Replays: orders that showed a discrepancy, sent again to one dark version.

A replay does not change observations, counters or the board's times.

1. A user requests it. Rows are written as ``waiting`` for the newest orders, up to MAX_REPLAYED,
   whose message and control's answer are stored. A discrepancy has one replay at a time, so
   requesting it twice sends once.
2. The observer publishes the orders to the dark exchange, for this version's queue only, with a
   bounded number in flight (``replaying.py``). While the broker is down they wait. If the version
   has no queue, or the broker refuses, the reason is shown and they are retried, until GIVE_UP has
   passed or the launch ends. An observer that crashes between publishing and recording it
   publishes twice; the first answer counts.
3. Each answer is compared with the control's answer to the live order, by the rules in force.
   Orders not answered by the deadline are ``missing``; a late answer corrects that.
4. The replay is finished when all orders are answered or given up. It is proof if every order was
   answered, none still shows the discrepancy, and none failed that the control handled. It then
   closes the discrepancy as fixed, if that was requested and nobody decided in the meantime.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from dashboard.comparison.outcome import Decision, Outcome, State
from dashboard.database import atomic
from dashboard.models import Discrepancy, Observation, Replay, ReplayedOrder, ReplayState
from dashboard.review.listing import orders_of
from dashboard.review.reviews import ReviewConflict, ReviewRefused, SeenRevision, review
from kitchen_worker.contract.messages import Role
from restaurant.models import Launch

logger = logging.getLogger(__name__)

#: Orders of one replay at most.
MAX_REPLAYED = 1000
#: States whose error message is not the version's.
_UNSENT = frozenset({ReplayState.WAITING.value, ReplayState.MISSING.value})


class ReplayRefused(ValueError):
    """Raised when orders cannot be sent again; the message is for the user."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Numbers of orders of a replay."""

    orders: int = 0
    waiting: int = 0
    sent: int = 0
    handled: int = 0
    failed: int = 0
    missing: int = 0
    #: Answered without the discrepancy.
    agree: int = 0
    still_shows: int = 0
    #: Those among them that differ elsewhere.
    differ_otherwise: int = 0
    #: Failed in another way, though the control handled the order.
    fail_otherwise: int = 0
    builds: tuple[str, ...] = ()
    #: Why the broker refused orders that wait or were given up.
    reason: str = ""

    @property
    def is_finished(self) -> bool:
        """Whether every order was answered or given up."""
        return not self.waiting and not self.sent

    @property
    def proves(self) -> bool:
        """Whether all orders agree, which proves that the discrepancy is fixed."""
        return 0 < self.agree == self.orders

    @property
    def evidence(self) -> str:
        """What it proves, as a sentence without a full stop."""
        builds = " and ".join(build or "without a name" for build in self.builds)
        several = "build" if len(self.builds) == 1 else "builds"
        return f"{self.agree:,} of {self.orders:,} orders agree there in {several} {builds}"


def request_replay(
    discrepancy: Discrepancy,
    *,
    launch: Launch,
    revision: int,
    author: str,
    close_when_agreed: bool,
    now: datetime,
) -> Replay:
    """Request that the orders of a discrepancy are sent again to its version, or return the
    request under way. Raises ReplayRefused."""
    with atomic():
        row = Discrepancy.objects.select_for_update().get(pk=discrepancy.pk)
        if row.revision != revision:
            raise ReplayRefused("It was reviewed in the meantime. Check it again first.")
        if refusal := refusal_of(row, launch):
            raise ReplayRefused(refusal)
        if (running := row.replays.filter(finished_at=None).first()) is not None:
            return running
        orders = _sendable(orders_of(row, MAX_REPLAYED))
        if not orders:
            raise ReplayRefused("None of its orders are stored anymore.")
        replay = Replay.objects.create(
            discrepancy=row,
            launch=launch.id,
            version=row.version,
            requested_by=author,
            requested_at=now,
            close_when_agreed=close_when_agreed,
            revision=revision,
            orders=len(orders),
        )
        ReplayedOrder.objects.bulk_create(
            ReplayedOrder(replay=replay, order=order) for order in orders
        )
    return replay


def refusal_of(discrepancy: Discrepancy, launch: Launch | None) -> str:
    """Why a discrepancy's orders cannot be sent again in a launch; empty if they can."""
    if launch is None or launch.ended_at is not None:
        return "No launch is running: there is no version to send orders to."
    if not launch.dark_versions.filter(version=discrepancy.version).exists():
        return f"{discrepancy.version} is not a dark version of the running launch."
    return ""


def summary(replay: Replay) -> Summary:
    """Count a replay's orders, in two queries."""
    counts: dict[str, int] = {}
    agree = still_shows = otherwise = failing = 0
    builds: set[str] = set()
    groups = replay.replayed_orders.values_list("state", "shows", "outcome", "build")
    for state, shows, outcome, build, count in groups.annotate(count=Count("id")).order_by():
        counts[state] = counts.get(state, 0) + count
        if shows is None:
            continue
        builds.add(build)
        if shows:
            still_shows += count
        elif outcome == Outcome.CANDIDATE_FAILED:
            failing += count
        else:
            agree += count
            otherwise += count if outcome != Outcome.AGREE else 0
    return Summary(
        orders=replay.orders,
        **{state.value: counts.get(state, 0) for state in ReplayState},
        agree=agree,
        still_shows=still_shows,
        differ_otherwise=otherwise,
        fail_otherwise=failing,
        builds=tuple(sorted(builds)),
        reason=_reason(replay) if counts.keys() & _UNSENT else "",
    )


def _reason(replay: Replay) -> str:
    unsent = replay.replayed_orders.filter(state__in=_UNSENT).exclude(error_message="")
    return unsent.values_list("error_message", flat=True).first() or ""


def conclude(replay: Replay, now: datetime) -> None:
    """Finish a replay if all orders have ended; close its discrepancy if requested and proved.

    Call it whenever an order has ended, inside the transaction that holds the replay's lock.
    """
    found = summary(replay)
    if not found.is_finished:
        return
    if replay.finished_at is None:
        replay.finished_at = now
        replay.save(update_fields=["finished_at"])
    row = Discrepancy.objects.get(pk=replay.discrepancy_id)
    if not (replay.close_when_agreed and found.proves and row.revision == replay.revision):
        return
    try:
        review(
            [SeenRevision(row.pk, row.revision)],
            Decision.FIXED,
            note=f"{found.evidence}.",
            author=replay.requested_by,
            replay=replay,
        )
    except (ReviewConflict, ReviewRefused) as cause:
        logger.warning("not closed: %s", cause, extra={"action": "not_closed"})


def _sendable(orders: Sequence[int]) -> list[str]:
    """Ids of the orders whose message and control's answer are stored, newest first."""
    ended = Observation.objects.filter(
        order__in=orders,
        participant__role=Role.CONTROL,
        state__in=(State.HANDLED, State.FAILED),
    )
    return list(
        ended.exclude(order__body=b"").order_by("-order").values_list("order__order_id", flat=True)
    )
