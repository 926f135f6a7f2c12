"""Discrepancies in the admin: listed beside their noise, decided on, exported."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from dashboard.access import may_review
from dashboard.admin import filters
from dashboard.admin.deciding import DECISIONS, DecisionForm, decided
from dashboard.admin.shown import ShownText
from dashboard.domain.decision import Decision
from dashboard.models import Discrepancy, Tally
from dashboard.reviewing.discrepancies import row_of, rows_of
from dashboard.reviewing.exports import Format, export
from dashboard.reviewing.reviews import AT_ONCE, Seen
from kitchen_worker.contract.messages import Role
from restaurant.admin import FactAdmin
from restaurant.models import DarkVersion, Launch

_FILES = {Format.CSV: "CSV", Format.JSONL: "JSON Lines", Format.MARKDOWN: "Markdown"}


def _decide(decision: Decision) -> Callable[..., HttpResponse | None]:
    """An action that asks for a note, and then decides."""
    asked = {Decision.OPEN: "Reopen"}.get(decision, f"Decide: {decision.replace('_', ' ')}")

    def act(
        model_admin: DiscrepancyAdmin, request: HttpRequest, queryset: QuerySet[Discrepancy]
    ) -> HttpResponse | None:
        return model_admin.ask(request, queryset, decision)

    # An action goes by its function's name.
    act.__name__ = f"decide_{decision}"
    return admin.action(description=f"{asked} …", permissions=["review"])(act)


def _export(form: Format) -> Callable[..., HttpResponseBase]:
    """An action that gives the selected ones as a file."""

    def act(
        model_admin: DiscrepancyAdmin, request: HttpRequest, queryset: QuerySet[Discrepancy]
    ) -> HttpResponseBase:
        return export(rows_of(queryset), form)

    act.__name__ = f"export_{form}"
    return admin.action(description=f"Export as {_FILES[form]}")(act)


@admin.register(Discrepancy)
class DiscrepancyAdmin(ShownText, FactAdmin):
    """The discrepancies of one launch, by number of pairs; only decisions change them."""

    list_display = (
        "path", "version", "kind", "state", "count", "rate", "noise_rate", "ignored",
        "first_seen_at", "last_seen_at",
    )  # fmt: skip
    list_filter = (
        filters.OneLaunchFilter,
        filters.VersionFilter,
        filters.DecisionFilter,
        filters.GroupKindFilter,
    )
    ordering: ClassVar = ["-count", "-pk"]
    search_fields = ("path",)
    search_help_text = "A part of the path"
    shows_control = False
    narrowing: ClassVar = ("version", "state", "kind")
    change_form_template = "admin/dashboard/discrepancy/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Discrepancy]:
        """With the pairs of its version, and the same of the baselines."""
        mine = Tally.objects.filter(launch=OuterRef("launch"), version=OuterRef("version"))
        baselines = DarkVersion.objects.filter(
            launch=OuterRef("launch"), role=Role.BASELINE
        ).values("version")
        tallies = Tally.objects.filter(launch=OuterRef("launch"), version__in=baselines)
        same = Discrepancy.objects.filter(
            launch=OuterRef("launch"),
            version__in=baselines,
            kind=OuterRef("kind"),
            path=OuterRef("path"),
        )
        rows: QuerySet[Discrepancy] = super().get_queryset(request)
        return rows.annotate(
            pairs=Subquery(mine.values("pairs")),
            noise_pairs=Subquery(_sum(tallies, "pairs")),
            noise_count=Subquery(_sum(same, "count")),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Those of the launch that was chosen, or of the newest, with these words in their path."""
        launch = _launch(request.GET.get("launch", ""))
        given = {name: request.GET[name] for name in self.narrowing if request.GET.get(name)}
        if search_term:
            given["path__icontains"] = search_term.strip()
        return queryset.filter(launch=launch, **given), False

    @admin.display(description="rate")
    def rate(self, row: Any) -> str:
        """The part of the version's pairs."""
        return _percent(row.count, row.pairs)

    @admin.display(description="noise rate")
    def noise_rate(self, row: Any) -> str:
        """The part of the baseline's pairs that show the same."""
        return _percent(row.noise_count or 0, row.noise_pairs)

    def has_review_permission(self, request: HttpRequest) -> bool:
        """Who may decide."""
        return may_review(request.user)

    def get_urls(self) -> list[URLPattern]:
        """With the address to which the form of a discrepancy's page goes."""
        here = path(
            "<int:pk>/review/",
            self.admin_site.admin_view(self.review_view),
            name="dashboard_discrepancy_review",
        )
        return [here, *super().get_urls()]

    def view_on_site(self, obj: Discrepancy) -> str:
        """Its page, with its examples."""
        return reverse("discrepancy", args=[obj.pk])

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The facts, the form to decide, and what was decided before."""
        found = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if found is not None:
            context |= {"row": row_of(found), "reviews": found.reviews.all()[:AT_ONCE]}
            if self.has_review_permission(request):
                context.setdefault("decision_form", DecisionForm())
                context["seen"] = [Seen(found.pk, found.revision)]
        return super().change_view(request, object_id, form_url, context)

    def review_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Decide on one, as its page asks."""
        if not self.has_review_permission(request):
            raise PermissionDenied
        found = get_object_or_404(Discrepancy, pk=pk)
        here = reverse("admin:dashboard_discrepancy_change", args=[pk])
        form = DecisionForm(request.POST)
        if request.method != "POST" or decided(request, form):
            return HttpResponseRedirect(here)
        # The page of facts takes no POST; this one shows it with what was typed.
        shown = copy(request)
        shown.method = "GET"
        return self.change_view(shown, str(found.pk), extra_context={"decision_form": form})

    def ask(
        self, request: HttpRequest, queryset: QuerySet[Discrepancy], decision: Decision
    ) -> HttpResponse | None:
        """Show what would be decided on, and ask for a note; then decide."""
        form = DecisionForm(request.POST if "seen" in request.POST else None)
        if form.is_bound and decided(request, form):
            return None
        rows = list(queryset[: AT_ONCE + 1])
        if len(rows) > AT_ONCE:
            self.message_user(request, f"At most {AT_ONCE} at once.", messages.WARNING)
            return None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Decide: {decision.replace('_', ' ')}",
            "form": form if form.is_bound else DecisionForm(),
            "decision": decision,
            "action": request.POST.get("action", ""),
            "checkbox": ACTION_CHECKBOX_NAME,
            "rows": list(rows_of(rows)),
            "seen": [Seen(row.pk, row.revision) for row in rows],
            "media": self.media,
        }
        return TemplateResponse(request, "admin/dashboard/discrepancy/decide.html", context)

    actions = (
        *(_decide(decision) for decision in DECISIONS),
        *(_export(form) for form in Format),
    )


def _launch(asked: str) -> UUID | None:
    """The launch that is asked for, the newest if none is, None if there is no such thing."""
    if not asked:
        return Launch.objects.values_list("pk", flat=True).first()
    try:
        return UUID(asked)
    except ValueError:
        return None


def _sum(rows: QuerySet[Any], column: str) -> QuerySet[Any]:
    summed: QuerySet[Any] = rows.order_by().values("launch").annotate(sum=Sum(F(column)))
    return summed.values("sum")


def _percent(count: int, pairs: int | None) -> str:
    return f"{100 * count / pairs:.2f} %" if pairs else "–"
