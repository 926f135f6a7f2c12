"""The page that says of every number of the verdict how it was computed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboard.access import board_access


@require_safe
@board_access
def how(request: HttpRequest) -> HttpResponse:
    """Plain words, with an anchor for each number."""
    return render(request, "dashboard/how.html")
