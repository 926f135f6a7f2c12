"""Rules in the admin: made and ended, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from dashboard.access import RULE, may
from dashboard.domain.comparing import rules
from dashboard.domain.comparing.rules import RuleError, Treatment
from dashboard.models import Rule
from dashboard.observing.rulebook import end_rule, new_rule
from kitchen_worker.contract.messages import utc_now

if TYPE_CHECKING:  # only the type checker knows that these take types
    _Admin = admin.ModelAdmin[Rule]
    _Form = forms.ModelForm[Rule]
else:
    _Admin, _Form = admin.ModelAdmin, forms.ModelForm

_DRAWN = ("path", "treatment", "version", "absolute", "relative", "key", "pattern", "replacement")


class RuleForm(_Form):
    """A rule to be made."""

    class Meta:
        model = Rule
        fields: ClassVar = [*_DRAWN, "reason", "expires_at"]

    def clean(self) -> dict[str, Any] | None:
        """Refuse what cannot be a rule, at the field that is wrong."""
        given = super().clean() or self.cleaned_data
        if self.errors:
            return given
        try:
            draft = rules.Rule(
                id=0,
                treatment=Treatment(given["treatment"]),
                **{name: given[name] for name in _DRAWN if name != "treatment"},
            )
            new_rule(
                draft,
                reason=given["reason"],
                author="-",
                expires_at=given["expires_at"],
                now=utc_now(),
            )
        except RuleError as error:
            self.add_error(error.field, f"{error.reason}.")
        return given


@admin.register(Rule)
class RuleAdmin(_Admin):
    """Rules, newest first. What one hides is previewed on the dashboard's own page."""

    form = RuleForm
    list_display = (
        "path", "treatment", "version", "reason", "author", "created_at", "expires_at", "ended_at",
    )  # fmt: skip
    show_full_result_count = False
    actions = ("end",)

    def has_change_permission(self, request: HttpRequest, obj: Rule | None = None) -> bool:
        """A rule is ended, never changed: what it hid stays explained."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Rule | None = None) -> bool:
        """Nor deleted."""
        return False

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Whoever may make rules may end them."""
        return may(request.user, RULE)

    def save_model(self, request: HttpRequest, obj: Rule, form: Any, change: bool) -> None:
        """A rule is in force from now on, on the word of whoever made it."""
        obj.created_at, obj.author = utc_now(), request.user.get_username()
        super().save_model(request, obj, form, change)

    @admin.action(description="End the selected rules", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[Rule]) -> None:
        """End rules: what comes next is judged without them."""
        author, now = request.user.get_username(), utc_now()
        ended = [rule for rule in queryset if end_rule(rule, author=author, now=now)]
        if ended:
            names = ", ".join(str(rule) for rule in ended)
            self.message_user(request, f"Ended: {names}.", messages.SUCCESS)
        else:
            self.message_user(request, "Nothing to end: that was over before.", messages.WARNING)
