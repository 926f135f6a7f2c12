"""Deciding in the admin: the form, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms
from django.contrib import messages
from django.http import HttpRequest

from dashboard.domain.decision import Decision
from dashboard.models import Discrepancy
from dashboard.models.choices import choices
from dashboard.reviewing.reviews import MAX_NOTE, ReviewConflict, ReviewRefused, Seen, review

#: What a person decides here; closing as fixed is done where the proof is shown.
DECISIONS = (Decision.BUG, Decision.BY_DESIGN, Decision.NOISE, Decision.OPEN)


class DecisionForm(forms.Form):
    """A decision with its note, on what was seen."""

    decision = forms.ChoiceField(
        choices=[
            ("", "choose …"),
            *((value, label) for value, label in choices(Decision) if value in DECISIONS),
        ],
        error_messages={"required": "Choose a decision."},
    )
    note = forms.CharField(
        required=False,
        max_length=MAX_NOTE,
        widget=forms.Textarea(attrs={"rows": 4, "cols": 80}),
        help_text="Why; kept with your name and the time.",
    )
    seen = forms.CharField(required=False, widget=forms.MultipleHiddenInput)

    def clean_seen(self) -> list[Seen]:
        """All that was seen, not only the last."""
        try:
            return [Seen.read(text) for text in self.data.getlist("seen")]  # type: ignore[attr-defined]
        except ValueError as wrong:
            raise forms.ValidationError(str(wrong)) from wrong


def decided(request: HttpRequest, form: DecisionForm) -> bool:
    """Decide; says whether it was done, and says so to the person, or why not."""
    if not form.is_valid():
        return False
    given = form.cleaned_data
    try:
        rows = review(
            given["seen"],
            Decision(given["decision"]),
            note=given["note"],
            author=request.user.get_username(),
        )
    except ReviewRefused as refused:
        form.add_error(None, f"{refused}.")
        return False
    except ReviewConflict as conflict:
        form.add_error(None, f"Nothing was written. {_newer(conflict.changed)}")
        return False
    messages.success(request, f"Decided on {len(rows)}.")
    return True


def _newer(changed: Sequence[Discrepancy]) -> str:
    said = [f"{one} is {one.get_state_display()}" for one in changed[:5]]
    return f"Meanwhile somebody decided: {'; '.join(said)}. Look again, and decide once more."
