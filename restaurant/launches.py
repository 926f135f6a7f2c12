"""Launches: which one is open, which dark versions get an order, and every change.

Nothing else writes a launch: each change is one function here, which also records it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID, uuid4

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import IsNull

from kitchen_worker.contract.messages import Role, utc_now
from restaurant.models import (
    DarkVersion,
    Launch,
    LaunchChange,
    LaunchChangeKind,
    Order,
)
from restaurant.sent_counts import orders_sent

#: The control's version until a launch names another.
FIRST_CONTROL = "vlatest"

_ROUTING = """
    SELECT launch.id, launch.control,
        (SELECT MAX(id) FROM restaurant_launchchange WHERE launch_id = launch.id),
        dark.version, dark.percent
    FROM restaurant_launch launch
    LEFT JOIN restaurant_darkversion dark ON dark.launch_id = launch.id
    WHERE launch.ended_at IS NULL
    ORDER BY dark.role DESC, dark.version
"""

#: A version of this name would have a queue named like the exchange of all events, and the broker's
#: permissions can't distinguish the two.
_RESERVED = "events"
#: The author of planned ends.
_PLAN = "planned end"
#: Of a suggested name, without its number.
_NAME_LENGTH = 90
#: Sample points are hundredths of a percent.
_POINTS = 10_000


class LaunchRefused(ValueError):
    """Raised when a launch can't be started or changed as requested."""


class DarkShare(Protocol):
    @property
    def version(self) -> str: ...

    @property
    def percent(self) -> Decimal:
        """From 0 to 100, in steps of 0.01."""
        ...


class Share(NamedTuple):
    """A dark version and its percent, as read for a new order."""

    version: str
    percent: Decimal


class PlannedEnd(NamedTuple):
    """When a launch ends by itself: at a time, after a number of orders, or whichever comes
    first."""

    at: datetime | None = None
    orders: int | None = None


NO_PLAN = PlannedEnd()


class Routing(NamedTuple):
    """Where orders go right now: the control, the open launch if any, and its shares."""

    control: str
    launch: UUID | None = None
    shares: tuple[Share, ...] = ()
    #: The launch's newest change: these shares apply since then.
    change: int = 0


def sample_point(order_id: UUID) -> int:
    """An order's point in [0, 10000): the same for every version, evenly distributed by a hash."""
    digest = hashlib.sha256(str(order_id).encode()).digest()
    return int.from_bytes(digest[:8], "big") * _POINTS >> 64


def sample(order_id: UUID, shares: Iterable[DarkShare]) -> list[str]:
    """The dark versions that get this order: those whose percent is above its point."""
    point = sample_point(order_id)
    return [share.version for share in shares if share.percent * 100 > point]


def routing() -> Routing:
    """Where orders go now; call it in the transaction that places them."""
    with connection.cursor() as cursor:
        cursor.execute(_ROUTING)
        rows = cursor.fetchall()
    if not rows:
        return Routing(current_control())
    launch, control, change = rows[0][:3]
    shares = tuple(Share(version, Decimal(str(share))) for *_, version, share in rows if version)
    return Routing(control, UUID(str(launch)), shares, change or 0)


def open_launch() -> Launch | None:
    return Launch.objects.filter(ended_at__isnull=True).first()


def newest_launch() -> Launch | None:
    """The open launch, or else the last one, with its dark versions."""
    return newest_launches().prefetch_related("dark_versions").first()


def newest_launches() -> QuerySet[Launch]:
    """The open launch first, then the ended ones, newest first."""
    return Launch.objects.order_by(IsNull(F("ended_at"), True).desc(), "-started_at")


def find_launch(launch: UUID) -> Launch | None:
    """The launch with this id, with its dark versions."""
    return Launch.objects.prefetch_related("dark_versions").filter(id=launch).first()


def current_control() -> str:
    """The version that answers customers: the open launch's control, else the last one's."""
    newest = Launch.objects.order_by("-started_at").values_list("ended_at", "control")
    running = newest.filter(ended_at__isnull=True).first()
    row = running or newest.first()
    return row[1] if row else FIRST_CONTROL


