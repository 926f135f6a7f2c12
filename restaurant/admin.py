"""The restaurant's admin: launches can be changed, orders read."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from kitchen_worker.contract.messages import Role
from restaurant.launches import (
    LaunchRefused,
    PlannedEnd,
    add_version,
    check_versions,
    end_launch,
    newest_change,
    open_launch,
    plan_end,
    plan_problems,
    rename_launch,
    set_percent,
    start_launch,
)
from restaurant.models import DarkVersion, Launch, LaunchChange, Order, OrderLine

if TYPE_CHECKING:  # generic for the type checker only
    _Admin = admin.ModelAdmin[Any]
    _Inline = admin.TabularInline[Any, Any]
    _Form = forms.ModelForm[Launch]
    _DarkForm = forms.ModelForm[DarkVersion]
    _FormSet = forms.BaseInlineFormSet[DarkVersion, Launch, Any]
    _Paginator = Paginator[Any]
else:
    _Admin, _Inline = admin.ModelAdmin, admin.TabularInline
    _Form, _DarkForm = forms.ModelForm, forms.ModelForm
    _FormSet, _Paginator = forms.BaseInlineFormSet, Paginator

#: Maximum number of rows that lists count and page through; search finds the rest.
COUNTED = 5_000
_NOTHING_TO_END = "This launch has already ended."


class BoundedPaginator(_Paginator):
    """Pages through the first rows, and never counts a whole table."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.values("pk")[:COUNTED].count()
        return min(len(rows), COUNTED)


