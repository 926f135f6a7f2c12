"""Guards stop a candidate by themselves: its percent becomes 0. Each is a setting.

There is no guard for a broker alarm: aiormq keeps to itself that the broker has blocked its
connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from dashboard.ingest.dead_letters import KEPT_DROPS, QUEUE_FULL
from dashboard.models import DeadLetter, Guard, GuardAction, TimeSlice
from dashboard.verdict.quantiles import LogHistogram
from dashboard.verdict.wording import Word
from kitchen_worker.contract.topology import DARK_BOUND, kitchen_queue
from restaurant.launches import LaunchRefused, raised_at, set_percent
from restaurant.models import DarkVersion, Launch, LaunchChange

#: After an acknowledgement the verdict stops the same build again once it counts so many more
#: orders.
AGAIN_AFTER_ORDERS = 200
#: The control is compared in this time before and after the candidate's percent rose: later
#: changes have other causes.
COMPARED = timedelta(minutes=10)
#: A start of processes slows a machine as well, but not for so long.
LEAST_TIME = timedelta(minutes=1)
_MAX_TEXT = 500


class GuardRefused(ValueError):
    """Raised when an action can't be acknowledged as requested."""


class Reason(NamedTuple):
    """Why a guard stops a candidate, and on which evidence."""

    guard: Guard
    why: str
    orders: int = 0
    build: str = ""


def author_of(guard: Guard) -> str:
    return f"guard: {guard}"


def are_on() -> dict[Guard, bool]:
    """Each guard, and whether its setting is on."""
    return {
        Guard.WORSE: settings.ENVIRONMENT.guard_worse,
        Guard.QUEUE_FULL: settings.ENVIRONMENT.guard_queue_full,
        Guard.CONTROL_SLOWED: settings.ENVIRONMENT.guard_control_slowed,
    }


# When a guard acts: pure.


def when_worse(
    word: Word | None, sentence: str, *, orders: int, build: str, last: GuardAction | None
) -> str:
    """Why the verdict stops a candidate; empty if it doesn't.

    ``last``: the last action of this guard that a person has acknowledged. They may give the
    candidate orders again, so that a new build can answer.
    """
    if word is not Word.WORSE:
        return ""
    if last is not None and build == last.build:
        seen_since = orders - last.orders
        if 0 <= seen_since < AGAIN_AFTER_ORDERS:
            return ""
    return f"on {orders:,} orders the verdict is {without_question(sentence)}"


def without_question(sentence: str) -> str:
    """A verdict's sentence without the question whether to roll back."""
    return sentence.removesuffix(" Roll back?")


def when_full(depth: int | None, dropped: int) -> str:
    """Why a dark queue at its bound stops a candidate; ``dropped``: orders since its percent
    changed, counted up to KEPT_DROPS."""
    waiting = "" if depth is None else f"; {depth:,} wait in it"
    if dropped:
        more = " or more" if dropped >= KEPT_DROPS else ""
        were = "order was" if dropped == 1 else "orders were"
        return f"its queue is full: {dropped}{more} {were} dropped{waiting}"
    bound: int = DARK_BOUND["x-max-length"]
    if depth is not None and depth >= bound:
        return f"its queue is full: {depth:,} orders wait in it, and it holds {bound:,}"
    return ""


def when_slowed(
    before: LogHistogram, since: Sequence[LogHistogram], *, by_percent: int, least_orders: int
) -> str:
    """Why a slower control stops a candidate.

    ``since``: the control's handling times since the candidate's percent rose, in order. Their
    median must be too high, and that of their second half as well.
    """
    after, half = LogHistogram(), LogHistogram()
    for times in since:
        after.merge(times)
    counted = 0
    for times in reversed(since):
        if counted * 2 < after.total:
            half.merge(times)
            counted += times.total
    if min(before.total, after.total) < least_orders:
        return ""
    was, [now], [lately] = before.quantiles(0.5)[0], after.quantiles(0.5), half.quantiles(0.5)
    if was is None or now is None or lately is None:
        return ""
    if min(now, lately) < was * (1 + by_percent / 100):
        return ""
    return (
        f"the control's median rose by {(now / was - 1) * 100:.0f} % when the percent rose: from"
        f" {was:,.0f} ms on {before.total:,} orders to {now:,.0f} ms on {after.total:,}"
    )


# What guards go by.