def former_controls() -> dict[str, bool]:
    """Earlier controls, and whether orders still wait for their answers."""
    names = {FIRST_CONTROL, *Launch.objects.values_list("control", flat=True).distinct()}
    names -= {current_control(), *DarkVersion.objects.values_list("version", flat=True).distinct()}
    return {name: unanswered(name).exists() for name in sorted(names)}


def unanswered(control: str) -> QuerySet[Order]:
    """The orders that a control has not answered yet."""
    return Order.objects.filter(control=control, answered_at__isnull=True)


def name_missing_controls() -> None:
    """Set the control of unanswered orders that have none: an earlier release, which may still
    run during a deployment, places such orders."""
    unnamed = unanswered("")
    if unnamed.exists():
        own = Launch.objects.filter(pk=OuterRef("launch")).values("control")
        unnamed.update(control=Coalesce(Subquery(own), Value(current_control())))


def dark_versions() -> list[str]:
    running = DarkVersion.objects.filter(launch__ended_at__isnull=True)
    return list(running.values_list("version", flat=True))


def newest_change(launch: UUID) -> int:
    """The id of a launch's newest change; 0 if there is none."""
    return LaunchChange.objects.filter(launch=launch).values_list("pk", flat=True).first() or 0


def raised_at(launch: Launch, version: str) -> datetime | None:
    """When a version's percent rose in a running launch; None if its last change lowered it, or if
    it has it from the start."""
    newest = launch.changes.filter(version=version).first()
    if newest is None:
        return None
    has_risen = newest.kind == LaunchChangeKind.ADDED or (
        _percent(newest.new) > _percent(newest.old)
    )
    return newest.at if has_risen else None


def suggested_name(control: str, dark: Sequence[str]) -> str:
    """A name that no launch has yet: "vnext vs. vlatest", "vnext vs. vlatest 2"."""
    base = f"{', '.join(dark)} vs. {control}"[:_NAME_LENGTH]
    taken = set(Launch.objects.filter(name__startswith=base).values_list("name", flat=True))
    numbered = (f"{base} {number}" for number in itertools.count(2))
    return base if base not in taken else next(name for name in numbered if name not in taken)


def start_launch(
    name: str,
    control: str,
    dark: Sequence[tuple[str, Role, Decimal]],
    *,
    author: str,
    reason: str = "",
    pk: UUID | None = None,
    plan: PlannedEnd = NO_PLAN,
) -> Launch:
    """Raises LaunchRefused, also while another launch is open."""
    if open_launch() is not None:
        raise LaunchRefused("another launch is running; end it first")
    launch = Launch(pk=pk or uuid4(), name=name, control=control, started_at=utc_now())
    launch.ends_at, launch.ends_after = plan
    _check_plan(plan)
    versions = [
        DarkVersion(launch=launch, version=version, role=role.value, percent=percent)
        for version, role, percent in dark
    ]
    check_versions(control, [one.version for one in versions])
    try:
        with transaction.atomic():
            _insert(launch)
            for one in versions:
                _insert(one)
            parts = [f"{control} (control)", *(f"{one.version} ({_part(one)})" for one in versions)]
            parts += [f"until {launch.planned_end}"] if launch.planned_end else []
            change = LaunchChange(kind=LaunchChangeKind.STARTED, new=", ".join(parts))
            _record(launch, change, author, reason)
    except IntegrityError as cause:
        raise LaunchRefused("another launch was started at the same moment") from cause
    return launch


def add_version(
    launch: Launch, version: str, role: Role, percent: Decimal, *, author: str, reason: str
) -> DarkVersion:
    """Raises LaunchRefused."""
    one = DarkVersion(launch=launch, version=version, role=role.value, percent=percent)
    with transaction.atomic():
        running = _running(launch)
        names = running.dark_versions.values_list("version", flat=True)
        check_versions(running.control, [*names, version])
        _insert(one)
        change = LaunchChange(kind=LaunchChangeKind.ADDED, version=version, new=_part(one))
        _record(running, change, author, reason)
    return one


