"""What the page of a replay shows: its numbers, what they prove, its orders with both values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from dashboard.domain.comparing.judgement import Ending, Group, GroupKind, judge, values_at
from dashboard.domain.comparing.rules import Rules
from dashboard.domain.decision import Decision
from dashboard.domain.outcome import Outcome
from dashboard.models import Discrepancy, Replay, ReplayedOrder, ReplayState
from dashboard.observing.answers import Answers
from dashboard.observing.rulebook import rules_in_force
from dashboard.reviewing.proof import missing_proof
from dashboard.reviewing.replay_answers import ended, ending_of
from dashboard.reviewing.replays import MAX_REPLAYED, Summary, refusal_of, summary
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import DARK_TTL_MS
from restaurant.launches import open_launch
from restaurant.models import DarkVersion, Launch, Order

#: Orders that the page lists, and what it shows of each.
LISTED = 50
_VALUE_LENGTH = 120
_ELSEWHERE = 3
#: How often the page looks again while orders are under way, and while late answers can come.
_SOON_S, _LATER_S = 1, 10
#: Replays of one discrepancy that its page lists.
_PAST = 10


class Part(StrEnum):
    """Which orders of a replay are listed; the first that has any comes by itself."""

    STILL = "still"
    FAILED = "failed"
    MISSING = "missing"
    AGREE = "agree"
    WAITING = "waiting"


@dataclass(frozen=True, kw_only=True)
class Tab:
    """A part of a replay's orders, as it is chosen."""

    part: Part
    count: int
    words: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One order: what the control has there, what the version had, and what it has now."""

    replayed: ReplayedOrder
    number: int | None
    control: str = ""
    then: str = ""
    now: str = ""
    #: Where it differs from the control besides.
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What a discrepancy's page says of sending its orders again."""

    orders: int
    more: bool
    #: Why they cannot be sent; empty when they can.
    refusal: str
    replays: list[tuple[Replay, Summary]]


def panel(discrepancy: Discrepancy) -> Panel:
    """The replays of a discrepancy, and whether there can be another."""
    shown = discrepancy.count or discrepancy.ignored
    past = Replay.objects.filter(discrepancy=discrepancy)[:_PAST]
    return Panel(
        orders=min(shown, MAX_REPLAYED),
        more=shown > MAX_REPLAYED,
        refusal=refusal_of(discrepancy, open_launch()),
        replays=[(replay, summary(replay)) for replay in past],
    )


def page_context(replay: Replay, asked: str, now: datetime) -> dict[str, Any]:
    """All that the page of a replay shows."""
    about, found = replay.discrepancy, summary(replay)
    tabs = _tabs(replay, found)
    part = next((tab.part for tab in tabs if tab.part == asked), tabs[0].part)
    review = about.reviews.filter(replay=replay).first() if found.proves else None
    launch = Launch.objects.filter(id=about.launch).first()
    closable = found.proves and about.state != Decision.FIXED
    return {
        "replay": replay,
        "discrepancy": about,
        "launch": launch,
        **_part(replay),
        "poll": poll_s(replay, now),
        "carried": about.launch != replay.launch,
        "found": found,
        "lacking": lacking(found, about.path),
        "review": review,
        "can_close": closable,
        "refusal": missing_proof(about, replay) if closable else "",
        "tabs": tabs,
        "part": part,
        "lines": _lines(replay, part, launch.control if launch else "", now),
        "listed": LISTED,
        "limit": MAX_REPLAYED if replay.orders == MAX_REPLAYED else None,
    }


def poll_s(replay: Replay, now: datetime) -> int | None:
    """How long until the page looks again; None once no answer can come any more.

    What was sent and not answered may still be answered while its message lies in the version's
    queue, and for a deadline more, in which the kitchen that took it last may work.
    """
    if replay.finished_at is None:
        return _SOON_S
    lives = timedelta(
        milliseconds=DARK_TTL_MS,
        seconds=settings.ENVIRONMENT.deadline_s,
    )
    unanswered = replay.replayed_orders.filter(state=ReplayState.MISSING, sent_at__gt=now - lives)
    return _LATER_S if unanswered.exists() else None


