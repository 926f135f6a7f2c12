"""Which launch a page is about, and the page of who changed it."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.access import board_access
from restaurant.launches import find_launch, newest_launch
from restaurant.models import Launch, LaunchChange

#: Changes on one page.
_CHANGES = 200


def asked_launch(request: HttpRequest) -> Launch | None:
    """The launch that a page is to show; None while there is none. Raises Http404."""
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
    changes = newest_changes(found, _CHANGES + 1)
    context = {"launch": found, "changes": changes[:_CHANGES], "more": len(changes) > _CHANGES}
    return render(request, "dashboard/launch_changes.html", context)
