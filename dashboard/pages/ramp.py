"""The pages of a launch's ramp plans and of its guards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import floor
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard.access import CHANGE_LAUNCH, access_by, board_access, may
from dashboard.board import wording
from dashboard.launches import guards, ramp
from dashboard.launches.guards import GuardRefused
from dashboard.launches.ramp import PRESET, Position, RampRefused, Step, read_steps
from dashboard.models import Guard, GuardAction, RampChange, RampPlan, RampState
from dashboard.pages.launches import launch_or_404
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion, Launch

_REASON = "Enter a reason."
#: Changes of plans, and actions of guards, that are listed.
_LISTED = 100
#: Longer than any plan.
_MAX_STEPS_TEXT = 4000
_NOT_A_CANDIDATE = "There is no such candidate in this launch."


class ReasonForm(forms.Form):
    """Why somebody does something; kept with it."""

    reason = forms.CharField(max_length=500, error_messages={"required": _REASON})


class PlanForm(ReasonForm):
    """The steps of a new plan."""

    steps = forms.CharField(
        max_length=_MAX_STEPS_TEXT,
        error_messages={"required": "Enter at least one step."},
        widget=forms.Textarea,
    )

    def clean_steps(self) -> tuple[Step, ...]:
        """Read the steps."""
        try:
            return read_steps(self.cleaned_data["steps"])
        except RampRefused as refusal:
            message = str(refusal)
            raise forms.ValidationError(f"{message[:1].upper()}{message[1:]}.") from refusal


class ShownStep(NamedTuple):
    """A step in the list: done, current or to come."""

    text: str
    status: str


class Progress(NamedTuple):
    """How much of a condition of the current step is reached."""

    what: str
    reached: float
    needed: float
    text: str


class Candidate(NamedTuple):
    """A candidate with its plan, and the forms for what can be done with it."""

    version: str
    percent: str
    plan: RampPlan | None
    state: str
    is_open: bool
    steps: list[ShownStep]
    progress: list[Progress]
    guard: GuardAction | None
    forms: dict[str, ReasonForm]


def _set(request: HttpRequest, launch: Launch, version: str, given: dict[str, Any]) -> None:
    ramp.set_plan(
        launch,
        version,
        given["steps"],
        author=request.user.get_username(),
        reason=given["reason"],
        now=timezone.now(),
    )


def _with_plan(
    act: Callable[..., None], *, with_launch: bool = False
) -> Callable[[HttpRequest, Launch, str, dict[str, Any]], None]:
    def run(request: HttpRequest, launch: Launch, version: str, given: dict[str, Any]) -> None:
        plan = ramp.open_plan(launch.pk, version)
        if plan is None or str(plan.pk) != request.POST.get("plan"):
            raise RampRefused("this plan is over; look at it again")
        more = (launch,) if with_launch else ()
        author = request.user.get_username()
        act(plan, *more, author=author, reason=given["reason"], now=timezone.now())

    return run


#: What can be done with a plan, each with its form.
_ACTS: dict[str, tuple[type[ReasonForm], Callable[..., None]]] = {
    "set": (PlanForm, _set),
    "pause": (ReasonForm, _with_plan(ramp.pause)),
    "resume": (ReasonForm, _with_plan(ramp.resume, with_launch=True)),
    "cancel": (ReasonForm, _with_plan(ramp.cancel)),
}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@board_access
def ramp_plan(request: HttpRequest, launch: UUID) -> HttpResponseBase:
    """The ramp plan of each candidate of a launch."""
    found = launch_or_404(launch)
    if request.method == "POST":
        return _change_plan(request, found)
    return _ramp_page(request, found, {})


@access_by(CHANGE_LAUNCH)
def _change_plan(request: HttpRequest, launch: Launch) -> HttpResponse:
    act, version = request.POST.get("act", ""), request.POST.get("version", "")
    if act not in _ACTS or version not in _candidates(launch):
        raise Http404(_NOT_A_CANDIDATE)
    kind, run = _ACTS[act]
    form = kind(request.POST, prefix=f"{act}-{version}")
    if form.is_valid():
        try:
            run(request, launch, version, form.cleaned_data)
        except RampRefused as refusal:
            form.add_error(None, f"Not done: {refusal}.")
        else:
            return redirect(f"{reverse('ramp', args=[launch.pk])}#{version}")
    return _ramp_page(request, launch, {(version, act): form}, status=422)


def _ramp_page(
    request: HttpRequest,
    launch: Launch,
    given: dict[tuple[str, str], ReasonForm],
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    changes = RampChange.objects.filter(plan__launch=launch.pk).select_related("plan")
    context = {
        "launch": launch,
        "may_launch": may(request.user, CHANGE_LAUNCH),
        "candidates": [
            _candidate(launch, dark, given, now) for dark in _candidates(launch).values()
        ],
        "changes": [
            (change, _named(ramp.position_of(change.plan), change.step))
            for change in changes[:_LISTED]
        ],
    }
    return render(request, "dashboard/ramp.html", context, status=status)


def _candidate(
    launch: Launch,
    dark: DarkVersion,
    given: dict[tuple[str, str], ReasonForm],
    now: datetime,
) -> Candidate:
    version = dark.version
    plan = RampPlan.objects.filter(launch=launch.pk, version=version).first()
    is_open = plan is not None and plan.state in (RampState.RUNNING, RampState.PAUSED)
    acts = ["set"]
    if plan is not None and is_open:
        acts = ["resume", "cancel"] if plan.state == RampState.PAUSED else ["pause", "cancel"]
    position = ramp.position_of(plan) if plan is not None else None
    return Candidate(
        version=version,
        percent=wording.unbroken(f"{dark.percent.normalize():f} %"),
        plan=plan,
        state=_named(position, position.step) if position is not None else "",
        is_open=is_open,
        steps=_shown_steps(position) if position is not None else [],
        progress=_progress(position, ramp.answered(launch.pk, version), now)
        if position is not None and position.state is RampState.RUNNING
        else [],
        guard=guards.unacknowledged(launch.pk, version).first(),
        forms={act: given.get((version, act)) or _empty(act, version) for act in acts},
    )


def _empty(act: str, version: str) -> ReasonForm:
    initial = {"steps": "\n".join(map(str, PRESET))} if act == "set" else {}
    return _ACTS[act][0](prefix=f"{act}-{version}", initial=initial)


def _named(plan: Position, step: int) -> str:
    percent = plan.steps[step].shown_percent
    return wording.unbroken(f"step {step + 1} of {len(plan.steps)}: {percent}")


def _shown_steps(plan: Position) -> list[ShownStep]:
    current = len(plan.steps) if plan.state is RampState.FINISHED else plan.step
    return [
        ShownStep(
            wording.unbroken(str(step)),
            "done" if number < current else "to come" if number > current else "current",
        )
        for number, step in enumerate(plan.steps)
    ]


def _progress(plan: Position, answered: int, now: datetime) -> list[Progress]:
    found, step = [], plan.current
    if step.orders:
        orders = min(max(0, answered - plan.orders_before), step.orders)
        found.append(
            Progress("orders", orders, step.orders, f"{orders:,} of {step.orders:,} orders")
        )
    if step.minutes:
        minutes = min((now - plan.since).total_seconds() / 60, step.minutes)
        text = f"{floor(minutes * 10) / 10:g} of {step.minutes:g} minutes"
        found.append(Progress("minutes", minutes, step.minutes, text))
    return found


# Guards.

#: What each guard acts on, and its setting.
_GUARDS = {
    Guard.WORSE: ("GUARD_WORSE", "The verdict on the candidate is worse."),
    Guard.QUEUE_FULL: ("GUARD_QUEUE_FULL", "The candidate's queue is full and drops orders."),
    Guard.CONTROL_SLOWED: (
        "GUARD_CONTROL_SLOWED",
        "The control became slower when the candidate's percent rose.",
    ),
}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@board_access
def launch_guards(request: HttpRequest, launch: UUID) -> HttpResponseBase:
    """What guards did in a launch, and the form to acknowledge it."""
    found = launch_or_404(launch)
    if request.method == "POST":
        return _acknowledge(request, found)
    return _guards_page(request, found, {})


@access_by(CHANGE_LAUNCH)
def _acknowledge(request: HttpRequest, launch: Launch) -> HttpResponse:
    action = request.POST.get("action", "")
    if not action.isascii() or not action.isdigit() or len(action) > 18:
        raise Http404("There is no such action of a guard.")
    pk = int(action)
    form = ReasonForm(request.POST, prefix=f"acknowledge-{pk}")
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        author = request.user.get_username()
        try:
            guards.acknowledge(pk, launch.pk, author=author, reason=reason, now=timezone.now())
        except GuardRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            return redirect(f"{reverse('guards', args=[launch.pk])}#action-{pk}")
    return _guards_page(request, launch, {pk: form}, status=422)


def _guards_page(
    request: HttpRequest, launch: Launch, given: dict[int, ReasonForm], status: int = 200
) -> HttpResponse:
    actions = list(GuardAction.objects.filter(launch=launch.pk)[:_LISTED])
    open_ones = [one for one in actions if one.acknowledged_at is None]
    is_on = guards.are_on()
    context = {
        "launch": launch,
        "may_launch": may(request.user, CHANGE_LAUNCH),
        "settings": [
            (guard, what, setting, is_on[guard]) for guard, (setting, what) in _GUARDS.items()
        ],
        "slowed_percent": settings.ENVIRONMENT.guard_slowed_percent,
        "slowed_orders": settings.ENVIRONMENT.guard_slowed_orders,
        "open": [
            (one, given.get(one.pk) or ReasonForm(prefix=f"acknowledge-{one.pk}"))
            for one in open_ones
        ],
        "refused": [
            form.non_field_errors()[0]
            for pk, form in given.items()
            if pk not in {one.pk for one in open_ones} and form.non_field_errors()
        ],
        "done": [one for one in actions if one.acknowledged_at is not None],
    }
    return render(request, "dashboard/ramp_guards.html", context, status=status)


def _candidates(launch: Launch) -> dict[str, DarkVersion]:
    return {
        dark.version: dark for dark in launch.dark_versions.all() if dark.role == Role.CANDIDATE
    }
