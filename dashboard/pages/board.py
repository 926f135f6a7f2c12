"""The pages of the board, of one order, of a launch's changes, and of the verdict's method."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.access import CHANGE_LAUNCH, REQUIRE, board_access, may, may_review
from dashboard.board import wording
from dashboard.board.charts import Range, longer_series
from dashboard.board.filters import Filter
from dashboard.board.frame import board_state, frame_fields
from dashboard.board.parts import render_parts
from dashboard.board.rows import SEARCH_LENGTH, find_rows, order_detail
from dashboard.board.wording import Json
from dashboard.comparison.outcome import State
from dashboard.models import Observation, ObservedOrder
from dashboard.pages import orders
from dashboard.pages.orders import pairs_of
from dashboard.pages.side_by_side import lay_side_by_side
from kitchen_worker.contract.messages import MessageError, PlacedOrder, decode_order
from restaurant.doors import door_url
from restaurant.launches import find_launch, newest_launch, newest_launches
from restaurant.models import Launch, LaunchChange

_TIMES = {
    "p50": "half of the orders were handled within this time",
    "p95": "95 of 100 orders were handled within this time",
    "p99": "99 of 100 orders were handled within this time",
}
#: The counters of a version by their keys in a frame, and what each means.
COUNTERS = {
    "orders": "orders in this version's sample",
    "pairs": "orders with a result from both the control and this version",
    "handled": "orders it handled",
    "failed": "orders on which it raised an error",
    "missing": "orders without an answer when the deadline had passed",
    "waiting": "orders it still has time to answer",
    "late": "answers after the deadline",
    "repeats": "answers received more than once; the first one counts",
    **_TIMES,
}
#: Changes of the launch on the board, and on their own page.
_CHANGES = 3
_ALL_CHANGES = 200
#: Launches to switch to.
_LAUNCHES = 12


@require_safe
@never_cache
@board_access
def board(request: HttpRequest) -> HttpResponse:
    """The board, complete before its socket opens."""
    launch = asked_launch(request)
    if launch is None:
        return render(request, "dashboard/none.html")
    asked = request.GET.get("version", "")
    state = board_state(launch, _filter(request), version=asked)
    user = request.user
    return render(
        request,
        "dashboard/board.html",
        {
            "launch": launch,
            "frame": frame_fields(state),
            "parts": render_parts(launch, state, is_pinned=bool(request.GET.get("launch"))),
            "may_review": may_review(user),
            "may_require": may(user, REQUIRE),
            "may_launch": may(user, CHANGE_LAUNCH),
            "here": request.get_full_path(),
            "filters": list(Filter),
            "changes": newest_changes(launch, _CHANGES),
            "launches": newest_launches()[:_LAUNCHES],
            **_without_script(request, launch, state),
        },
    )


@require_safe
@never_cache
@board_access
def board_order(request: HttpRequest, order_id: str) -> HttpResponse:
    """One order: every version's timeline, the results side by side, and the raw messages."""
    detail = order_detail(order_id)
    if detail is None:
        raise Http404(f"there is no order {order_id}")
    order: ObservedOrder = detail["order"]
    message: str = detail["message"]
    headers = orders.headers(str(order.launch), order.sample)
    seen: list[Observation] = detail["observations"]
    with_result = [one for one in seen if one.result]
    pairs = pairs_of(order.launch, seen, timezone.now())
    placed = _placed(bytes(order.body))
    return render(
        request,
        "dashboard/order.html",
        {
            **detail,
            "placed": placed,
            "timeline": orders.lay_out(detail),
            "compared": with_result,
            "pairs": pairs,
            "result_lines": lay_side_by_side(
                [orders.result(one) for one in with_result],
                {
                    column: pair.marks
                    for column, one in enumerate(with_result)
                    for pair in pairs
                    if pair.version == one.participant.version and pair.has_both_results
                },
            ),
            "sent_message": orders.sent_message(order.order_id, message, headers),
            "events": [(one, orders.event(order, one)) for one in seen],
            "curl": orders.curl(
                placed.items,
                placed.note,
                url=request.build_absolute_uri(door_url("api_orders")),
            )
            if placed
            else "",
            "amqp_publish": orders.amqp_publish(message, headers),
            "dark_again": orders.to_dark(message, str(order.launch), order.sample),
        },
    )


def _placed(body: bytes) -> PlacedOrder | None:
    """The order placed; None if the message is not one of the contract, or not stored."""
    try:
        return decode_order(body)
    except MessageError:
        return None


def _without_script(request: HttpRequest, launch: Launch, state: Json) -> Json:
    """The counters, and the newest or found orders, as tables for readers without JavaScript."""
    query = request.GET.get("q", "").strip()[:SEARCH_LENGTH]
    names = [name for name in (launch.control, state["version"]) if name]
    rows = find_rows(launch, query) if query else state["rows"]
    return {
        "query": query,
        "plain_names": names,
        "plain_orders": [_plain_order(row, names) for row in rows],
        "columns": [(key, meaning, key in _TIMES) for key, meaning in COUNTERS.items()],
        "counters": [
            (
                one["name"],
                [
                    (key, (wording.duration if key in _TIMES else wording.count)(one[key]))
                    for key in COUNTERS
                ],
            )
            for one in state["versions"]
        ],
    }


def _plain_order(row: Json, names: list[str]) -> Json:
    cells = [row["cells"][name] for name in names if name in row["cells"]]
    pairs = [cell["pair"] for cell in cells if cell["pair"]]
    return {
        **row,
        "cells": [_plain_cell(cell) for cell in cells],
        "differs": ", ".join(path for pair in pairs for path in pair["differs"]),
    }


def _plain_cell(cell: Json) -> str:
    text = wording.duration(cell["ms"]) if cell["state"] == State.HANDLED else cell["state"]
    return f"{text}: {cell['error']}" if cell["error"] else text


def _filter(request: HttpRequest) -> Filter:
    try:
        return Filter(request.GET.get("filter", Filter.ALL))
    except ValueError:
        return Filter.ALL


@require_safe
@never_cache
@board_access
def launch_series(request: HttpRequest, launch: UUID, by: str) -> JsonResponse:
    """The points of the charts over an hour or the whole launch, for the board's script."""
    found = find_launch(launch)
    if found is None or by not in list(Range):
        raise Http404("there is no such launch or range")
    return JsonResponse(longer_series(found, Range(by), timezone.now()))


@require_safe
@board_access
def how(request: HttpRequest) -> HttpResponse:
    """How the verdict is computed, with an anchor for each number."""
    return render(request, "dashboard/how.html")


def asked_launch(request: HttpRequest) -> Launch | None:
    """The launch that is asked for, else the newest; None if there is none. Raises Http404."""
    asked = request.GET.get("launch", "")
    if not asked:
        return newest_launch()
    try:
        launch = find_launch(UUID(asked))
    except ValueError:
        raise Http404(f"{asked} is not a launch's id") from None
    if launch is None:
        raise Http404(f"there is no launch {asked}")
    return launch


def newest_changes(launch: Launch, most: int) -> list[LaunchChange]:
    """The newest changes of a launch."""
    return list(launch.changes.all()[:most])


@require_safe
@never_cache
@board_access
def launch_changes(request: HttpRequest, launch: UUID) -> HttpResponse:
    """Every change of a launch, newest first."""
    found = find_launch(launch)
    if found is None:
        raise Http404("there is no such launch")
    changes = newest_changes(found, _ALL_CHANGES + 1)
    more = len(changes) > _ALL_CHANGES
    context = {"launch": found, "changes": changes[:_ALL_CHANGES], "more": more}
    return render(request, "dashboard/launch_changes.html", context)
