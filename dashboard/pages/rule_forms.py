"""The form of a rule, and rules in words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC
from typing import Any, Protocol
from urllib.parse import urlencode

from django import forms

from dashboard.comparison.rules import ComparisonRule, RuleError, Treatment
from restaurant.models import DarkVersion

#: Each treatment's name and meaning.
TREATMENTS: Mapping[Treatment, tuple[str, str]] = {
    Treatment.IGNORE: ("Ignore", "Ignore this path and everything below it."),
    Treatment.TOLERANCE: ("Tolerance", "Treat numbers within a tolerance as equal."),
    Treatment.TIMES: ("Near times", "Treat times within a number of seconds as equal (ISO 8601)."),
    Treatment.DECIMAL: ("Decimal", "Treat different spellings of a number as equal: 3.50 and 3.5."),
    Treatment.NULL: ("Null as absent", "Treat null and a missing field as equal."),
    Treatment.UNORDERED: ("Unordered list", "Ignore the order of a list."),
    Treatment.KEYED: ("Keyed list", "Match a list's members by a key field; ignore their order."),
    Treatment.VALUES: (
        "Map with random keys",
        "Ignore an object's keys: compare its values as an unordered list.",
    ),
    Treatment.REPLACE: ("Replace", "Replace a pattern in both texts, then compare."),
}


class Worded(Protocol):
    """The fields of a rule that its words depend on."""

    treatment: str
    absolute: float | None
    relative: float | None
    key: str
    pattern: str
    replacement: str


def in_words(rule: Worded) -> str:
    """What a rule does, without its path: ``numbers within 0.01 are equal``."""
    match Treatment(rule.treatment):
        case Treatment.TOLERANCE:
            return f"numbers within {_distance(rule)} are equal"
        case Treatment.TIMES:
            return f"times within {rule.absolute:g} s are equal"
        case Treatment.NULL:
            return "null and a missing field are equal"
        case Treatment.VALUES:
            return "keys are ignored, values are compared as an unordered list"
        case Treatment.DECIMAL:
            return "spellings of the same decimal number are equal"
        case Treatment.UNORDERED:
            return "the order of the list is ignored"
        case Treatment.KEYED:
            return f"members are matched by “{rule.key}”, their order is ignored"
        case Treatment.REPLACE:
            what = f"“{rule.replacement}”" if rule.replacement else "nothing"
            return f"/{rule.pattern}/ is replaced by {what} before comparing"
        case _:
            return "ignored, with everything below it"


def as_question(rule: ComparisonRule) -> str:
    """What a proposed rule would do, as a question that follows its path."""
    match rule.treatment:
        case Treatment.TIMES:
            return f"treat times within {rule.absolute:g} s as equal?"
        case Treatment.NULL:
            return "treat null and a missing field as equal?"
        case Treatment.VALUES:
            return "ignore its keys?"
        case Treatment.UNORDERED:
            return "ignore its order?"
        case Treatment.REPLACE:
            return f"replace each by {rule.replacement}?"
        case _:
            return "ignore it?"


def _distance(rule: Worded) -> str:
    distances = [] if rule.absolute is None else [f"{rule.absolute:g}"]
    if rule.relative is not None:
        distances.append(f"{rule.relative * 100:g} % of the larger")
    return " or ".join(distances)


#: Fields that say what the rule does; the others say why, and until when.
_DRAFT = ("path", "version", "treatment", "absolute", "relative", "key", "pattern", "replacement")
#: Fields that a link can fill in.
GIVEN = (*_DRAFT, "reason")
#: What a treatment needs besides.
_FIELDS = {
    Treatment.TOLERANCE: ("absolute", "relative"),
    Treatment.TIMES: ("absolute",),
    Treatment.KEYED: ("key",),
    Treatment.REPLACE: ("pattern", "replacement"),
}
_TIME = "%Y-%m-%dT%H:%M"


def query_of(draft: ComparisonRule, **others: str) -> str:
    """The fields of a rule as a link to the form gives them."""
    fields = {name: getattr(draft, name) for name in _DRAFT}
    known = {name: value for name, value in (fields | others).items() if value not in (None, "")}
    return urlencode(known)


class RuleForm(forms.Form):
    """A rule as it is typed; valid if the comparison accepts it."""

    path = forms.CharField(
        max_length=250, error_messages={"required": "Enter a path, such as items[].minutes."}
    )
    treatment = forms.ChoiceField(
        choices=[(name.value, label) for name, (label, _) in TREATMENTS.items()],
        error_messages={"required": "Choose what the rule does."},
    )
    version = forms.CharField(required=False, max_length=40)
    absolute = forms.FloatField(required=False)
    relative = forms.FloatField(required=False)
    key = forms.CharField(required=False, max_length=100, strip=False)
    pattern = forms.CharField(required=False, max_length=500, strip=False)
    replacement = forms.CharField(required=False, max_length=200, strip=False)
    reason = forms.CharField(required=False, max_length=500)
    expires_at = forms.DateTimeField(
        required=False,
        input_formats=[_TIME, f"{_TIME}:%S"],
        error_messages={"invalid": "Enter a date and time, such as 2026-12-31T18:00."},
    )
    #: The fingerprint of the draft that was previewed.
    previewed = forms.CharField(required=False, max_length=64)

    def __init__(self, data: Mapping[str, Any] | None = None, **given: Any) -> None:
        super().__init__(data, **given)
        self.draft: ComparisonRule | None = None

    def clean(self) -> dict[str, Any]:
        """Make the draft from the fields of its treatment."""
        super().clean()
        if any(name in self.errors for name in _DRAFT):
            return self.cleaned_data
        given = self.cleaned_data
        version = given["version"]
        if version and not DarkVersion.objects.filter(version=version).exists():
            self.add_error("version", f"No launch has a dark version {version}.")
            return given
        treatment = Treatment(given["treatment"])
        fields = _FIELDS.get(treatment, ())
        try:
            self.draft = ComparisonRule(
                id=0,
                path=given["path"],
                treatment=treatment,
                version=given["version"],
                **{name: given[name] for name in fields},
            )
        except RuleError as error:
            self.refuse(error)
        return self.cleaned_data

    def says_why(self) -> bool:
        """Whether there is a reason; adds an error if not."""
        if self.cleaned_data.get("reason"):
            return True
        self.add_error("reason", "Enter a reason.")
        return False

    def refuse(self, error: RuleError) -> None:
        """Add the error to its field."""
        field = error.field if error.field in self.fields else None
        self.add_error(field, f"{error.reason[:1].upper()}{error.reason[1:].rstrip('.')}.")

    @property
    def fingerprint(self) -> str:
        """Identifies the draft; empty while there is none."""
        return hashlib.sha256(repr(self.draft).encode()).hexdigest() if self.draft else ""

    @property
    def was_previewed(self) -> bool:
        """Whether this very draft was previewed."""
        return bool(self.draft) and self.cleaned_data.get("previewed") == self.fingerprint

    @property
    def expires(self) -> Any:
        expires_at = self.cleaned_data.get("expires_at")
        return expires_at.replace(tzinfo=UTC) if expires_at else None

    @property
    def treatments(self) -> list[tuple[str, str, str, bool]]:
        """Each treatment: value, name, meaning, and whether it is chosen."""
        chosen = self["treatment"].value()
        return [
            (name.value, label, sentence, name.value == chosen)
            for name, (label, sentence) in TREATMENTS.items()
        ]
