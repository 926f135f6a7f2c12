"""Facts in the admin: read-only, but searchable."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from dashboard.admin.lists import ShownText
from dashboard.models import (
    DeadLetter,
    FinalVerdict,
    LaunchDecision,
    LaunchRecord,
    ObservedOrder,
    Participant,
    Rejudging,
    Replay,
    Review,
)
from dashboard.templatetags.dashboard import shown
from restaurant.admin import FactAdmin
from restaurant.models import Launch

#: Launches whose orders are found by their numbers, the newest.
_LAUNCHES = 30
#: Digits of a number that the database can keep.
_MOST_DIGITS = 18


@admin.register(FinalVerdict)
class FinalVerdictAdmin(ShownText, FactAdmin):
    """The final verdicts of ended launches, newest first."""

    list_display = ("at", "launch", "version", "word", "orders")


@admin.register(LaunchDecision)
class LaunchDecisionAdmin(ShownText, FactAdmin):
    """Decisions on launches and their steps, newest first; they are taken on the launch's page."""

    list_display = (
        "at", "launch", "version", "choice", "step", "opposed", "word", "author", "reason",
    )  # fmt: skip
    list_filter = ("choice", "step", "opposed")
    search_fields = ("version", "author", "reason")
    search_help_text = "A version, an author or a reason"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By words."""
        return super(FactAdmin, self).get_search_results(request, queryset, search_term)

    def view_on_site(self, obj: LaunchDecision) -> str:
        """The launch's page."""
        return reverse("launch", args=[obj.launch])


@admin.register(LaunchRecord)
class LaunchRecordAdmin(ShownText, FactAdmin):
    """The frozen records of ended launches, newest first."""

    list_display = ("at", "launch", "sha256")


@admin.register(Participant)
class ParticipantAdmin(ShownText, FactAdmin):
    """The versions of each launch, with their counters."""

    list_display = (
        "version", "role", "launch", "orders", "handled", "failed", "missing", "late", "repeats",
        "pairs", "newest_at",
    )  # fmt: skip


@admin.register(DeadLetter)
class DeadLetterAdmin(ShownText, FactAdmin):
    """Dead letters, newest first; a bounded number is kept."""

    list_display = ("seen_at", "queue", "version", "order_page", "reason", "size")
    search_fields = ("queue", "reason", "version")
    search_help_text = "A queue, a version, a reason, or an order's number or id"
    date_hierarchy = "seen_at"

    @admin.display(description="order")
    def order_page(self, letter: DeadLetter) -> str:
        """A link to its order, if known."""
        if not letter.order:
            return ""
        page = reverse("board_order", args=[letter.order])
        return format_html('<a href="{}">{}</a>', page, shown(letter.order))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By an order, or by words."""
        term = search_term.strip()
        of_order = queryset.filter(order__in=[term, term.lower(), *_numbered(term)])
        if term and of_order.exists():
            return of_order, False
        return super(FactAdmin, self).get_search_results(request, queryset, search_term)


def _numbered(term: str) -> list[str]:
    """The ids of the orders of this number, as in ``1042`` or ``#1042``."""
    number = term.removeprefix("#")
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        return []
    launches = list(Launch.objects.values_list("pk", flat=True)[:_LAUNCHES])
    found = ObservedOrder.objects.filter(launch__in=launches, number=int(number))
    return list(found.values_list("order_id", flat=True))


@admin.register(Review)
class ReviewAdmin(ShownText, FactAdmin):
    """Reviews: never changed, never deleted."""

    list_display = ("discrepancy", "decision", "note", "author", "decided_at", "replay")
    list_select_related = ("discrepancy", "replay")


@admin.register(Rejudging)
class RejudgingAdmin(ShownText, FactAdmin):
    """Re-evaluations of past orders, newest first."""

    list_display = ("launch", "requested_by", "requested_at", "judged", "changed", "finished_at")


@admin.register(Replay)
class ReplayAdmin(ShownText, FactAdmin):
    """Replays, newest first."""

    list_display = (
        "discrepancy", "version", "orders", "requested_by", "requested_at", "finished_at",
    )  # fmt: skip
    list_select_related = ("discrepancy",)
