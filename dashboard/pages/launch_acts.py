"""What people do with a launch: start it, change percents, stop a version, end it, decide.

Each act is a function of ``restaurant.launches`` or ``dashboard.launches.decisions``, which the
admin and ``manage.py launch`` call as well.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.access import CHANGE_LAUNCH, DECIDE, REQUIRE, START_LAUNCH, access_by, may
from dashboard.board import wording
from dashboard.launches.decisions import (
    DecisionRefused,
    confirm,
    decide,
    needs_second_person,
    newest_steps,
    opposes,
    withdraw,
)
from dashboard.launches.words import candidates_of, words_now
from dashboard.models import DecisionStep, LaunchChoice, LaunchDecision
from dashboard.pages.launch_forms import (
    MOST_CANDIDATES,
    DecideForm,
    EndForm,
    SharesForm,
    StartForm,
    StopForm,
)
from dashboard.pages.launches import launch_or_404, launch_page
from dashboard.pages.thresholds import ThresholdsForm, as_initial
from dashboard.review.thresholds import set_requirements
from dashboard.verdict.evaluation import requirements_of
from dashboard.verdict.thresholds import Requirements
from restaurant.launches import (
    LaunchRefused,
    end_launch,
    newest_launch,
    open_launch,
    set_percent,
    start_launch,
    stop_version,
)
from restaurant.models import DarkVersion, Launch

_PAGE = ["GET", "HEAD", "POST"]
_ROWS = tuple(map(str, range(1, MOST_CANDIDATES + 1)))


@never_cache
@require_http_methods(_PAGE)
@access_by(START_LAUNCH)
def launch_new(request: HttpRequest) -> HttpResponseBase:
    """The form of a new launch, filled with the last one's versions."""
    last = newest_launch()
    if request.method != "POST":
        required = requirements_of(last.pk) if last is not None else Requirements()
        thresholds = ThresholdsForm(initial=as_initial(required))
        return _start_page(request, StartForm.after(last), thresholds)
    rows = int(typed) if (typed := request.POST.get("rows", "")) in _ROWS else 1
    if "more" in request.POST:
        typed_so_far = request.POST.dict()
        form = StartForm(rows=rows + 1, initial=typed_so_far)
        focus = form.rows[-1].version.name
        return _start_page(request, form, ThresholdsForm(initial=typed_so_far), focus=focus)
    form, thresholds = StartForm(request.POST, rows=rows), ThresholdsForm(request.POST)
    sets = may(request.user, REQUIRE)
    if not form.is_valid() or (sets and not thresholds.is_valid()):
        return _start_page(request, form, thresholds)
    author = request.user.get_username()
    try:
        made = start_launch(
            form.cleaned_data["name"],
            form.cleaned_data["control"],
            form.dark,
            author=author,
            reason=form.cleaned_data["reason"],
            plan=form.plan,
        )
    except LaunchRefused as cause:
        form.refuse(cause)
        return _start_page(request, form, thresholds)
    if sets and thresholds.required != Requirements():
        set_requirements(
            made.pk,
            thresholds.required,
            author=author,
            reason=form.cleaned_data["reason"] or "set when the launch was started",
            now=timezone.now(),
            seen=0,
        )
    shares = " and ".join(f"{name} {wording.share(float(share))}" for name, _, share in form.dark)
    messages.success(request, f"{made.name} has started. In the dark, of each order on: {shares}.")
    return redirect("launch", launch=made.pk)


def _start_page(
    request: HttpRequest, form: StartForm, thresholds: ThresholdsForm, *, focus: str = ""
) -> HttpResponse:
    context = {
        "running": open_launch(),
        "form": form,
        "thresholds": thresholds,
        "may_require": may(request.user, REQUIRE),
        "focus": form.first_wrong or focus,
    }
    status = 422 if form.errors or thresholds.errors else 200
    return render(request, "dashboard/launch_new.html", context, status=status)


@require_POST
@access_by(CHANGE_LAUNCH)
def launch_percent(request: HttpRequest, launch: UUID) -> HttpResponse:
    """Change the percents of dark versions."""
    found = launch_or_404(launch)
    form = SharesForm(found, request.POST)
    if not form.is_valid():
        return launch_page(request, found, form)
    said = []
    try:
        for dark, percent in form.changes:
            change = set_percent(found, dark.version, percent, **_by(request, form))
            said.append(str(change))
    except LaunchRefused as cause:
        form.refuse(cause)
        return launch_page(request, found, form)
    text = f"{'; '.join(said)}. It applies from the next order on." if said else "Nothing changed."
    messages.success(request, text)
    return redirect("launch", launch=launch)


