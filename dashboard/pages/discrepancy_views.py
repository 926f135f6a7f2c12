"""The list of discrepancies, and the page of one."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.access import board_access
from dashboard.models import Discrepancy
from dashboard.pages.discrepancy_forms import ListForm
from dashboard.pages.discrepancy_pages import (
    launch_of,
    list_context,
    list_rows,
    newest_orders,
    page_context,
)
from dashboard.reviewing.exports import Format, export


@require_safe
@never_cache
@board_access
def discrepancies(request: HttpRequest) -> HttpResponse:
    """What differs in a launch, by weight; the table alone when htmx asks for it."""
    part = request.headers.get("HX-Target") == "discrepancies"
    template = "dashboard/_listed.html" if part else "dashboard/discrepancies.html"
    context = {**list_context(request.GET, request.user), "part": part}
    response = render(request, template, context)
    response.headers["Vary"] = "HX-Target, Cookie"
    if part:
        response.headers["HX-Replace-Url"] = context["here"]
    return response


@require_safe
@never_cache
@board_access
def discrepancies_export(request: HttpRequest, kind: str) -> HttpResponseBase:
    """What the list shows, as a file."""
    form = ListForm(request.GET)
    launch = launch_of(form)
    if launch is None:
        raise Http404("there is no launch yet")
    try:
        wanted = Format(kind)
    except ValueError:
        raise Http404(f"there is no export as {kind}") from None
    return export(list_rows(form, launch), wanted)


@require_safe
@never_cache
@board_access
def discrepancy(request: HttpRequest, pk: int) -> HttpResponse:
    """What differs, how often, in which orders, and who decided what."""
    found = get_object_or_404(Discrepancy, pk=pk)
    return render(request, "dashboard/discrepancy.html", page_context(found, request.user))


@require_safe
@never_cache
@board_access
def discrepancy_orders(request: HttpRequest, pk: int) -> HttpResponse:
    """The newest orders that show a discrepancy: a part of its page, or a page of its own."""
    found = get_object_or_404(Discrepancy, pk=pk)
    context = {"discrepancy": found, "orders": newest_orders(found)}
    return _part(request, "dashboard/_newest_orders.html", context)


@require_safe
@never_cache
@board_access
def discrepancy_replays(request: HttpRequest, pk: int) -> HttpResponse:
    """What was sent again for a discrepancy, and how to: a part of its page, or one of its own."""
    found = get_object_or_404(Discrepancy, pk=pk)
    return _part(request, "dashboard/_replays.html", {"discrepancy": found})


def _part(request: HttpRequest, part: str, context: dict[str, Any]) -> HttpResponse:
    if "HX-Request" in request.headers:
        return render(request, part, context)
    return render(request, "dashboard/discrepancy_part.html", {**context, "part": part})
