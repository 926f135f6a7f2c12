"""The form of a launch's requirements: percents as people write them, errors at their field."""

from __future__ import annotations

from typing import Any

from django import forms

from dashboard.verdict.phrases import percent
from dashboard.verdict.requirements import THRESHOLDS, Requirements

_NUMBER = "Give a number, as in 0.5."
_MOST_BEHIND_S = 86_400
_IN_POINTS = frozenset({"failures_margin", "slow_margin", "differences_margin"})
#: Of each line: what it is about, and what it says of it.
WORDS = {
    "speed_margin": ("Speed", "slower by at most"),
    "failures_margin": ("Failures", "failure rate higher by at most"),
    "slow_margin": ("Slow orders", "more of the orders by at most"),
    "differences_margin": ("Differences beyond noise", "more of the orders by at most"),
    "most_missing": ("Completeness", "missing results at most"),
    "most_behind_s": ("Keeping up", "lag at most"),
}


def shown(name: str, value: float) -> str:
    """A limit as it is read: differences of shares are percentage points."""
    if name.endswith("_s"):
        return f"{value:g} s"
    return percent(value).replace(" %", " pp") if name in _IN_POINTS else percent(value)


class PercentField(forms.FloatField):
    """A percentage to whoever types it, a share to whoever asks: "0.5" is 0.005."""

    def __init__(self, *, at_least: float) -> None:
        super().__init__(
            min_value=at_least,
            max_value=1.0,
            error_messages={
                "required": _NUMBER,
                "invalid": _NUMBER,
                "min_value": f"Give a percentage from {at_least * 100:g} to 100.",
                "max_value": f"Give a percentage from {at_least * 100:g} to 100.",
            },
        )

    def to_python(self, value: Any) -> float | None:  # type: ignore[override]
        """Read "0.5", "0,5" and "0.5 %"."""
        typed = str(value or "").strip().removesuffix("%").strip().replace(",", ".")
        number = super().to_python(typed)
        return None if number is None else round(number / 100, 12)

    def prepare_value(self, value: Any) -> Any:
        """A share as the percentage that a person would have typed; what was typed stays."""
        return f"{value * 100:.10g}" if isinstance(value, float) else value


class RequirementsForm(forms.Form):
    """The six lines and the reason for them, and which setting the author has seen."""

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
            "min_value": "Give at least one second.",
            "max_value": "Give at most a day: 86,400 seconds.",
        },
    )
    reason = forms.CharField(
        max_length=500, error_messages={"required": "Say why: whoever reads the verdict will ask."}
    )
    seen = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    @classmethod
    def of(cls, required: Requirements, *, seen: int) -> RequirementsForm:
        """The form as it is first shown: with the lines that hold."""
        lines = {name: getattr(required, name) for name in THRESHOLDS}
        lines["most_behind_s"] = f"{required.most_behind_s:g}"
        return cls(initial={**lines, "seen": seen})

    @property
    def required(self) -> Requirements:
        """The lines of a valid form."""
        return Requirements(**{name: self.cleaned_data[name] for name in THRESHOLDS})

    @property
    def lines(self) -> list[tuple[forms.BoundField, str, str]]:
        """Field, label and hint of each line."""
        return [
            (self[name], f"{about}: {what}", _hint(name)) for name, (about, what) in WORDS.items()
        ]


def _hint(name: str) -> str:
    unit = "percentage points" if name in _IN_POINTS else "percent"
    default = shown(name, getattr(Requirements(), name))
    return f"in {'seconds' if name.endswith('_s') else unit}; default {default}"
