"""The forms of a launch: start it, change its percents, stop a version, end it, decide."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django import forms
from django.core.validators import RegexValidator
from django.http import QueryDict

from kitchen_worker.contract.messages import VERSION_PATTERN, Role
from restaurant.launches import (
    FIRST_CONTROL,
    LaunchRefused,
    PlannedEnd,
    check_versions,
    current_control,
    newest_change,
    plan_problems,
    suggested_name,
)
from restaurant.models import DarkVersion, Launch

#: Candidates that a launch can be started with on the page.
MOST_CANDIDATES = 5
_FIRST_PERCENT = "5"
_FIRST_BASELINE_PERCENT = "20"
_NAME_MESSAGE = "Use lower-case letters, digits and dashes, at most 40."
_CHANGED = "Not saved: changed by someone else since you opened this page. Check, then save again."

_version_name = RegexValidator(VERSION_PATTERN, _NAME_MESSAGE)


def _version_field(*, required: bool = False) -> forms.CharField:
    return forms.CharField(
        max_length=40,
        required=required,
        validators=[_version_name],
        error_messages={"required": "Name a version."},
    )


class ShareField(forms.DecimalField):
    """A percent of the orders: "5", "0,25" and "5 %"."""

    def __init__(self, *, required: bool = True) -> None:
        message = "Enter a percentage from 0 to 100, such as 5 or 0.25."
        super().__init__(
            min_value=Decimal(0),
            max_value=Decimal(100),
            max_digits=5,
            decimal_places=2,
            required=required,
            error_messages=dict.fromkeys(
                ("required", "invalid", "min_value", "max_value", "max_digits",
                 "max_decimal_places", "max_whole_digits"), message,
            ),
        )  # fmt: skip

    def to_python(self, value: Any) -> Decimal | None:  # type: ignore[override]
        """Read a percent."""
        typed = str(value or "").strip().removesuffix("%").strip().replace(",", ".")
        return super().to_python(typed)

    def prepare_value(self, value: Any) -> Any:
        """Without trailing zeros; text stays as it was typed."""
        return f"{value.normalize():f}" if isinstance(value, Decimal) else value


class ReasonField(forms.CharField):
    """Why; it is kept."""

    def __init__(self, *, required: bool = True) -> None:
        super().__init__(
            max_length=500, required=required, error_messages={"required": "Enter a reason."}
        )


class ActForm(forms.Form):
    """A form that knows which of its fields is wrong first."""

    @property
    def first_wrong(self) -> str:
        """The name of the first field with an error."""
        return next((name for name in self.fields if name in self.errors), "")

    def refuse(self, cause: Exception) -> None:
        """Show why the act itself was refused."""
        text = str(cause)
        self.add_error(None, f"{text[:1].upper()}{text[1:]}.")


class EndForm(ActForm):
    reason = ReasonField()


class StopForm(EndForm):
    purge = forms.BooleanField(required=False)


class DecideForm(EndForm):
    """A decision on a candidate; ``act`` is a choice, or what to do with a proposed one."""

    act = forms.ChoiceField(
        choices=[(one, one) for one in ("promote", "abandon", "confirm", "withdraw")],
        error_messages={"required": "Choose a decision.", "invalid_choice": "Choose a decision."},
    )


class SharesForm(EndForm):
    """The percents of a launch's dark versions, and the reason to change them."""

    #: The newest change when the page was opened.
    seen = forms.IntegerField(min_value=0)

    def __init__(self, launch: Launch, given: QueryDict | None = None) -> None:
        super().__init__(given)
        self.launch = launch
        self.dark: list[DarkVersion] = list(launch.dark_versions.all())
        for number, dark in enumerate(self.dark):
            field = self.fields[f"percent-{number}"] = ShareField()
            field.initial = dark.percent

    def share_field(self, version: str) -> forms.BoundField:
        """The field of a version."""
        return self[f"percent-{[one.version for one in self.dark].index(version)}"]

    @property
    def changes(self) -> list[tuple[DarkVersion, Decimal]]:
        """The versions whose percent changes in a valid form, and their new percents."""
        asked = ((dark, self.cleaned_data[f"percent-{i}"]) for i, dark in enumerate(self.dark))
        return [(dark, percent) for dark, percent in asked if percent != dark.percent]

    def clean(self) -> dict[str, Any] | None:
        """Refuse to overwrite somebody else's change."""
        cleaned = super().clean()
        if self.cleaned_data.get("seen") != newest_change(self.launch.pk):
            self.add_error(None, _CHANGED)
        return cleaned


class Row(NamedTuple):
    """The fields of one candidate."""

    number: int
    version: forms.BoundField
    percent: forms.BoundField


