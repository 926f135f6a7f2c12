"""The form of a rule: what is wrong is said at its field, and nothing typed is lost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC
from typing import Any
from urllib.parse import urlencode

from django import forms

from dashboard.domain.comparing.rules import Rule, RuleError, Treatment
from dashboard.pages.rule_words import TREATMENTS
from restaurant.models import DarkVersion

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


def query_of(draft: Rule, **others: str) -> str:
    """The fields of a rule as a link to the form gives them."""
    fields = {name: getattr(draft, name) for name in _DRAFT}
    known = {name: value for name, value in (fields | others).items() if value not in (None, "")}
    return urlencode(known)


class RuleForm(forms.Form):
    """A rule as a person writes it. What a rule can be is said by ``domain/rules.py``."""

    path = forms.CharField(
        max_length=250, error_messages={"required": "Give a path, as in items[].minutes."}
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
        error_messages={"invalid": "Give a day and a time, as in 2026-12-31T18:00."},
    )
    #: The fingerprint of the draft whose preview the person has seen.
    previewed = forms.CharField(required=False, max_length=64)

    def __init__(self, data: Mapping[str, Any] | None = None, **given: Any) -> None:
        super().__init__(data, **given)
        self.draft: Rule | None = None

    def clean(self) -> dict[str, Any]:
        """Make the draft, of the fields that its treatment has."""
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
            self.draft = Rule(
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
        """Whether there is a reason, which a rule must have to be saved; says so if not."""
        if self.cleaned_data.get("reason"):
            return True
        self.add_error("reason", "Say why: whoever finds the rule later will ask.")
        return False

    def refuse(self, error: RuleError) -> None:
        """Say at its field what is wrong."""
        field = error.field if error.field in self.fields else None
        self.add_error(field, f"{error.reason[:1].upper()}{error.reason[1:].rstrip('.')}.")

    @property
    def fingerprint(self) -> str:
        """The same for the same draft; empty while there is none."""
        return hashlib.sha256(repr(self.draft).encode()).hexdigest() if self.draft else ""

    @property
    def was_previewed(self) -> bool:
        """Whether the person has seen what just this draft would hide."""
        return bool(self.draft) and self.cleaned_data.get("previewed") == self.fingerprint

    @property
    def expires(self) -> Any:
        """When it is to expire, in UTC."""
        expires_at = self.cleaned_data.get("expires_at")
        return expires_at.replace(tzinfo=UTC) if expires_at else None

    @property
    def treatments(self) -> list[tuple[str, str, str, bool]]:
        """Each treatment: value, name, sentence, and whether it is the chosen one."""
        chosen = self["treatment"].value()
        return [
            (name.value, label, sentence, name.value == chosen)
            for name, (label, sentence) in TREATMENTS.items()
        ]
