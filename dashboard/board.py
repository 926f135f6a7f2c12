"""What the board shows, read from tallies and the newest rows: a frame always costs the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.utils import timezone

from dashboard.domain.outcome import Outcome
from dashboard.domain.sketch import LogHistogram
from dashboard.models import (
    Comparison,
    DeadLetter,
    DeadLetterTally,
    Observation,
    Tally,
    TimeSlice,
)
from dashboard.recording import SLICE_S
from dashboard.rosters import Roster, read_roster
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import OBSERVER_QUEUE, kitchen_queue
from restaurant.models import Launch, Letter, Order, OrderLine

#: Rows in the lanes.
ROWS = 40
#: Points in a chart: so many slices, up to now.
POINTS = 150
_RATE_SLICES = 5
#: Orders a second from which the newest orders would all still be waiting.
_FAST = 4.0
#: So many of the newest orders are shown all the same.
_WAITING_SHOWN = 4
_FRESH_S = 5.0
_UNSENT_SHOWN = 1000
_ERROR_SHOWN = 200
_REASONS = 3
_ROLE_ORDER = {Role.CONTROL: 0, Role.CANDIDATE: 1, Role.BASELINE: 2}

Json = dict[str, Any]


class Lens(StrEnum):
    """Which orders the lanes show."""

    ALL = "all"
    FAILED = "failed"
    MISSING = "missing"
    SLOWER = "slower"


_LENS_OUTCOMES: dict[Lens, tuple[Outcome, ...]] = {
    Lens.FAILED: (Outcome.CANDIDATE_FAILED, Outcome.CONTROL_FAILED, Outcome.BOTH_FAILED),
    Lens.MISSING: (Outcome.MISSING,),
}


def newest_launch() -> Launch | None:
    """The open launch, or else the one that was started last."""
    launches = Launch.objects.prefetch_related("dark_versions")
    return launches.filter(ended_at=None).first() or launches.order_by("-started_at").first()


def find_launch(launch: UUID) -> Launch | None:
    """The launch with this id."""
    return Launch.objects.prefetch_related("dark_versions").filter(id=launch).first()


def build_frame(
    launch: Launch,
    lens: Lens,
    *,
    version: str = "",
    with_series: bool,
    backlogs: Mapping[str, int] | None = None,
) -> Json:
    """One whole state of the board.

    ``version``: the dark version beside the control, through whose pairs the lens looks; another
    name means the first candidate. ``backlogs``: messages waiting, by queue, where known.
    """
    backlogs = backlogs or {}
    now = timezone.now()
    roster = read_roster(launch)
    versions = _versions(launch, roster, backlogs)
    unsent = Letter.objects.filter(sent_at=None)[: _UNSENT_SHOWN + 1].count()
    control = versions[0]
    waiting = control["waiting"] + unsent
    rate = _rate(launch, roster, now)
    beside = _beside(versions, version)
    if lens is Lens.ALL:
        shown = _newest_orders(launch, _ended_until(versions, beside) if rate > _FAST else None)
    else:
        shown = _lens_orders(launch, beside, lens)
    frame: Json = {
        "type": "board",
        "launch": str(launch.id),
        "lens": lens.value,
        "version": beside,
        "at": now.timestamp(),
        "feed": _feed(versions, now, waiting=waiting, backlog=backlogs.get(OBSERVER_QUEUE)),
        "orders": control["orders"],
        "rate": rate,
        "waiting": waiting,
        "versions": versions,
        "rows": _rows(roster, shown),
    }
    frame["feed"] |= {"unsent": unsent, **_dead_letters()}
    if with_series:
        frame["series"] = build_series(launch, now)
    return frame


def build_series(launch: Launch, now: datetime) -> Json:
    """The points of the charts, up to the last whole slice."""
    end = int(now.timestamp()) // SLICE_S * SLICE_S
    times = list(range(end - POINTS * SLICE_S, end, SLICE_S))
    place = {start: index for index, start in enumerate(times)}
    versions: defaultdict[str, Json] = defaultdict(
        lambda: {
            "handled": [0.0] * POINTS,
            **{name: [None] * POINTS for name in ("p50", "p95", "p99")},
        }
    )
    slices = TimeSlice.objects.filter(launch=launch.id, start__gte=times[0], start__lt=end)
    for version, start, handled, failed, p50, p95, p99 in slices.values_list(
        "version", "start", "handled", "failed", "p50", "p95", "p99"
    ):
        series, index = versions[version], place[start]
        series["handled"][index] = (handled + failed) / SLICE_S
        for name, value in (("p50", p50), ("p95", p95), ("p99", p99)):
            series[name][index] = _rounded(value)
    return {"step_s": SLICE_S, "t": times, "versions": dict(versions)}


def find_rows(launch: Launch, text: str) -> list[Json]:
    """The orders that a person means by a number, ``#1042``, or by the start of an id."""
    wanted = text.strip().removeprefix("#").lower()
    orders = Order.objects.filter(launch=launch).order_by("-id")
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
        orders = orders.filter(id=int(wanted))
    else:
        bounds = _uuid_bounds(wanted)
        if bounds is None:
            return []
        orders = orders.filter(uuid__gte=bounds[0], uuid__lte=bounds[1])
    ids = list(orders.values_list("uuid", flat=True)[:ROWS])
    return _rows(read_roster(launch), ids)