def full_queue(launch: Launch, version: str, queues: Mapping[str, int]) -> Reason | None:
    """Whether a candidate's queue drops orders; ``queues``: known depths."""
    queue = kitchen_queue(version)
    changed = LaunchChange.objects.filter(launch=launch, version=version)
    since = changed.values_list("at", flat=True).first() or launch.started_at
    dropped = DeadLetter.objects.filter(queue=queue, reason=QUEUE_FULL, seen_at__gt=since).count()
    why = when_full(queues.get(queue), min(dropped, KEPT_DROPS))
    return Reason(Guard.QUEUE_FULL, why) if why else None


def slowed_control(launch: Launch, version: str, now: datetime) -> Reason | None:
    """Whether the control has been slower since a candidate's percent rose."""
    rose_at = raised_at(launch, version)
    if rose_at is None or not LEAST_TIME <= now - rose_at <= COMPARED:
        return None
    before = LogHistogram()
    for times in _times_before(launch.pk, launch.control, rose_at):
        before.merge(times)
    least = settings.ENVIRONMENT.guard_slowed_orders
    if before.total < least:
        return None
    since = _times(launch.pk, launch.control, rose_at, now)
    why = when_slowed(
        before, since, by_percent=settings.ENVIRONMENT.guard_slowed_percent, least_orders=least
    )
    return Reason(Guard.CONTROL_SLOWED, why) if why else None


def _times(launch: UUID, version: str, start: datetime, end: datetime) -> tuple[LogHistogram, ...]:
    """The handling times of whole slices, in order."""
    slices = TimeSlice.objects.filter(
        launch=launch, version=version, start__gte=start.timestamp(), start__lt=end.timestamp()
    )
    found = slices.order_by("start").values_list("times", flat=True)
    return tuple(map(LogHistogram.from_json, found))


@lru_cache(maxsize=16)
def _times_before(launch: UUID, version: str, rose_at: datetime) -> tuple[LogHistogram, ...]:
    return _times(launch, version, rose_at - COMPARED, rose_at)


# What a guard does.


def stop(launch: Launch, dark: DarkVersion, reason: Reason, now: datetime) -> GuardAction | None:
    """Stop a candidate, once until a person acknowledges it; returns the action if it is new."""
    action = GuardAction(
        launch=launch.pk,
        version=dark.version,
        guard=reason.guard,
        why=reason.why[:_MAX_TEXT],
        at=now,
        percent=dark.percent,
        orders=reason.orders,
        build=reason.build,
    )
    GuardAction.objects.bulk_create([action], ignore_conflicts=True)
    stored = unacknowledged(launch.pk, dark.version).filter(guard=reason.guard).first()
    if stored is None or stored.stopped_at is not None:
        return None
    carry_out(stored, launch, now)
    return stored


def carry_out(action: GuardAction, launch: Launch, now: datetime) -> None:
    """Set the percent to 0; it may be repeated."""
    with suppress(LaunchRefused):  # the launch has ended meanwhile
        set_percent(
            launch,
            action.version,
            Decimal(0),
            author=author_of(Guard(action.guard)),
            reason=action.why,
        )
    action.stopped_at = now
    action.save(update_fields=["stopped_at"])


def unacknowledged(launch: UUID, version: str) -> QuerySet[GuardAction]:
    """The actions on a candidate that nobody has acknowledged."""
    return GuardAction.objects.filter(launch=launch, version=version, acknowledged_at__isnull=True)


def acknowledged(launch: UUID) -> QuerySet[GuardAction]:
    return GuardAction.objects.filter(launch=launch, acknowledged_at__isnull=False)


def last_acknowledged(launch: UUID, version: str, guard: Guard) -> GuardAction | None:
    return acknowledged(launch).filter(version=version, guard=guard).first()


def acknowledge(pk: int, launch: UUID, *, author: str, reason: str, now: datetime) -> GuardAction:
    """Acknowledge an action; the percent stays at 0. Raises GuardRefused."""
    if not (given := reason.strip()):
        raise GuardRefused("Enter a reason.")
    action = GuardAction.objects.filter(pk=pk, launch=launch).first()
    if action is None:
        raise GuardRefused("There is no such action of a guard.")
    changed = GuardAction.objects.filter(pk=pk, acknowledged_at__isnull=True).update(
        acknowledged_by=author, acknowledged_at=now, acknowledged_reason=given[:_MAX_TEXT]
    )
    action.refresh_from_db()
    if not changed:
        raise GuardRefused(f"{action.acknowledged_by} acknowledged it already.")
    return action


def on_the_board(at_most: int) -> list[GuardAction]:
    """The newest actions, of any launch, that nobody has acknowledged."""
    return list(GuardAction.objects.filter(acknowledged_at__isnull=True)[:at_most])
