"""The pages of launches: the list, one launch with its timeline, and two side by side."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.access import CHANGE_LAUNCH, DECIDE, START_LAUNCH, board_access, may
from dashboard.launches.comparison import Fact, discrepancies, threshold_values, version_facts
from dashboard.launches.listing import ON_A_PAGE, bad_releases_stopped, every_launch, listed
from dashboard.launches.sheet import versions_of
from dashboard.launches.timeline import timeline
from dashboard.pages.launch_forms import SharesForm
from dashboard.pages.thresholds import WORDS, shown
from restaurant.launches import find_launch, newest_change
from restaurant.models import Launch

#: Launches to choose from when two are compared.
_TO_CHOOSE = 100


@require_safe
@never_cache
@board_access
def launches(request: HttpRequest) -> HttpResponse:
    """The launches, the open one first, then the newest."""
    page = Paginator(every_launch(), ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "listed": listed(list(page.object_list)),
        "stopped": bad_releases_stopped(),
        "may_start": may(request.user, START_LAUNCH),
    }
    return render(request, "dashboard/launches.html", context)


@require_safe
@never_cache
@board_access
def launch(request: HttpRequest, launch: UUID) -> HttpResponse:
    """One launch: its versions, what can be done, and its timeline."""
    found = launch_or_404(launch)
    return launch_page(request, found, SharesForm(found))


def launch_page(request: HttpRequest, found: Launch, form: SharesForm) -> HttpResponse:
    """The page with a form of percents."""
    (row,) = listed([found])
    is_open = found.ended_at is None
    may_change = is_open and may(request.user, CHANGE_LAUNCH)
    before = _before(request)
    context: dict[str, Any] = {
        "launch": found,
        "row": row,
        "versions": [
            (one, form.share_field(one.name) if may_change and one.listed else None)
            for one in versions_of(row)
        ],
        "form": form,
        "newest_change": newest_change(found.pk),
        "may_change": may_change,
        "may_decide": may(request.user, DECIDE),
        "may_start": not is_open and may(request.user, START_LAUNCH),
        "page": timeline(found, before),
        "before": before,
    }
    return render(request, "dashboard/launch.html", context, status=422 if form.errors else 200)


@require_safe
@never_cache
@board_access
def launches_compare(request: HttpRequest) -> HttpResponse:
    """Two launches side by side; by default the two newest."""
    known = list(every_launch()[:_TO_CHOOSE])
    asked = [_asked(request, side) for side in ("a", "b")]
    newest = [one for one in known if one not in asked]
    b, a = (one or (newest.pop(0) if newest else None) for one in reversed(asked))
    context: dict[str, Any] = {"known": known, "a": a, "b": b}
    if a is not None and b is not None:
        sides = listed([a, b])
        context |= {
            "sides": sides,
            "versions": version_facts(*sides),
            "thresholds": [
                Fact(f"{WORDS[name][0]}: {WORDS[name][1]}", shown(name, x), shown(name, y))
                for name, x, y in threshold_values(*sides)
            ],
            "found": discrepancies(*sides),
        }
    return render(request, "dashboard/launches_compare.html", context)


def _asked(request: HttpRequest, side: str) -> Launch | None:
    text = request.GET.get(side, "")
    try:
        return launch_or_404(UUID(text)) if text else None
    except ValueError:
        raise Http404(f"{text} is not a launch's id") from None


def launch_or_404(launch: UUID) -> Launch:
    """A launch with its dark versions."""
    found = find_launch(launch)
    if found is None:
        raise Http404("there is no such launch")
    return found


def _before(request: HttpRequest) -> datetime | None:
    """The time before which the timeline is asked for; None for the newest."""
    try:
        return datetime.fromisoformat(request.GET["before"]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return None
