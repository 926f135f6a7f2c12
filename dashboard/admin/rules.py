"""Rules in the admin: read and ended, never changed; they are made on the dashboard's own page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dashboard.access import RULE, may
from dashboard.admin.shown import ShownText
from dashboard.models import Rule
from dashboard.observing.rulebook import end_rule
from kitchen_worker.contract.messages import utc_now

if TYPE_CHECKING:  # only the type checker knows that these take types
    _Admin = admin.ModelAdmin[Rule]
else:
    _Admin = admin.ModelAdmin


@admin.register(Rule)
class RuleAdmin(ShownText, _Admin):
    """Rules, newest first."""

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

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Where a rule shows what it would hide before it is saved."""
        return redirect("rule_new")

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Whoever may make rules may end them."""
        return may(request.user, RULE)

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
