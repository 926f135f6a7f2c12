"""What is required of a launch's candidates: read by whoever may watch, set by whoever may."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard.access import REQUIRE, access_by, board_access, may
from dashboard.pages.requirement_forms import WORDS, RequirementsForm, shown
from dashboard.reviewing.requirements import (
    RequirementsChanged,
    changes,
    newest,
    set_requirements,
)
from dashboard.verdict.evaluation import requirements_of
from restaurant.launches import find_launch
from restaurant.models import Launch

#: Settings that are listed.
_CHANGES = 100
_CHANGED = (
    "Not saved: changed by someone else since you opened this page, see below. Save again to"
    " overwrite."
)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@board_access
def requirements(request: HttpRequest, launch: UUID) -> HttpResponseBase:
    """The lines of a launch, who set them and why, and the form for whoever may set them."""
    found = find_launch(launch)
    if found is None:
        raise Http404("there is no such launch")
    if request.method == "POST":
        return _set(request, found)
    form = RequirementsForm.of(requirements_of(launch), seen=newest(launch))
    return _page(request, found, form)


@access_by(REQUIRE)
def _set(request: HttpRequest, launch: Launch) -> HttpResponse:
    form = RequirementsForm(request.POST)
    if not form.is_valid():
        return _page(request, launch, form)
    try:
        set_requirements(
            launch.id,
            form.required,
            author=request.user.get_username(),
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
            seen=form.cleaned_data["seen"],
        )
    except RequirementsChanged:
        form = RequirementsForm(request.POST.dict() | {"seen": str(newest(launch.id))})
        form.add_error(None, _CHANGED)
        return _page(request, launch, form)
    return redirect("requirements", launch=launch.id)


def _page(request: HttpRequest, launch: Launch, form: RequirementsForm) -> HttpResponse:
    required = requirements_of(launch.id)
    context = {
        "launch": launch,
        "form": form,
        "may_require": may(request.user, REQUIRE),
        "lines": [
            (about, what, shown(name, getattr(required, name)))
            for name, (about, what) in WORDS.items()
        ],
        "changes": [
            (
                change,
                [(WORDS[name][0], shown(name, a), shown(name, b)) for name, a, b in change.lines],
            )
            for change in changes(launch.id, _CHANGES)
        ],
    }
    status = 422 if form.errors else 200
    return render(request, "dashboard/requirements.html", context, status=status)
