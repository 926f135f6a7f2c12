"""The dashboard's pages: the board as it stands when it is asked for, and one order."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_htmx.http import replace_url

from dashboard.access import REQUIRE, board_access, may, may_review
from dashboard.board import paint, paint_findings, paint_lanes, wording
from dashboard.board.frame import build_frame
from dashboard.board.lenses import Lens
from dashboard.board.lights import lights
from dashboard.board.paint_matrix import matrix
from dashboard.board.paint_verdict import blank_line, verdict_line
from dashboard.board.rows import find_rows
from dashboard.board.stories import order_story
from dashboard.pages import again, timeline
from dashboard.pages.launches import asked_launch, newest_changes
from dashboard.pages.order_pairs import pairs_of
from dashboard.pages.side_by_side import lay_side_by_side
from restaurant.models import Launch

_SEARCH_LENGTH = 60
#: Changes of the launch that the board shows.
_CHANGES = 3


@require_safe
@never_cache
@board_access
def board(request: HttpRequest) -> HttpResponse:
    """The whole board, complete before any socket opens."""
    launch = asked_launch(request)
    if launch is None:
        return render(request, "dashboard/none.html")
    asked = request.GET.get("version", "")
    frame = build_frame(launch, _lens(request), version=asked, with_series=True)
    return render(
        request,
        "dashboard/board.html",
        {
            "launch": launch,
            "frame": frame,
            "running": _running(launch),
            "blank_row": paint_lanes.blank_row(with_dark=len(frame["versions"]) > 1),
            "matrix": matrix(frame["matrix"], launch.control, frame["version"]),
            "findings": paint_findings.findings(frame),
            "blank_finding": paint_findings.blank_finding(),
            "may_review": may_review(request.user),
            "may_require": may(request.user, REQUIRE),
            "here": request.get_full_path(),
            "columns": paint.COLUMNS,
            "times": paint.TIMES,
            "versions": paint.versions(frame),
            "headline": paint.headline(frame),
            "verdict": verdict_line(frame) or blank_line(),
            "lights": lights(frame),
            "rate": wording.rate(frame["rate"]),
            "changes": newest_changes(launch, _CHANGES),
            **_lanes(request, launch, frame),
        },
    )


@require_safe
@never_cache
@board_access
def board_lanes(request: HttpRequest) -> HttpResponse:
    """The lanes alone, through another lens, for another version, or searched."""
    here = {key: value for key, value in request.GET.items() if value}
    page = reverse("board") + (f"?{urlencode(here)}" if here else "")
    launch = asked_launch(request)
    if launch is None or "HX-Request" not in request.headers:
        return redirect(page)
    asked = request.GET.get("version", "")
    frame = build_frame(launch, _lens(request), version=asked, with_series=False)
    context = {"launch": launch, **_lanes(request, launch, frame)}
    return replace_url(render(request, "dashboard/_lanes.html", context), page)


@require_safe
@never_cache
@board_access
def board_order(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """One order: the timeline of every version, both results, and the raw messages."""
    story = order_story(uuid)
    if story is None:
        raise Http404(f"there is no order {uuid}")
    launch = str(story["launch"].id) if story["launch"] else ""
    headers = again.headers(launch, story["sample"])
    seen = story["observations"]
    with_result = [one for one in seen if one.result]
    pairs = pairs_of(story["launch"].id, seen, timezone.now()) if story["launch"] else []
    return render(
        request,
        "dashboard/order.html",
        {
            **story,
            "timeline": timeline.lay_out(story),
            "compared": with_result,
            "pairs": pairs,
            "result_lines": lay_side_by_side(
                [again.result(one) for one in with_result],
                {
                    column: pair.marks
                    for column, one in enumerate(with_result)
                    for pair in pairs
                    if pair.version == one.version and pair.has_both_results
                },
            ),
            "sent_message": again.sent_message(str(uuid), story["message"], headers),
            "events": [(one, again.event(one)) for one in seen],
            "curl": again.curl(
                story["lines"],
                story["order"].note,
                url=request.build_absolute_uri(reverse("api_orders")),
            ),
            "amqp_publish": again.amqp_publish(story["message"], headers),
            "dark_again": again.to_dark(story["message"], launch, story["sample"]),
        },
    )


def _lanes(request: HttpRequest, launch: Launch, frame: dict[str, Any]) -> dict[str, Any]:
    query = request.GET.get("q", "").strip()[:_SEARCH_LENGTH]
    rows = find_rows(launch, query) if query else frame["rows"]
    return {
        "lanes": paint_lanes.lanes(rows, frame["versions"], frame["version"]),
        "lens": frame["lens"],
        "lenses": list(Lens),
        "query": query,
        "looked_at": frame["looked_at"] and wording.count(frame["looked_at"]),
        "total": wording.count(frame["orders"]),
    }


def _lens(request: HttpRequest) -> Lens:
    try:
        return Lens(request.GET.get("lens", Lens.ALL))
    except ValueError:
        return Lens.ALL


def _running(launch: Launch) -> str:
    ended = launch.ended_at or timezone.now()
    return wording.age((ended - launch.started_at).total_seconds())
