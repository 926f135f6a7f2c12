"""Rules and thresholds in the admin: never changed; new ones are made on the dashboard's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from dashboard.access import RULE, may
from dashboard.admin.lists import ShownText
from dashboard.ingest.rulebook import end_rule
from dashboard.models import LaunchRequirements, Rule
from kitchen_worker.contract.messages import utc_now
from restaurant.admin import FactAdmin

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
        """A rule is ended, never changed, so that what it hid stays explained."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Rule | None = None) -> bool:
        """Nor deleted."""
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """To the page with the preview."""
        return redirect("rule_new")

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Users who may make rules may end them."""
        return may(request.user, RULE)

    @admin.action(description="End the selected rules", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[Rule]) -> None:
        """End rules: new orders are compared without them."""
        author, now = request.user.get_username(), utc_now()
        ended = [rule for rule in queryset if end_rule(rule, author=author, now=now)]
        if ended:
            names = ", ".join(str(rule) for rule in ended)
            self.message_user(request, f"Ended: {names}.", messages.SUCCESS)
        else:
            self.message_user(request, "Already ended.", messages.WARNING)


@admin.register(LaunchRequirements)
class LaunchRequirementsAdmin(ShownText, FactAdmin):
    """Changes of thresholds, newest first: never changed, never deleted. Shares are fractions."""

    list_display = (
        "set_at", "author", "reason", "launch", "speed_margin", "failures_margin", "slow_margin",
        "differences_margin", "most_missing", "most_behind_s",
    )  # fmt: skip
    search_fields = ("author", "reason")
    search_help_text = "An author or a reason"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By words."""
        return super(FactAdmin, self).get_search_results(request, queryset, search_term)

    def view_on_site(self, obj: LaunchRequirements) -> str:
        """The page that changes them."""
        return reverse("requirements", args=[obj.launch])
