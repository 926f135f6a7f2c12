"""The forms of review: the list's filters, and a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import QueryDict

from dashboard.comparison.judgement import GroupKind
from dashboard.comparison.outcome import Decision
from dashboard.models import Replay
from dashboard.review.reviews import MAX_NOTE, SeenRevision

_TEXT_LENGTH = 100


def _words(name: str) -> str:
    return name.replace("_", " ")


class ListForm(forms.Form):
    """The filters of the list; invalid ones are ignored."""

    launch = forms.UUIDField(required=False)
    version = forms.CharField(required=False, max_length=40)
    state = forms.ChoiceField(
        required=False, choices=[("", "all"), *((one.value, _words(one)) for one in Decision)]
    )
    kind = forms.ChoiceField(
        required=False,
        choices=[("", "every kind"), *((one.value, _words(one)) for one in GroupKind)],
    )
    text = forms.CharField(required=False, max_length=_TEXT_LENGTH)
    page = forms.IntegerField(required=False, min_value=1)

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self.full_clean()

    def chosen(self, name: str) -> str:
        """A filter's value, or empty."""
        return str(self.cleaned_data.get(name) or "")

    @property
    def launch_id(self) -> UUID | None:
        return self.cleaned_data.get("launch")

    @property
    def states(self) -> tuple[Decision, ...]:
        """The states to list; none: all."""
        state = self.chosen("state")
        return (Decision(state),) if state else ()

    @property
    def page_number(self) -> int:
        return self.cleaned_data.get("page") or 1

    @property
    def query(self) -> str:
        """The filters as a query string."""
        return self.query_of(1)

    def query_of(self, page: int) -> str:
        """The query string of another page of the list."""
        filters = {name: self.chosen(name) for name in self.fields if name != "page"}
        asked = {**filters, "page": str(page) if page > 1 else ""}
        return urlencode({name: value for name, value in asked.items() if value})

    @property
    def narrows(self) -> bool:
        """Whether any filter is set."""
        return any(self.chosen(name) for name in ("version", "state", "kind", "text"))


class ReviewForm(forms.Form):
    """A decision on discrepancies as they were seen; what was typed is kept."""

    decision = forms.ChoiceField(
        choices=[(one.value, _words(one)) for one in Decision],
        error_messages={
            "required": "Choose a decision.",
            "invalid_choice": "There is no such decision.",
        },
    )
    note = forms.CharField(
        required=False,
        max_length=MAX_NOTE,
        error_messages={"max_length": f"At most {MAX_NOTE} characters; this has %(show_value)s."},
    )
    replay = forms.ModelChoiceField(
        queryset=Replay.objects.all(),
        required=False,
        error_messages={"invalid_choice": "That replay does not exist."},
    )

    def __init__(self, data: QueryDict | None = None, seen: Sequence[str] = ()) -> None:
        super().__init__(data)
        self._asked = [*seen, *(data.getlist("seen") if data is not None else [])]
        self.seen: list[SeenRevision] = []

    def clean(self) -> dict[str, Any]:
        """Read the discrepancies and the revisions that were seen."""
        super().clean()
        if not self._asked:
            self.add_error(None, "Select at least one discrepancy.")
        try:
            self.seen = [SeenRevision.read(text) for text in self._asked]
        except ValueError:
            self.add_error(None, "This page is out of date. Reload it.")
        return self.cleaned_data

    @property
    def selected(self) -> frozenset[int]:
        """The ids of the discrepancies."""
        return frozenset(one.discrepancy for one in self.seen)

    @property
    def note_text(self) -> str:
        return self["note"].value() or ""

    @property
    def note_problem(self) -> str:
        errors = self["note"].errors
        return str(errors[0]) if errors else ""

    @property
    def problem(self) -> str:
        """What is wrong with the decision or its discrepancies."""
        errors = [*self.non_field_errors(), *self["decision"].errors, *self["replay"].errors]
        return str(errors[0]) if errors else ""
