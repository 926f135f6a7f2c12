"""Decisions on discrepancies: from their list, from the page of one, or from the board."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import Resolver404, resolve, reverse
from django.utils.encoding import iri_to_uri
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from dashboard.access import REVIEW, access_by
from dashboard.comparison.outcome import Decision
from dashboard.models import Discrepancy
from dashboard.pages.discrepancies import list_context, page_context, review_context
from dashboard.pages.discrepancy_forms import ReviewForm
from dashboard.review.reviews import ReviewConflict, ReviewRefused
from dashboard.review.reviews import review as decide
from restaurant.path_prefix import below_prefix

_LIST, _PAGE = "discrepancies", "discrepancy"


@require_POST
@access_by(REVIEW)
def review(request: HttpRequest) -> HttpResponse:
    """Decide, and show the page that the decision came from again."""
    form = ReviewForm(request.POST, request.GET.getlist("seen"))
    here = _here(request)
    if not form.is_valid():
        return _refused(request, form, here, status=422)
    try:
        decide(
            form.seen,
            Decision(form.cleaned_data["decision"]),
            note=form.cleaned_data["note"],
            author=request.user.get_username(),
            replay=form.cleaned_data["replay"],
        )
    except ReviewRefused as refused:
        form.add_error(None, _sentence(str(refused)))
        return _refused(request, form, here, status=422)
    except ReviewConflict as conflict:
        return _refused(request, form, here, status=409, changed=conflict.changed)
    return _done(request, here)


def _done(request: HttpRequest, here: str) -> HttpResponse:
    if "HX-Request" not in request.headers:
        return HttpResponse(status=303, headers={"Location": here})
    target = request.headers.get("HX-Target", "")
    if target == "discrepancies":
        context = {**list_context(_query(here), request.user), "part": True}
        return render(request, "dashboard/_listed.html", context)
    if target == "review":
        found = get_object_or_404(Discrepancy, pk=_page_of(here))
        context = {**review_context(found, request.user), "part": True}
        answer = render(request, "dashboard/_reviewing.html", context)
        # The page reloads its other parts on this.
        answer.headers["HX-Trigger"] = "reviewed"
        return answer
    return HttpResponse(status=204)


def _refused(
    request: HttpRequest,
    form: ReviewForm,
    here: str,
    *,
    status: int,
    changed: Sequence[Discrepancy] = (),
) -> HttpResponse:
    """The current page again, with what was typed and why it was not saved."""
    target = request.headers.get("HX-Target", "")
    pk = _page_of(here) or (changed[0].pk if changed and not _is_list(here) else None)
    if pk is None:
        part = target == "discrepancies"
        template = "dashboard/_listed.html" if part else "dashboard/discrepancies.html"
        context = list_context(_query(here), request.user, form, changed)
    else:
        part = target == "review"
        template = "dashboard/_reviewing.html" if part else "dashboard/discrepancy.html"
        build = review_context if part else page_context
        context = build(get_object_or_404(Discrepancy, pk=pk), request.user, form, changed)
    return render(request, template, {**context, "part": part}, status=status)


def _here(request: HttpRequest) -> str:
    """The page of this site that the decision came from, safe for a header; else the list."""
    asked = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(asked, allowed_hosts=None) and asked.startswith("/")
    # Line breaks and lone surrogates are in no address of ours.
    if not is_ours or any(unicodedata.category(sign) in ("Cc", "Cs") for sign in asked):
        return reverse(_LIST)
    return iri_to_uri(asked) or reverse(_LIST)


def _query(here: str) -> QueryDict:
    return QueryDict(urlsplit(here).query if _is_list(here) else "")


def _is_list(here: str) -> bool:
    return urlsplit(here).path == reverse(_LIST)


def _page_of(here: str) -> int | None:
    try:
        match = resolve(below_prefix(urlsplit(here).path))
    except Resolver404:
        return None
    return match.kwargs["pk"] if match.url_name == _PAGE else None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