def set_percent(
    launch: Launch,
    version: str,
    percent: Decimal,
    *,
    author: str,
    reason: str,
    only_from: Decimal | None = None,
) -> LaunchChange | None:
    """Set a dark version's percent from the next order on, 0 to stop it; raises LaunchRefused.

    ``only_from``: refuse if the percent is a third one, because somebody else has changed it.
    Returns the change, or None if the percent is the same.
    """
    with transaction.atomic():
        one = _running(launch).dark_versions.filter(version=version).first()
        if one is None:
            raise LaunchRefused(f"{launch.name} has no dark version {version!r}")
        old, one.percent = one.percent, percent
        _check(one)
        if old == percent:
            return None
        if only_from is not None and old != only_from:
            raise LaunchRefused(f"{version} is at {_shown(old)}, no longer at {_shown(only_from)}")
        one.purge_for = ""
        one.save(update_fields=["percent", "purge_for"])
        change = LaunchChange(
            kind=LaunchChangeKind.PERCENT, version=version, old=_shown(old), new=_shown(percent)
        )
        return _record(launch, change, author, reason)


def stop_version(
    launch: Launch, version: str, *, author: str, reason: str, purge: bool = False
) -> LaunchChange | None:
    """Stop a dark version from the next order on; raises LaunchRefused.

    ``purge``: the relay then drops the orders that wait in its queue, which count as missing.
    Returns the change, or None if it was stopped before.
    """
    with transaction.atomic():
        change = set_percent(launch, version, Decimal(0), author=author, reason=reason)
        if purge:
            launch.dark_versions.filter(version=version).update(purge_for=author)
    return change


def purges_wanted() -> list[DarkVersion]:
    """The stopped versions whose queues the relay has yet to purge."""
    return list(DarkVersion.objects.filter(percent=0).exclude(purge_for=""))


def record_purge(one: DarkVersion, dropped: int) -> None:
    """Record that a version's queue was purged."""
    with transaction.atomic():
        wanted = DarkVersion.objects.filter(pk=one.pk, purge_for=one.purge_for)
        if wanted.update(purge_for=""):
            orders = f"{dropped:,} order{'' if dropped == 1 else 's'}"
            # Without the version: its own changes are those of its percent.
            new = f"{one.version}, {orders} dropped"
            change = LaunchChange(kind=LaunchChangeKind.PURGED, new=new)
            _record(one.launch, change, one.purge_for, "asked for with the stop")


def rename_launch(launch: Launch, name: str, *, author: str, reason: str) -> None:
    """Raises LaunchRefused."""
    with transaction.atomic():
        running = _running(launch)
        old, running.name = running.name, name
        _check(running)
        if old != name:
            running.save(update_fields=["name"])
            change = LaunchChange(kind=LaunchChangeKind.RENAMED, old=old, new=name)
            _record(running, change, author, reason)


def plan_end(launch: Launch, plan: PlannedEnd, *, author: str, reason: str) -> LaunchChange | None:
    """Set or clear the planned end of a running launch; raises LaunchRefused.

    Returns the change, or None if the plan is the same.
    """
    with transaction.atomic():
        running = _running(launch)
        old, before = running.planned_end, PlannedEnd(running.ends_at, running.ends_after)
        running.ends_at, running.ends_after = plan
        if plan == before:
            return None
        _check(running)
        _check_plan(plan, running.pk)
        running.save(update_fields=["ends_at", "ends_after"])
        change = LaunchChange(
            kind=LaunchChangeKind.PLANNED, old=old or "none", new=running.planned_end or "none"
        )
        return _record(running, change, author, reason)


def plan_problems(plan: PlannedEnd, launch: UUID | None = None) -> dict[str, str]:
    """What is wrong with a planned end, by field; empty if nothing is."""
    wrong = {}
    if plan.at is not None and plan.at <= utc_now():
        wrong["ends_at"] = "This time has passed."
    sent = orders_sent(launch) if launch is not None and plan.orders is not None else 0
    if plan.orders is not None and 0 < plan.orders <= sent:
        were = "order was" if sent == 1 else "orders were"
        wrong["ends_after"] = f"{sent:,} {were} sent in this launch already."
    return wrong