class StartForm(ActForm):
    """A new launch, without its thresholds."""

    name = forms.CharField(max_length=100, error_messages={"required": "Enter a name."})
    control = _version_field(required=True)
    baseline = _version_field()
    baseline_percent = ShareField(required=False)
    ends_at = forms.DateTimeField(
        required=False, error_messages={"invalid": "Enter a time such as 2026-12-04 18:00, in UTC."}
    )
    ends_after = forms.IntegerField(
        required=False,
        min_value=1,
        error_messages={
            "invalid": "Enter a number of orders.",
            "min_value": "Enter at least one order.",
        },
    )
    reason = ReasonField(required=False)

    def __init__(
        self, given: QueryDict | None = None, *, rows: int = 1, initial: Any = None
    ) -> None:
        super().__init__(given, initial=initial)
        self._rows = range(min(max(rows, 1), MOST_CANDIDATES))
        for number in self._rows:
            self.fields[f"candidate-{number}"] = _version_field(required=number == 0)
            self.fields[f"percent-{number}"] = ShareField(required=False)
        self.order_fields(["name", "control", *self._names])

    @classmethod
    def after(cls, last: Launch | None) -> StartForm:
        """The form, filled with the last launch's versions."""
        dark = list(last.dark_versions.all()) if last is not None else []
        control = current_control() if last is not None else FIRST_CONTROL
        candidates = [one for one in dark if one.role == Role.CANDIDATE][:MOST_CANDIDATES]
        baseline = next((one for one in dark if one.role == Role.BASELINE), None)
        names = [one.version for one in candidates] or ([] if dark else ["vnext"])
        initial: dict[str, Any] = {
            "name": suggested_name(control, names) if names else "",
            "control": control,
            "ends_after": last.ends_after if last is not None else None,
        }
        for number, name in enumerate(names):
            percent = candidates[number].percent if candidates else 0
            initial |= {
                f"candidate-{number}": name,
                f"percent-{number}": percent or _FIRST_PERCENT,
            }
        if baseline is not None or not dark:
            initial |= {
                "baseline": baseline.version if baseline is not None else f"{control}-b",
                "baseline_percent": (baseline.percent if baseline is not None else 0)
                or _FIRST_BASELINE_PERCENT,
            }
        return cls(rows=len(names), initial=initial)

    @property
    def _names(self) -> Iterator[str]:
        for number in self._rows:
            yield from (f"candidate-{number}", f"percent-{number}")

    @property
    def rows(self) -> list[Row]:
        """The candidates' fields."""
        return [Row(i + 1, self[f"candidate-{i}"], self[f"percent-{i}"]) for i in self._rows]

    @property
    def may_have_more(self) -> bool:
        """Whether another candidate can be added."""
        return len(self._rows) < MOST_CANDIDATES

    @property
    def dark(self) -> list[tuple[str, Role, Decimal]]:
        """The dark versions of a valid form."""
        return [
            (self.cleaned_data[name], role, self.cleaned_data[percent])
            for name, percent, role in self._pairs()
            if self.cleaned_data.get(name)
        ]

    @property
    def plan(self) -> PlannedEnd:
        """The planned end of a valid form."""
        at: datetime | None = self.cleaned_data.get("ends_at")
        return PlannedEnd(at, self.cleaned_data.get("ends_after"))

    def clean(self) -> dict[str, Any] | None:
        """Show at each field what `start_launch` would refuse."""
        cleaned = super().clean()
        for name, percent, _ in self._pairs():
            given = self.cleaned_data.get(name), self.cleaned_data.get(percent)
            if given[0] and given[1] is None and percent not in self.errors:
                self.add_error(percent, "Enter a percentage.")
            if given[1] is not None and not given[0] and name not in self.errors:
                self.add_error(name, "Name a version, or clear its percentage.")
        self._check_names()
        for field, message in plan_problems(self.plan).items():
            self.add_error(field, message)
        return cleaned

    def _pairs(self) -> Iterator[tuple[str, str, Role]]:
        for number in self._rows:
            yield f"candidate-{number}", f"percent-{number}", Role.CANDIDATE
        yield "baseline", "baseline_percent", Role.BASELINE

    def _check_names(self) -> None:
        control = self.cleaned_data.get("control", "")
        problem = _problem(control, [])
        if problem:
            self.add_error("control", problem)
            control = ""
        seen: list[str] = []
        for name, _, _ in self._pairs():
            version = self.cleaned_data.get(name)
            if version and (problem := _problem(control, [*seen, version])):
                self.add_error(name, problem)
            elif version:
                seen.append(version)


def _problem(control: str, dark: list[str]) -> str:
    """What is wrong with a launch of these versions."""
    try:
        check_versions(control, dark)
    except LaunchRefused as cause:
        text = str(cause)
        return f"{text[:1].upper()}{text[1:]}."
    return ""
