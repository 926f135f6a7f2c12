"""The page of a replay, and the request for one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from dashboard.access import REPLAY, access_by, board_access, may_review
from dashboard.comparison.judgement import Ending, Group, judge, values_at
from dashboard.comparison.outcome import Decision, Outcome
from dashboard.comparison.rules import Rules
from dashboard.ingest.rulebook import rules_in_force
from dashboard.models import Discrepancy, ObservedOrder, Replay, ReplayedOrder, ReplayState
from dashboard.pages.discrepancies import observed
from dashboard.review.replaying import ending_of, live_answers
from dashboard.review.replays import (
    MAX_REPLAYED,
    ReplayRefused,
    Summary,
    refusal_of,
    request_replay,
    summary,
)
from dashboard.review.reviews import missing_proof
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import DARK_TTL_MS
from restaurant.launches import open_launch
from restaurant.models import DarkVersion, Launch

#: Orders that the page lists, characters of a value, and other paths of each.
LISTED = 50
_VALUE_LENGTH = 120
_ELSEWHERE = 3
#: How often the page reloads while orders are under way, and while late answers can come.
_SOON_S, _LATER_S = 1, 10
#: Replays of one discrepancy that its page lists.
_PAST = 10


class OrderGroup(StrEnum):
    """Which orders of a replay are listed; by default the first group that has any."""

    STILL = "still"
    FAILED = "failed"
    MISSING = "missing"
    AGREE = "agree"
    WAITING = "waiting"


@dataclass(frozen=True, kw_only=True)
class Tab:
    """A group of orders to choose."""

    part: OrderGroup
    count: int
    words: str


@dataclass(frozen=True, kw_only=True)
class ListedOrder:
    """An order with the control's value, and the version's old and new one."""

    replayed: ReplayedOrder
    #: None if the order is not stored anymore.
    order: ObservedOrder | None
    control: str = ""
    then: str = ""
    now: str = ""
    #: Other paths where it differs from the control.
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The part of a discrepancy's page about replays."""

    orders: int
    more: bool
    #: Why they cannot be sent; empty if they can.
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
    """The context of a replay's page."""
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
    """How long until the page reloads; None once no answer can arrive anymore.

    An answer may arrive while the message can still be in the version's queue, plus one deadline
    for the kitchen that takes it last.
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
    """Why a replay proves nothing, with numbers."""
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
    """The version's role, and its place among the versions, the control first."""
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
        Tab(part=OrderGroup.STILL, count=found.still_shows, words="still show it"),
        Tab(part=OrderGroup.FAILED, count=found.fail_otherwise, words="now fail"),
        Tab(part=OrderGroup.MISSING, count=found.missing, words="not answered"),
        Tab(part=OrderGroup.AGREE, count=found.agree, words="agree there"),
        Tab(part=OrderGroup.WAITING, count=waiting, words="under way"),
    ]
    return [tab for tab in tabs if tab.count] or tabs[-1:]


def _of(replay: Replay, part: OrderGroup) -> QuerySet[ReplayedOrder]:
    rows = replay.replayed_orders
    if part is OrderGroup.STILL:
        return rows.filter(shows=True)
    if part is OrderGroup.FAILED:
        return rows.filter(shows=False, outcome=Outcome.CANDIDATE_FAILED)
    if part is OrderGroup.MISSING:
        return rows.filter(state=ReplayState.MISSING)
    if part is OrderGroup.AGREE:
        return rows.filter(shows=False).exclude(outcome=Outcome.CANDIDATE_FAILED)
    return rows.filter(state__in=(ReplayState.WAITING, ReplayState.SENT))


def _lines(replay: Replay, part: OrderGroup, control: str, now: datetime) -> list[ListedOrder]:
    rows = list(_of(replay, part).order_by("id")[:LISTED])
    ids = {row.order for row in rows}
    orders, answers = observed(ids), live_answers(ids)
    about = replay.discrepancy
    rules = rules_in_force([replay.version], now)[replay.version]
    group = about.group
    return [
        _line(
            row,
            orders.get(row.order),
            group,
            control=ending_of(answers.get((row.order, control))),
            then=ending_of(answers.get((row.order, about.version))),
            rules=rules,
        )
        for row in rows
    ]


def _line(
    row: ReplayedOrder,
    order: ObservedOrder | None,
    group: Group,
    *,
    control: Ending,
    then: Ending,
    rules: Rules,
) -> ListedOrder:
    ours, before = values_at(control, then, group, rules)
    if row.shows is None:
        return ListedOrder(replayed=row, order=order, control=_cut(ours), then=_cut(before))
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
    return ListedOrder(
        replayed=row,
        order=order,
        control=_cut(ours),
        then=_cut(before),
        now=_cut(after),
        elsewhere=tuple(elsewhere[:_ELSEWHERE]),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE_LENGTH else f"{text[: _VALUE_LENGTH - 1]}…"


_REVISION_DIGITS = 9


@require_POST
@access_by(REPLAY)
def replay_new(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the orders of a discrepancy again, and go to the replay."""
    found = get_object_or_404(Discrepancy, pk=pk)
    revision = request.POST.get("revision", "")
    launch = open_launch()
    try:
        if launch is None:
            raise ReplayRefused("No launch is running, so there is no version to send orders to.")
        if not (revision.isascii() and revision.isdigit() and len(revision) <= _REVISION_DIGITS):
            raise ReplayRefused("This page is out of date. Reload it.")
        replay = request_replay(
            found,
            launch=launch,
            revision=int(revision),
            author=request.user.get_username(),
            close_when_agreed="close" in request.POST,
            now=timezone.now(),
        )
    except ReplayRefused as refused:
        context = {"discrepancy": found, "reason": str(refused)}
        return render(request, "dashboard/replay_refused.html", context, status=409)
    response = redirect("replay", pk=replay.pk)
    response.status_code = 303
    return response


@require_safe
@never_cache
@board_access
def replay(request: HttpRequest, pk: int) -> HttpResponse:
    """The result of a replay."""
    found = get_object_or_404(Replay.objects.select_related("discrepancy"), pk=pk)
    context = page_context(found, request.GET.get("show", ""), timezone.now())
    context["may_review"] = may_review(request.user)
    return render(request, "dashboard/replay.html", context)
