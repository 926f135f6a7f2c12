"""Facts in the admin: what was observed, paired and counted, to be read and searched."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from dashboard.admin import filters
from dashboard.admin.narrowing import in_words, narrowed
from dashboard.admin.shown import ShownText
from dashboard.models import (
    Comparison,
    DeadLetter,
    FinalVerdict,
    Observation,
    Rejudging,
    Replay,
    Review,
    Tally,
)
from restaurant.admin import FactAdmin
from restaurant.models import Order


class OrderFactAdmin(ShownText, FactAdmin):
    """Facts about orders: found by the order, narrowed by what is chosen beside them."""

    search_fields = ("order",)
    search_help_text = "An order's number or id"
    #: What is chosen by the value of a field.
    narrowing: tuple[str, ...] = ()
    shows_control = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Those of one order; else those that were chosen."""
        term = search_term.strip().removeprefix("#")
        if not term:
            return narrowed(queryset, request.GET, self.narrowing), False
        order = _order(term)
        given = {name: request.GET[name] for name in self.narrowing if request.GET.get(name)}
        return queryset.filter(order=order, **given) if order else queryset.none(), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, and among what it was looked for."""
        said = "" if request.GET.get("q") else in_words(self.model, request.GET, self.narrowing)
        return super().changelist_view(request, {**(extra_context or {}), "subtitle": said or None})

    def view_on_site(self, obj: Any) -> str:
        """The order's page on the board."""
        return reverse("board_order", args=[obj.order])


def _order(term: str) -> UUID | None:
    """The id of the order that was searched for, by its number or its id."""
    if term.isascii() and term.isdigit() and len(term) < 19:
        return Order.objects.filter(pk=int(term)).values_list("uuid", flat=True).first()
    try:
        return UUID(term)
    except ValueError:
        return None


@admin.register(Observation)
class ObservationAdmin(OrderFactAdmin):
    """Observations, newest first."""

    list_display = (
        "order", "version", "role", "state", "late", "build", "placed_at", "queue_ms",
        "handling_ms", "error_type",
    )  # fmt: skip
    list_filter = (
        filters.LaunchFilter,
        filters.VersionFilter,
        filters.RoleFilter,
        filters.StateFilter,
        filters.PlacedFilter,
    )
    narrowing = ("version", "role", "state")
    shows_control = True


@admin.register(Comparison)
class ComparisonAdmin(OrderFactAdmin):
    """Pairs, newest first."""

    list_display = (
        "order", "version", "outcome", "control_ms", "version_ms", "slower", "compared_at",
    )  # fmt: skip
    list_filter = (
        filters.LaunchFilter,
        filters.VersionFilter,
        filters.OutcomeFilter,
        filters.PlacedFilter,
    )
    narrowing = ("version", "outcome")


@admin.register(FinalVerdict)
class FinalVerdictAdmin(ShownText, FactAdmin):
    """The final words on the candidates of launches that have ended, newest first."""

    list_display = ("at", "launch", "version", "word", "orders")


@admin.register(Tally)
class TallyAdmin(ShownText, FactAdmin):
    """The running state of each version in each launch."""

    list_display = (
        "version", "role", "launch", "orders", "handled", "failed", "missing", "late", "repeats",
        "pairs", "newest_at",
    )  # fmt: skip


@admin.register(DeadLetter)
class DeadLetterAdmin(ShownText, FactAdmin):
    """Dead letters, newest first; as many are kept as can be looked through."""

    list_display = ("seen_at", "queue", "version", "order_page", "reason", "size")
    search_fields = ("queue", "reason", "version")
    search_help_text = "A queue, a version, a reason, or an order's number or id"
    date_hierarchy = "seen_at"

    @admin.display(description="order")
    def order_page(self, letter: DeadLetter) -> str:
        """The order that it concerns, where that is known."""
        if letter.order is None:
            return ""
        page = reverse("board_order", args=[letter.order])
        return format_html('<a href="{}">{}</a>', page, letter.order)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By an order, or by words."""
        if order := _order(search_term.strip().removeprefix("#")):
            return queryset.filter(order=order), False
        return super(FactAdmin, self).get_search_results(request, queryset, search_term)


@admin.register(Review)
class ReviewAdmin(ShownText, FactAdmin):
    """Who decided what, when and why: never changed, never deleted."""

    list_display = ("discrepancy", "decision", "note", "author", "decided_at", "replay")
    list_select_related = ("discrepancy", "replay")


@admin.register(Rejudging)
class RejudgingAdmin(ShownText, FactAdmin):
    """Judgements of the past, newest first."""

    list_display = ("launch", "requested_by", "requested_at", "judged", "changed", "finished_at")


@admin.register(Replay)
class ReplayAdmin(ShownText, FactAdmin):
    """Replays, newest first."""

    list_display = (
        "discrepancy", "version", "orders", "requested_by", "requested_at", "finished_at",
    )  # fmt: skip
    list_select_related = ("discrepancy",)