def end_where_planned() -> Launch | None:
    """End the open launch if it has reached its planned end; returns it if it ended."""
    launch = open_launch()
    if launch is None or not launch.planned_end:
        return None
    if launch.ends_at is not None and launch.ends_at <= utc_now():
        reason = f"its planned end: {launch.planned_end}"
    elif launch.ends_after is not None and (sent := orders_sent(launch.pk)) >= launch.ends_after:
        reason = (
            f"its planned end: {launch.planned_end}; {sent:,} {'was' if sent == 1 else 'were'} sent"
        )
    else:
        return None
    return launch if end_launch(launch, author=_PLAN, reason=reason) else None


def end_launch(launch: Launch, *, author: str, reason: str, at: datetime | None = None) -> bool:
    """End a launch: from the next order on nothing is sent in the dark. Idempotent.

    Returns whether it was still running.
    """
    with transaction.atomic():
        running = Launch.objects.filter(pk=launch.pk, ended_at__isnull=True)
        ended = bool(running.update(ended_at=at or utc_now()))
        if ended:
            change = LaunchChange(kind=LaunchChangeKind.ENDED, old="running", new="ended")
            _record(launch, change, author, reason)
    launch.refresh_from_db()
    return ended


def _running(launch: Launch) -> Launch:
    """The launch, locked against other changes; orders don't wait for the lock."""
    locked = Launch.objects.select_for_update(no_key=True).get(pk=launch.pk)
    if locked.ended_at is not None:
        raise LaunchRefused(f"{locked.name} has ended")
    return locked


def _check_plan(plan: PlannedEnd, launch: UUID | None = None) -> None:
    if wrong := plan_problems(plan, launch):
        raise LaunchRefused("; ".join(f"{field}: {message}" for field, message in wrong.items()))


def _record(launch: Launch, change: LaunchChange, author: str, reason: str) -> LaunchChange:
    """Record a change, in the transaction that makes it."""
    change.launch, change.at = launch, utc_now()
    change.author, change.reason = author, reason.strip()
    if not change.reason and change.kind != LaunchChangeKind.STARTED:
        raise LaunchRefused("a change needs a reason")
    _insert(change)
    return change


def _insert(row: Launch | DarkVersion | LaunchChange) -> None:
    _check(row)
    row.save(force_insert=True)


def _check(row: Launch | DarkVersion | LaunchChange) -> None:
    try:
        row.full_clean()
    except ValidationError as cause:
        said = (
            message if field == NON_FIELD_ERRORS else f"{field}: {message}"
            for field, several in cause.message_dict.items()
            for message in several
        )
        raise LaunchRefused("; ".join(said)) from cause


def _part(one: DarkVersion) -> str:
    return f"{one.role}, {_shown(one.percent)}"


def _shown(percent: Decimal) -> str:
    return f"{percent.normalize():f} %"


def _percent(shown: str) -> Decimal:
    return Decimal(shown.removesuffix(" %"))


def check_versions(control: str, dark: Sequence[str]) -> None:
    """Each version has one role in a launch, and keeps it in later ones; raises LaunchRefused.

    A dark version's queue is bounded, the control's never. The broker doesn't let one become the
    other, and that would stop the relay.
    """
    if _RESERVED in (control, *dark):
        raise LaunchRefused(f"a version cannot be called {_RESERVED}: choose another name")
    if control in dark:
        raise LaunchRefused(f"{control} is the control and cannot be a dark version as well")
    if len(set(dark)) != len(dark):
        raise LaunchRefused("a dark version is named twice")
    if DarkVersion.objects.filter(version=control).exists():
        raise LaunchRefused(
            f"{control} was a dark version, and its queue on the broker is a dark one: deploy its "
            "code under the live version's name, or as a version with a new name"
        )
    live = Launch.objects.filter(control__in=dark).values_list("control", flat=True).first()
    if live is not None:
        raise LaunchRefused(
            f"{live} was a control, and its queue on the broker is a live one: give the dark copy "
            f"a name of its own, such as {live}-b"
        )
