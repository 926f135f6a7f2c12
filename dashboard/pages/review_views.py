"""A decision on discrepancies, taken on their list, on the page of one, or on the board."""

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

from dashboard.access import review_access
from dashboard.domain.decision import Decision
from dashboard.models import Discrepancy
from dashboard.pages.discrepancy_forms import ReviewForm
from dashboard.pages.discrepancy_pages import list_context, page_context, review_context
from dashboard.reviewing.reviews import ReviewConflict, ReviewRefused
from dashboard.reviewing.reviews import review as decide

#: The pages on which it is decided.
_LIST, _PAGE = "discrepancies", "discrepancy"


@require_POST
@review_access
def review(request: HttpRequest) -> HttpResponse:
    """Decide, and show the page that it was decided on as it then is."""
    form = ReviewForm(request.POST)
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
        # What else the page shows of the discrepancy, it then asks for anew.
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
    """The page again, with what was typed, why nothing was written, and how things stand now."""
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
    """The page of this site that the decision came from, as a header can name it, else the list."""
    asked = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(asked, allowed_hosts=None) and asked.startswith("/")
    # What does not survive as text (half a character, a line's end) is no address of ours.
    if not is_ours or any(unicodedata.category(sign) in ("Cc", "Cs") for sign in asked):
        return reverse(_LIST)
    return iri_to_uri(asked) or reverse(_LIST)


def _query(here: str) -> QueryDict:
    return QueryDict(urlsplit(here).query if _is_list(here) else "")


def _is_list(here: str) -> bool:
    return urlsplit(here).path == reverse(_LIST)


def _page_of(here: str) -> int | None:
    """The discrepancy whose page this is."""
    try:
        match = resolve(urlsplit(here).path)
    except Resolver404:
        return None
    return match.kwargs["pk"] if match.url_name == _PAGE else None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