class ReadOnly:
    """Facts: no one may add, change or delete them."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class FactAdmin(ReadOnly, _Admin):
    """A list of read-only facts, of any length."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    ordering = ["-pk"]
    sortable_by = []

    #: Lookups of an order's number and of its uuid.
    number_lookup = "pk"
    uuid_lookup = "uuid"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Finds an order by its number ("1042", "#1042") or id."""
        term = search_term.strip().removeprefix("#")
        if not term:
            return queryset, False
        if term.isascii() and term.isdigit() and len(term) < 19:
            return queryset.filter(**{self.number_lookup: int(term)}), False
        try:
            return queryset.filter(**{self.uuid_lookup: UUID(term)}), False
        except ValueError:
            return queryset.none(), False


class OrderLines(ReadOnly, _Inline):
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(FactAdmin):
    list_display = ("__str__", "uuid", "placed_at", "state", "total_price", "launch", "note")
    list_select_related = ("launch",)
    search_fields = ("id", "uuid")
    search_help_text = "An order's number or id"
    inlines = (OrderLines,)
    readonly_fields = ("message",)

    @admin.display(description="message")
    def message(self, order: Order) -> str:
        return bytes(order.body).decode(errors="replace")


class ReasonField(forms.CharField):
    def __init__(self) -> None:
        super().__init__(
            max_length=500,
            help_text="Kept with your name and the time, and shown on the board.",
            error_messages={"required": "Enter a reason."},
            widget=forms.TextInput(attrs={"class": "vTextField"}),
        )


class EndForm(forms.Form):
    reason = ReasonField()


class LaunchForm(_Form):
    """A launch, and the reason for the change."""

    reason = ReasonField()
    #: The newest change when the page was opened.
    seen = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen"] = newest_change(self.instance.pk)

    def clean(self) -> dict[str, Any] | None:
        """Refuse a second open launch, and changes to a launch that was changed meanwhile."""
        running = open_launch()
        if self.instance.ended_at is None and running not in (None, self.instance):
            raise ValidationError("Another launch is running. End it first.")
        if self.cleaned_data.get("seen") != newest_change(self.instance.pk):
            newest = LaunchChange.objects.filter(launch=self.instance).first()
            raise ValidationError(
                f"Not saved: {newest.author} changed this launch meanwhile ({newest})."
                " Reload the page."
                if newest
                else "Reload the page."
            )
        if {"ends_at", "ends_after"} & set(self.changed_data):
            plan = PlannedEnd(self.cleaned_data.get("ends_at"), self.cleaned_data.get("ends_after"))
            for field, message in plan_problems(plan, self.instance.pk).items():
                self.add_error(field, message)
        return super().clean()


class DarkVersionForm(_DarkForm):
    """A dark version; its name and role can't change once it has joined."""

    class Meta:
        # Narrow, so that a phone shows the percent, too.
        widgets: ClassVar = {"version": forms.TextInput(attrs={"size": 14})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("version", "role"):
            self.fields[name].disabled = self.instance.pk is not None


class DarkVersionFormSet(_FormSet):
    def clean(self) -> None:
        """Refuse a version that has two roles."""
        super().clean()
        said = [form.cleaned_data.get("version") for form in self.forms]
        dark = [version for version in said if version]
        try:
            check_versions(self.instance.control, dark)
        except LaunchRefused as cause:
            raise ValidationError(str(cause)) from cause


class DarkVersions(_Inline):
    model = DarkVersion
    form = DarkVersionForm
    formset = DarkVersionFormSet
    fields = ("version", "percent", "role")
    extra = 0

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What the version did in the launch must stay."""
        return False


@admin.register(Launch)
class LaunchAdmin(_Admin):
    """Launches: percents can be changed, versions and roles can't, ended launches are read-only.

    Everything is saved by the functions of ``launches.py``, which record each change.
    """

    form = LaunchForm
    list_display = ("name", "control", "versions", "started_at", "planned_end", "ended_at")
    show_full_result_count = False
    inlines = (DarkVersions,)
    actions = ["end"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Launch]:
        return super().get_queryset(request).prefetch_related("dark_versions")

    def get_fields(self, request: HttpRequest, obj: Launch | None = None) -> list[Any]:
        fields = ["name", "control", "started_at", "ends_at", "ends_after", "ended_at"]
        return [*fields, "reason", "seen"] if self.has_change_permission(request, obj) else fields

    def get_readonly_fields(
        self, request: HttpRequest, obj: Launch | None = None
    ) -> tuple[str, ...]:
        """The control is fixed when the launch starts."""
        return ("started_at", "ended_at") if obj is None else ("control", "started_at", "ended_at")

    def has_change_permission(self, request: HttpRequest, obj: Launch | None = None) -> bool:
        """Ended launches are read-only."""
        ended = obj is not None and obj.ended_at is not None
        return not ended and super().has_change_permission(request, obj)

    def view_on_site(self, obj: Launch) -> str:
        return f"{reverse('board')}?launch={obj.pk}"

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Launches are ended, never deleted."""
        return False

    def get_urls(self) -> list[URLPattern]:
        end = self.admin_site.admin_view(self.end_view)
        return [path("<uuid:pk>/end/", end, name="restaurant_launch_end"), *super().get_urls()]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Locks the launch while the form is checked and saved; orders don't wait."""
        if request.method != "POST":
            return super().changeform_view(request, object_id, form_url, extra_context)
        try:
            with transaction.atomic():
                list(Launch.objects.select_for_update(no_key=True).filter(ended_at=None))
                return super().changeform_view(request, object_id, form_url, extra_context)
        except LaunchRefused as cause:
            self.message_user(request, f"Not saved: {cause}.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Launch, form: Any, change: bool) -> None:
        if change:
            rename_launch(obj, obj.name, **_by(request, form))
            plan_end(obj, _plan(obj), **_by(request, form))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save(commit=False)
        by, launch, added = _by(request, form), form.instance, formset.new_objects
        if not change:
            dark = [(one.version, Role(one.role), one.percent) for one in added]
            start_launch(launch.name, launch.control, dark, pk=launch.pk, plan=_plan(launch), **by)
            return
        for one, _ in formset.changed_objects:
            set_percent(launch, one.version, one.percent, **by)
        for one in added:
            add_version(launch, one.version, Role(one.role), one.percent, **by)

    @admin.display(description="dark versions")
    def versions(self, launch: Launch) -> str:
        return ", ".join(str(one) for one in launch.dark_versions.all())

    @admin.action(description="End the selected launch", permissions=["change"])
    def end(self, request: HttpRequest, queryset: QuerySet[Launch]) -> HttpResponse | None:
        running = queryset.filter(ended_at=None).first()
        if running is not None:
            return redirect("admin:restaurant_launch_end", running.pk)
        self.message_user(request, _NOTHING_TO_END, messages.WARNING)
        return None

    def end_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for the reason and a confirmation, then end the launch."""
        launch = get_object_or_404(Launch, pk=pk)
        if not super().has_change_permission(request, launch):
            raise PermissionDenied
        form = EndForm(request.POST if request.method == "POST" else None)
        if launch.ended_at is not None:
            self.message_user(request, _NOTHING_TO_END, messages.WARNING)
        elif form.is_valid():
            end_launch(launch, **_by(request, form))
            self.message_user(request, f"{launch.name} has ended.", messages.SUCCESS)
        else:
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "original": launch,
                "title": f"End {launch.name}",
                "form": form,
            }
            return TemplateResponse(request, "admin/restaurant/launch/end.html", context)
        return redirect("admin:restaurant_launch_changelist")


@admin.register(LaunchChange)
class LaunchChangeAdmin(FactAdmin):
    list_display = ("at", "launch", "kind", "version", "old", "new", "author", "reason")
    list_select_related = ("launch",)
    search_fields = ("version", "author", "reason")
    search_help_text = "A version, an author or a reason"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Django's own search, by words."""
        return super(FactAdmin, self).get_search_results(request, queryset, search_term)


def _plan(launch: Launch) -> PlannedEnd:
    return PlannedEnd(launch.ends_at, launch.ends_after)


class _By(TypedDict):
    author: str
    reason: str


def _by(request: HttpRequest, form: Any) -> _By:
    return {"author": request.user.get_username(), "reason": form.cleaned_data["reason"]}