def order_story(uuid: UUID) -> Json | None:
    """All that is known of one order: what was asked, and what every version did."""
    order = Order.objects.select_related("launch", "letter").filter(uuid=uuid).first()
    if order is None:
        return None
    letter: Letter | None = getattr(order, "letter", None)
    observations = sorted(
        Observation.objects.filter(order=uuid),
        key=lambda one: (_ROLE_ORDER[Role(one.role)], one.version),
    )
    return {
        "order": order,
        "lines": list(order.lines.all()),
        "launch": order.launch,
        "observations": observations,
        "sample": letter.sample if letter else [],
        "sent_at": letter.sent_at if letter else None,
        "message": bytes(letter.body).decode("utf-8", "replace") if letter else "",
    }


def _versions(launch: Launch, roster: Roster, backlogs: Mapping[str, int]) -> list[Json]:
    tallies = {tally.version: tally for tally in Tally.objects.filter(launch=launch.id)}
    percents = {dark.version: float(dark.percent) for dark in launch.dark_versions.all()}
    in_order = sorted(roster.roles.items(), key=lambda one: _ROLE_ORDER[one[1]])
    return [
        _version(
            tallies.get(name) or Tally(launch=launch.id, version=name, role=role),
            percents.get(name),
            backlogs.get(kitchen_queue(name), 0),
        )
        for name, role in in_order
    ]


def _version(tally: Tally, percent: float | None, backlog: int) -> Json:
    p50, p95, p99 = LogHistogram.from_json(tally.sketch).quantiles(0.5, 0.95, 0.99)
    in_hand = tally.orders - tally.handled - tally.failed - tally.missing
    return {
        "name": tally.version,
        "role": tally.role,
        "build": tally.build,
        "percent": percent,
        "orders": tally.orders,
        "handled": tally.handled,
        "failed": tally.failed,
        "missing": tally.missing,
        "late": tally.late,
        "repeats": tally.repeats,
        "waiting": max(0, in_hand) + backlog,
        "pairs": None if tally.role == Role.CONTROL else tally.pairs,
        "p50": _rounded(p50),
        "p95": _rounded(p95),
        "p99": _rounded(p99),
        "newest_at": tally.newest_at.timestamp() if tally.newest_at else None,
        "ended_until": tally.ended_until.timestamp() if tally.ended_until else None,
    }


def _feed(versions: list[Json], now: datetime, *, waiting: int, backlog: int | None) -> Json:
    """How fresh the numbers are: stale while somebody waits and nothing has come for a while."""
    newest = max((one["newest_at"] for one in versions if one["newest_at"]), default=None)
    age_s = max(0.0, now.timestamp() - newest) if newest is not None else None
    fresh = age_s is not None and age_s <= _FRESH_S
    state = "fresh" if fresh else "stale" if waiting or backlog else "idle"
    return {"newest_at": newest, "age_s": age_s, "state": state, "backlog": backlog}


def _dead_letters() -> Json:
    newest = DeadLetter.objects.values_list("queue", "reason", "seen_at")[:_REASONS]
    return {
        "dead_letters": sum(DeadLetterTally.objects.values_list("count", flat=True)),
        "dead_reasons": [
            {"queue": queue, "reason": reason[:_ERROR_SHOWN], "at": seen_at.timestamp()}
            for queue, reason, seen_at in newest
        ],
    }


