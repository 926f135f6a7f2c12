"""The pages on which orders are sent again to one version, and seen to agree or not."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from dashboard.access import REPLAY, access_by, board_access, may_review
from dashboard.models import Discrepancy, Replay
from dashboard.pages.replay_pages import page_context
from dashboard.reviewing.replays import ReplayRefused, request_replay
from restaurant.launches import open_launch

_REVISION_DIGITS = 9


@require_POST
@access_by(REPLAY)
def replay_new(request: HttpRequest, pk: int) -> HttpResponse:
    """Have the orders of a discrepancy sent again, and go to what becomes of them."""
    found = get_object_or_404(Discrepancy, pk=pk)
    revision = request.POST.get("revision", "")
    launch = open_launch()
    try:
        if launch is None:
            raise ReplayRefused("No launch is open: there is no version to send orders to.")
        if not (revision.isascii() and revision.isdigit() and len(revision) <= _REVISION_DIGITS):
            raise ReplayRefused("This page is out of date. Load it again.")
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
    """What became of the orders of a replay, apart from all live numbers."""
    found = get_object_or_404(Replay.objects.select_related("discrepancy"), pk=pk)
    context = page_context(found, request.GET.get("show", ""), timezone.now())
    context["may_review"] = may_review(request.user)
    return render(request, "dashboard/replay.html", context)
