"""Replays: orders that showed a discrepancy, sent again to one dark version, and what that proves.

Nothing of a replay touches observations, comparisons, tallies or the board's times. How it goes:

1. A person asks for it: rows are written, ``waiting``, and nothing is sent. Only orders whose
   letter and whose answer of the control are stored are taken, the newest first, MAX_REPLAYED at
   most. There is one replay of a discrepancy at a time: asking twice sends once.
2. The observer sends them to the exchange of the dark orders, for this version's queue alone, a
   bounded number under way at once (``replaying.py``, ``dashboard/chores.py``). While the broker
   is away they wait. Where the version has no queue, or the broker refuses, the reason is shown and
   they are tried again; after a while, or when the launch ends, they are given up with that reason.
   An observer that dies between sending and writing that it sent sends them twice: the first answer
   counts.
3. Each answer is held against the answer that the control gave to the live order, by the rules in
   force (``replay_answers.py``). What is not answered by the deadline is ``missing``; a late
   answer mends that.
4. When all are answered or given up the replay is finished. It is evidence when every order was
   answered, none still shows the discrepancy, and none fails that the control handled. Then it
   closes the discrepancy as fixed, if it was asked to and nobody decided in between
   (dashboard/reviewing/proof.py, dashboard/verdict/evidence.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count

from dashboard.domain.decision import Decision
from dashboard.domain.outcome import Outcome, State
from dashboard.models import Discrepancy, Observation, Replay, ReplayedOrder, ReplayState
from dashboard.reviewing.discrepancies import orders_of
from dashboard.reviewing.reviews import ReviewConflict, ReviewRefused, Seen, review
from kitchen_worker.contract.messages import Role
from restaurant.models import Launch, Letter

logger = logging.getLogger(__name__)

#: Orders of one replay at most.
MAX_REPLAYED = 1000
#: What has an error message of ours, and not of the version's.
_UNSENT = frozenset({ReplayState.WAITING.value, ReplayState.MISSING.value})


class ReplayRefused(ValueError):
    """Raised when orders cannot be sent again; says why."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How far a replay is, and what it shows: numbers of orders."""

    orders: int = 0
    waiting: int = 0
    sent: int = 0
    handled: int = 0
    failed: int = 0
    missing: int = 0
    #: Answered, and without the discrepancy.
    agree: int = 0
    still_shows: int = 0
    #: Of those that agree there, the ones that differ elsewhere.
    differ_otherwise: int = 0
    #: Failed in another way than the discrepancy's where the control handled the order.
    fail_otherwise: int = 0
    builds: tuple[str, ...] = ()
    #: Why the broker did not take orders that wait or were given up.
    reason: str = ""

    @property
    def is_finished(self) -> bool:
        """Whether every order was answered or given up."""
        return not self.waiting and not self.sent

    @property
    def proves(self) -> bool:
        """Whether all orders agree: evidence that the discrepancy is gone."""
        return 0 < self.agree == self.orders

    @property
    def evidence(self) -> str:
        """What it proves, in a sentence without an end."""
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
    """Have the orders that show a discrepancy sent again to its version; raises ReplayRefused.

    A replay of it that is under way is given instead: asking twice sends once.
    """
    with transaction.atomic():
        row = Discrepancy.objects.select_for_update().get(pk=discrepancy.pk)
        if row.revision != revision:
            raise ReplayRefused("It was decided on in the meantime: look at it again first.")
        if refusal := refusal_of(row, launch):
            raise ReplayRefused(refusal)
        if (running := row.replays.filter(finished_at=None).first()) is not None:
            return running
        orders = _sendable(orders_of(row, MAX_REPLAYED))
        if not orders:
            raise ReplayRefused("None of its orders is stored any more.")
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
    """Why a discrepancy's orders cannot be sent again in a launch; empty when they can."""
    if launch is None or launch.ended_at is not None:
        return "No launch is open: there is no version to send orders to."
    if not launch.dark_versions.filter(version=discrepancy.version).exists():
        return f"{discrepancy.version} is no dark version of the open launch."
    return ""


def summary(replay: Replay) -> Summary:
    """How far a replay is, in two queries whatever its size."""
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
    """Why the broker did not take some of the orders, if it did not."""
    unsent = replay.replayed_orders.filter(state__in=_UNSENT).exclude(error_message="")
    return unsent.values_list("error_message", flat=True).first() or ""


def conclude(replay: Replay, now: datetime) -> None:
    """Finish a replay when it is; close its discrepancy if that is wanted and it is evidence.

    To be called whenever an order of it has ended, inside the transaction that holds its lock.
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
            [Seen(row.pk, row.revision)],
            Decision.FIXED,
            note=f"{found.evidence}.",
            author=replay.requested_by,
            replay=replay,
        )
    except (ReviewConflict, ReviewRefused) as cause:
        logger.warning("not closed: %s", cause, extra={"action": "not_closed"})


def _sendable(orders: Sequence[UUID]) -> list[UUID]:
    """Those of which the message and the control's answer are stored, in the same order."""
    letters = Letter.objects.filter(order__uuid__in=orders)
    kept = set(letters.values_list("order__uuid", flat=True))
    ended = Observation.objects.filter(
        order__in=orders, role=Role.CONTROL, state__in=(State.HANDLED, State.FAILED)
    )
    kept &= set(ended.values_list("order", flat=True))
    return [order for order in dict.fromkeys(orders) if order in kept]