@never_cache
@require_http_methods(_PAGE)
@access_by(CHANGE_LAUNCH)
def launch_stop(request: HttpRequest, launch: UUID, version: str) -> HttpResponse:
    """Stop a version: ask for the reason, then set its percent to 0 and purge its queue."""
    found = launch_or_404(launch)
    dark = _dark_version(found, version)
    form = StopForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        purge = form.cleaned_data["purge"]
        try:
            change = stop_version(found, version, **_by(request, form), purge=purge)
        except LaunchRefused as cause:
            form.refuse(cause)
        else:
            was = "Stopped" if change is not None else "Already stopped"
            text = f"{was}: {version} gets no orders."
            if purge:
                text += " The relay purges its queue within seconds if the broker can be reached."
            messages.success(request, text)
            return redirect("launch", launch=launch)
    return _act_page(request, "stop", found, form, dark=dark)


@never_cache
@require_http_methods(_PAGE)
@access_by(CHANGE_LAUNCH)
def launch_end(request: HttpRequest, launch: UUID) -> HttpResponse:
    """End a launch: ask for the reason, then end it."""
    found = launch_or_404(launch)
    form = EndForm(request.POST if request.method == "POST" else None)
    if found.ended_at is None and not form.is_valid():
        return _act_page(request, "end", found, form)
    if found.ended_at is None and end_launch(found, **_by(request, form)):
        text = f"{found.name} has ended. The verdicts are final once its last orders are counted."
        messages.success(request, text)
    else:
        messages.warning(request, "This launch has already ended.")
    return redirect("launch", launch=launch)


@never_cache
@require_http_methods(_PAGE)
@access_by(DECIDE)
def launch_decide(request: HttpRequest, launch: UUID, version: str) -> HttpResponse:
    """Decide on a candidate, or confirm or withdraw what somebody has proposed."""
    found = launch_or_404(launch)
    if version not in candidates_of(found):
        raise Http404("there is no such candidate")
    form = DecideForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = _decide(request, found, version, form)
        except DecisionRefused as cause:
            form.refuse(cause)
        else:
            messages.success(request, _decided(made))
            return redirect("launch", launch=launch)
    spoken = words_now(found)[version]
    step = newest_steps([launch]).get((launch, version))
    context = {
        "version": version,
        "spoken": spoken,
        "step": step,
        "is_own": step is not None and step.author == request.user.get_username(),
        "choices": [(one, opposes(one, spoken.word)) for one in LaunchChoice],
        "needs_second": needs_second_person(),
    }
    return _act_page(request, "decide", found, form, **context)


def _decide(request: HttpRequest, launch: Launch, version: str, form: DecideForm) -> LaunchDecision:
    act, by = form.cleaned_data["act"], {**_by(request, form), "now": timezone.now()}
    if act == "confirm":
        return confirm(launch, version, **by)
    if act == "withdraw":
        return withdraw(launch, version, **by)
    return decide(launch, version, LaunchChoice(act), **by)


def _decided(made: LaunchDecision) -> str:
    against = " against the verdict" if made.opposed else ""
    return {
        DecisionStep.PROPOSED: f"Proposed to {made.choice} {made.version}{against}. It counts once"
        " a second person has confirmed it.",
        DecisionStep.WITHDRAWN: f"Withdrawn: no decision on {made.version}.",
        DecisionStep.DECIDED: f"Decided to {made.choice} {made.version}{against}.",
    }[DecisionStep(made.step)]


def _act_page(
    request: HttpRequest, act: str, launch: Launch, form: EndForm, **context: Any
) -> HttpResponse:
    """The page that asks for a reason and a confirmation."""
    whole = {"launch": launch, "form": form, **context}
    status = 422 if form.errors else 200
    return render(request, f"dashboard/launch_{act}.html", whole, status=status)


def _dark_version(launch: Launch, version: str) -> DarkVersion:
    found = next((one for one in launch.dark_versions.all() if one.version == version), None)
    if found is None:
        raise Http404("there is no such dark version")
    return found


def _by(request: HttpRequest, form: EndForm) -> dict[str, Any]:
    return {"author": request.user.get_username(), "reason": form.cleaned_data["reason"]}