def lacking(found: Summary, path: str) -> list[str]:
    """What keeps a replay from being evidence, each with its number."""
    return [
        f"{number:,} {words}"
        for number, words in (
            (found.still_shows, _words(found.still_shows, "still shows it", "still show it")),
            (found.fail_otherwise, _words(found.fail_otherwise, "now fails", "now fail")),
            (found.missing, _words(found.missing, "was not answered", "were not answered")),
        )
        if number
    ]


def _part(replay: Replay) -> dict[str, Any]:
    """The version's part in the launch, and its place among the versions, the control first."""
    dark = list(DarkVersion.objects.filter(launch=replay.launch))
    at = next((at for at, one in enumerate(dark) if one.version == replay.version), None)
    if at is None:
        return {"role": Role.CANDIDATE, "place": None}
    return {"role": dark[at].role, "place": at + 1}


def _words(number: int, one: str, several: str) -> str:
    return f"order {one}" if number == 1 else f"orders {several}"


def _tabs(replay: Replay, found: Summary) -> list[Tab]:
    waiting = found.waiting + found.sent
    tabs = [
        Tab(part=Part.STILL, count=found.still_shows, words="still show it"),
        Tab(part=Part.FAILED, count=found.fail_otherwise, words="now fail"),
        Tab(part=Part.MISSING, count=found.missing, words="not answered"),
        Tab(part=Part.AGREE, count=found.agree, words="agree there"),
        Tab(part=Part.WAITING, count=waiting, words="under way"),
    ]
    return [tab for tab in tabs if tab.count] or tabs[-1:]


def _of(replay: Replay, part: Part) -> QuerySet[ReplayedOrder]:
    rows = replay.replayed_orders
    if part is Part.STILL:
        return rows.filter(shows=True)
    if part is Part.FAILED:
        return rows.filter(shows=False, outcome=Outcome.CANDIDATE_FAILED)
    if part is Part.MISSING:
        return rows.filter(state=ReplayState.MISSING)
    if part is Part.AGREE:
        return rows.filter(shows=False).exclude(outcome=Outcome.CANDIDATE_FAILED)
    return rows.filter(state__in=(ReplayState.WAITING, ReplayState.SENT))


def _lines(replay: Replay, part: Part, control: str, now: datetime) -> list[Line]:
    rows = list(_of(replay, part).order_by("id")[:LISTED])
    orders = {row.order for row in rows}
    numbers = dict(Order.objects.filter(uuid__in=orders).values_list("uuid", "pk"))
    about = replay.discrepancy
    answers = Answers.stored(orders)
    rules = rules_in_force([replay.version], now)[replay.version]
    group = Group(GroupKind(about.kind), about.path)
    return [
        _line(
            row,
            numbers,
            group,
            control=ended(answers.of(row.order, control)),
            then=ended(answers.of(row.order, about.version)),
            rules=rules,
        )
        for row in rows
    ]


def _line(
    row: ReplayedOrder,
    numbers: Mapping[UUID, int],
    group: Group,
    *,
    control: Ending,
    then: Ending,
    rules: Rules,
) -> Line:
    ours, before = values_at(control, then, group, rules)
    if row.shows is None:
        return Line(
            replayed=row, number=numbers.get(row.order), control=_cut(ours), then=_cut(before)
        )
    answer = ending_of(row)
    groups = judge(control, answer, rules).groups
    there = next((found for found in groups if found.path == group.path), None)
    if row.state == ReplayState.FAILED:
        after = f"{row.error_type}: {row.error_message}"
    elif there is not None:
        after = values_at(control, answer, there, rules)[1]
    else:
        after = ours or "handled"
    elsewhere = [found.path for found, rule in groups.items() if rule is None and found != there]
    return Line(
        replayed=row,
        number=numbers.get(row.order),
        control=_cut(ours),
        then=_cut(before),
        now=_cut(after),
        elsewhere=tuple(elsewhere[:_ELSEWHERE]),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE_LENGTH else f"{text[: _VALUE_LENGTH - 1]}…"