def _rate(launch: Launch, roster: Roster, now: datetime) -> float:
    """Orders per second that the control ended, over the last whole slices."""
    end = int(now.timestamp()) // SLICE_S * SLICE_S
    start = end - _RATE_SLICES * SLICE_S
    ended = TimeSlice.objects.filter(
        launch=launch.id, version=roster.control, start__gte=start, start__lt=end
    ).values_list("handled", "failed")
    return round(sum(map(sum, ended)) / (_RATE_SLICES * SLICE_S), 1)


def _beside(versions: list[Json], asked: str) -> str:
    """The dark version that stands beside the control; empty if there is none."""
    dark = [one["name"] for one in versions[1:]]
    return asked if asked in dark else next(iter(dark), "")


def _ended_until(versions: list[Json], beside: str) -> datetime | None:
    """When the newest order was placed that both the control and the version beside it ended."""
    ended = [one["ended_until"] for one in versions if one["name"] in (versions[0]["name"], beside)]
    if None in ended:
        return None
    return datetime.fromtimestamp(min(ended), UTC)


def _newest_orders(launch: Launch, ended_until: datetime | None) -> list[UUID]:
    """The newest orders; where ``ended_until`` is known, a few of them and then the newest that
    were placed until then: at speed, nothing newer has ended."""
    orders = Order.objects.filter(launch=launch).order_by("-id").values_list("uuid", flat=True)
    if ended_until is None:
        return list(orders[:ROWS])
    ended = orders.filter(placed_at__lte=ended_until)
    return list(dict.fromkeys([*orders[:_WAITING_SHOWN], *ended[:ROWS]]))[:ROWS]


def _lens_orders(launch: Launch, version: str, lens: Lens) -> list[UUID]:
    """The newest orders whose pair with this version a lens lets through, the newest pair first."""
    pairs = Comparison.objects.filter(launch=launch.id, version=version).order_by("-id")
    if lens is Lens.SLOWER:
        return list(pairs.filter(slower=True).values_list("order", flat=True)[:ROWS])
    # One look into the index an outcome: what is newest of each, then of all.
    found = [
        pair
        for outcome in _LENS_OUTCOMES[lens]
        for pair in pairs.filter(outcome=outcome).values_list("id", "order")[:ROWS]
    ]
    return [order for _, order in sorted(found, reverse=True)[:ROWS]]


def _rows(roster: Roster, uuids: Iterable[UUID]) -> list[Json]:
    """The rows of the lanes for these orders, the newest order first."""
    orders = list(
        Order.objects.filter(uuid__in=list(uuids))
        .order_by("-id")
        .select_related("letter")
        .only("uuid", "placed_at", "note", "letter__sample")
    )
    items: defaultdict[int, list[str]] = defaultdict(list)
    lines = OrderLine.objects.filter(order__in=orders).order_by("order", "position")
    for order, quantity, title in lines.values_list("order", "quantity", "title"):
        items[order].append(title.lower() if quantity == 1 else f"{quantity} {title.lower()}")
    seen = _cells([order.uuid for order in orders])
    return [
        {
            "id": str(order.uuid),
            "number": order.pk,
            "items": ", ".join(items[order.pk]),
            "note": bool(order.note),
            "placed_at": order.placed_at.timestamp(),
            "cells": {
                version: seen.get((order.uuid, version)) or _unseen(order, version, role)
                for version, role in roster.roles.items()
            },
        }
        for order in orders
    ]


def _cells(orders: list[UUID]) -> dict[tuple[UUID, str], Json]:
    observations = Observation.objects.filter(order__in=orders).values_list(
        "order", "version", "state", "handling_ms", "error_type", "error_message", "late"
    )
    return {
        (order, version): {
            "state": state,
            "ms": _rounded(handling_ms),
            "error": (message or kind)[:_ERROR_SHOWN] or None,
            "late": late,
        }
        for order, version, state, handling_ms, kind, message, late in observations
    }


def _unseen(order: Order, version: str, role: Role) -> Json:
    letter: Letter | None = getattr(order, "letter", None)
    due = role is Role.CONTROL or (letter is not None and version in letter.sample)
    state = "waiting" if due else "unsampled"
    return {"state": state, "ms": None, "error": None, "late": False}


def _uuid_bounds(text: str) -> tuple[UUID, UUID] | None:
    """The first and the last id that start with these hexadecimal digits."""
    digits = text.replace("-", "")
    if not 4 <= len(digits) <= 32 or not all(digit in "0123456789abcdef" for digit in digits):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
