"""Discrepancies in the admin: facts, decisions and exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from dashboard.access import may_review
from dashboard.admin import lists
from dashboard.admin.lists import ShownText
from dashboard.comparison.outcome import Decision
from dashboard.models import Discrepancy, Participant
from dashboard.models.orders import choices
from dashboard.review.listing import Format, export, row_of, rows_of
from dashboard.review.reviews import (
    AT_ONCE,
    MAX_NOTE,
    ReviewConflict,
    ReviewRefused,
    SeenRevision,
    review,
)
from kitchen_worker.contract.messages import Role
from restaurant.admin import FactAdmin
from restaurant.models import Launch

#: Decisions that need no evidence; closing as fixed happens on the page of a replay.
DECISIONS = (Decision.BUG, Decision.BY_DESIGN, Decision.NOISE, Decision.OPEN)


class DecisionForm(forms.Form):
    """A decision with a note, on discrepancies as they were seen."""

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

    def clean_seen(self) -> list[SeenRevision]:
        """All values, not only the last."""
        try:
            return [SeenRevision.read(text) for text in self.data.getlist("seen")]  # type: ignore[attr-defined]
        except ValueError as wrong:
            raise forms.ValidationError(str(wrong)) from wrong


def decided(request: HttpRequest, form: DecisionForm) -> bool:
    """Decide, and report the result to the user; returns whether it was saved."""
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
        form.add_error(None, f"Not saved. {_newer(conflict.changed)}")
        return False
    messages.success(
        request, f"Decision saved for {len(rows)} discrepanc{'y' if len(rows) == 1 else 'ies'}."
    )
    return True


def _newer(changed: Sequence[Discrepancy]) -> str:
    states = [f"{one} is {one.get_state_display()}" for one in changed[:5]]
    return f"Someone else decided in the meantime: {'; '.join(states)}. Check it and decide again."


_FILES = {Format.CSV: "CSV", Format.JSONL: "JSON Lines", Format.MARKDOWN: "Markdown"}


def _decide(decision: Decision) -> Callable[..., HttpResponse | None]:
    """An action that asks for a note, then decides."""
    asked = {Decision.OPEN: "Reopen"}.get(decision, f"Decide: {decision.replace('_', ' ')}")

    def act(
        model_admin: DiscrepancyAdmin, request: HttpRequest, queryset: QuerySet[Discrepancy]
    ) -> HttpResponse | None:
        return model_admin.ask(request, queryset, decision)

    # Django identifies an action by its function's name.
    act.__name__ = f"decide_{decision}"
    return admin.action(description=f"{asked} …", permissions=["review"])(act)


def _export(form: Format) -> Callable[..., HttpResponseBase]:
    """An action that exports the selected ones."""

    def act(
        model_admin: DiscrepancyAdmin, request: HttpRequest, queryset: QuerySet[Discrepancy]
    ) -> HttpResponseBase:
        return export(rows_of(queryset), form)

    act.__name__ = f"export_{form}"
    return admin.action(description=f"Export as {_FILES[form]}")(act)


@admin.register(Discrepancy)
class DiscrepancyAdmin(ShownText, FactAdmin):
    """The discrepancies of one launch, most frequent first; read-only but for decisions."""

    list_display = (
        "path", "version", "kind", "state", "count", "rate", "noise_rate", "ignored",
        "first_seen_at", "last_seen_at",
    )  # fmt: skip
    list_filter = (
        lists.LaunchFilter,
        lists.VersionFilter,
        lists.DecisionFilter,
        lists.GroupKindFilter,
    )
    ordering: ClassVar = ["-count", "-pk"]
    search_fields = ("path",)
    search_help_text = "A part of the path"
    narrowing: ClassVar = ("version", "state", "kind")
    change_form_template = "admin/dashboard/discrepancy/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Discrepancy]:
        """With the pairs of the version and of the baselines."""
        of_launch = Participant.objects.filter(launch=OuterRef("launch"))
        mine = of_launch.filter(version=OuterRef("version"))
        baselines = of_launch.filter(role=Role.BASELINE)
        same = Discrepancy.objects.filter(
            launch=OuterRef("launch"),
            version__in=baselines.values("version"),
            kind=OuterRef("kind"),
            path=OuterRef("path"),
        )
        rows: QuerySet[Discrepancy] = super().get_queryset(request)
        return rows.annotate(
            pairs=Subquery(mine.values("pairs")),
            noise_pairs=Subquery(_sum(baselines, "pairs")),
            noise_count=Subquery(_sum(same, "count")),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Those of the chosen or newest launch that match the filters and the search."""
        launch = _launch(request.GET.get("launch", ""))
        given = {name: request.GET[name] for name in self.narrowing if request.GET.get(name)}
        if search_term:
            given["path__icontains"] = search_term.strip()
        return queryset.filter(launch=launch, **given), False

    @admin.display(description="rate")
    def rate(self, row: Any) -> str:
        """The share of the version's pairs."""
        return _percent(row.count, row.pairs)

    @admin.display(description="noise rate")
    def noise_rate(self, row: Any) -> str:
        """The share of the baselines' pairs that show the same."""
        return _percent(row.noise_count or 0, row.noise_pairs)

    def has_review_permission(self, request: HttpRequest) -> bool:
        """Who may decide."""
        return may_review(request.user)

    def get_urls(self) -> list[URLPattern]:
        """With the address of the decision form."""
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
        """The facts, the decision form, and the reviews."""
        found = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if found is not None:
            context |= {"row": row_of(found), "reviews": found.reviews.all()[:AT_ONCE]}
            if self.has_review_permission(request):
                context.setdefault("decision_form", DecisionForm())
                context["seen"] = [SeenRevision(found.pk, found.revision)]
        return super().change_view(request, object_id, form_url, context)

    def review_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Decide on one discrepancy."""
        if not self.has_review_permission(request):
            raise PermissionDenied
        found = get_object_or_404(Discrepancy, pk=pk)
        here = reverse("admin:dashboard_discrepancy_change", args=[pk])
        form = DecisionForm(request.POST)
        if request.method != "POST" or decided(request, form):
            return HttpResponseRedirect(here)
        # The page takes only GET; show it with what was typed.
        shown = copy(request)
        shown.method = "GET"
        return self.change_view(shown, str(found.pk), extra_context={"decision_form": form})

    def ask(
        self, request: HttpRequest, queryset: QuerySet[Discrepancy], decision: Decision
    ) -> HttpResponse | None:
        """Show the selected ones and ask for a note; then decide."""
        form = DecisionForm(request.POST if "seen" in request.POST else None)
        if form.is_bound and decided(request, form):
            return None
        rows = list(queryset[: AT_ONCE + 1])
        if len(rows) > AT_ONCE:
            self.message_user(request, f"Select at most {AT_ONCE}.", messages.WARNING)
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
            "seen": [SeenRevision(row.pk, row.revision) for row in rows],
            "media": self.media,
        }
        return TemplateResponse(request, "admin/dashboard/discrepancy/decide.html", context)

    actions = (
        *(_decide(decision) for decision in DECISIONS),
        *(_export(form) for form in Format),
    )


def _launch(asked: str) -> UUID | None:
    """The launch that is asked for, else the newest; None if there is none."""
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
