"""Requirements in the admin: who set which lines, when and why; they are set on their own page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from dashboard.admin.shown import ShownText
from dashboard.models import LaunchRequirements
from restaurant.admin import FactAdmin


@admin.register(LaunchRequirements)
class LaunchRequirementsAdmin(ShownText, FactAdmin):
    """All settings, newest first: never changed, never deleted. Shares are parts of one."""

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
        """Where they are set."""
        return reverse("requirements", args=[obj.launch])
