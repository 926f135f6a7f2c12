"""The page of a launch's thresholds, and its form."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard.access import REQUIRE, access_by, board_access, may
from dashboard.review.thresholds import (
    RequirementsChanged,
    changes,
    current_revision,
    set_requirements,
)
from dashboard.verdict.evaluation import requirements_of
from dashboard.verdict.thresholds import THRESHOLDS, Requirements
from dashboard.verdict.wording import percent
from restaurant.launches import find_launch
from restaurant.models import Launch

_NUMBER = "Enter a number, such as 0.5."
_MOST_BEHIND_S = 86_400
_IN_POINTS = frozenset({"failures_margin", "slow_margin", "differences_margin"})
#: Of each threshold: its requirement, and its label.
WORDS = {
    "speed_margin": ("Speed", "slower by at most"),
    "failures_margin": ("Failures", "failure rate higher by at most"),
    "slow_margin": ("Slow orders", "share higher by at most"),
    "differences_margin": ("Differences beyond noise", "share of orders higher by at most"),
    "most_missing": ("Completeness", "missing results at most"),
    "most_behind_s": ("Keeping up", "lag at most"),
}


def shown(name: str, value: float) -> str:
    """A threshold as text: differences of shares are percentage points."""
    if name.endswith("_s"):
        return f"{value:g} s"
    return percent(value).replace(" %", " pp") if name in _IN_POINTS else percent(value)


class PercentField(forms.FloatField):
    """A share, typed as a percentage: "0.5" is 0.005."""

    def __init__(self, *, at_least: float) -> None:
        super().__init__(
            min_value=at_least,
            max_value=1.0,
            error_messages={
                "required": _NUMBER,
                "invalid": _NUMBER,
                "min_value": f"Enter a percentage from {at_least * 100:g} to 100.",
                "max_value": f"Enter a percentage from {at_least * 100:g} to 100.",
            },
        )

    def to_python(self, value: Any) -> float | None:  # type: ignore[override]
        """Read "0.5", "0,5" and "0.5 %"."""
        typed = str(value or "").strip().removesuffix("%").strip().replace(",", ".")
        number = super().to_python(typed)
        return None if number is None else round(number / 100, 12)

    def prepare_value(self, value: Any) -> Any:
        """A share as a percentage; text stays as it was typed."""
        return f"{value * 100:.10g}" if isinstance(value, float) else value


class ThresholdsForm(forms.Form):
    """The thresholds of a launch."""

    speed_margin = PercentField(at_least=0.001)
    failures_margin = PercentField(at_least=0.0001)
    slow_margin = PercentField(at_least=0.0001)
    differences_margin = PercentField(at_least=0.0001)
    most_missing = PercentField(at_least=0.0)
    most_behind_s = forms.FloatField(
        min_value=1,
        max_value=_MOST_BEHIND_S,
        error_messages={
            "required": _NUMBER,
            "invalid": _NUMBER,
            "min_value": "Enter at least one second.",
            "max_value": "Enter at most 86,400 seconds (a day).",
        },
    )

    @property
    def required(self) -> Requirements:
        """The thresholds of a valid form."""
        return Requirements(**{name: self.cleaned_data[name] for name in THRESHOLDS})

    @property
    def lines(self) -> list[tuple[forms.BoundField, str, str]]:
        """Field, label and hint of each threshold."""
        return [
            (self[name], f"{about}: {what}", _hint(name)) for name, (about, what) in WORDS.items()
        ]


def as_initial(required: Requirements) -> dict[str, Any]:
    """Thresholds as a form's first values."""
    thresholds = {name: getattr(required, name) for name in THRESHOLDS}
    return thresholds | {"most_behind_s": f"{required.most_behind_s:g}"}


class RequirementsForm(ThresholdsForm):
    """The thresholds and the reason to change them; ``seen``: the setting that the author saw."""

    reason = forms.CharField(max_length=500, error_messages={"required": "Enter a reason."})
    seen = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    @classmethod
    def of(cls, required: Requirements, *, seen: int) -> RequirementsForm:
        """The form with the thresholds in force."""
        return cls(initial=as_initial(required) | {"seen": seen})


def _hint(name: str) -> str:
    unit = "percentage points" if name in _IN_POINTS else "percent"
    default = shown(name, getattr(Requirements(), name))
    return f"in {'seconds' if name.endswith('_s') else unit}; default {default}"


#: Changes that are listed.
_CHANGES = 100
_CHANGED = (
    "Not saved: changed by someone else since you opened this page, see below. Save again to"
    " overwrite."
)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@board_access
def requirements(request: HttpRequest, launch: UUID) -> HttpResponseBase:
    """The thresholds of a launch, their history, and the form for users who may change them."""
    found = find_launch(launch)
    if found is None:
        raise Http404("there is no such launch")
    if request.method == "POST":
        return _set(request, found)
    form = RequirementsForm.of(requirements_of(launch), seen=current_revision(launch))
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
        form = RequirementsForm(request.POST.dict() | {"seen": str(current_revision(launch.id))})
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
