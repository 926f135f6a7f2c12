"""The restaurant's admin: launches to change, orders and letters to read."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from kitchen_worker.contract.messages import utc_now
from restaurant.launches import LaunchRefused, check_versions, end_launch, open_launch
from restaurant.models import DarkVersion, Launch, Letter, Order, OrderLine

if TYPE_CHECKING:  # only the type checker knows that these take types
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

#: Rows that lists count and page through; what lies beyond is found by searching.
COUNTED = 5_000


class BoundedPaginator(_Paginator):
    """Pages through the first rows, and never counts a whole table."""

    @cached_property
    def count(self) -> int:
        """The number of rows, at most ``COUNTED``."""
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.values("pk")[:COUNTED].count()
        return min(len(rows), COUNTED)


class ReadOnly:
    """Facts: nobody adds, changes or deletes them."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody may."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody may."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody may."""
        return False


class FactAdmin(ReadOnly, _Admin):
    """A list of facts of any length."""

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
        """Find by the order's number ("1042", "#1042") or by its id."""
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
    """An order's lines."""

    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(FactAdmin):
    """Orders, newest first."""

    list_display = ("__str__", "uuid", "placed_at", "state", "total_price", "launch", "note")
    list_select_related = ("launch",)
    search_fields = ("id", "uuid")
    search_help_text = "An order's number or id"
    inlines = (OrderLines,)


@admin.register(Letter)
class LetterAdmin(FactAdmin):
    """Letters, newest first."""

    list_display = ("order", "launch", "sample", "sent_at")
    list_select_related = ("order", "launch")
    search_fields = ("order",)
    search_help_text = "An order's number or id"
    number_lookup = "order_id"
    uuid_lookup = "order__uuid"
    fields = ("order", "launch", "sample", "sent_at", "message")
    readonly_fields = ("message",)

    @admin.display(description="message")
    def message(self, letter: Letter) -> str:
        """The letter's body as text."""
        return bytes(letter.body).decode(errors="replace")


class LaunchForm(_Form):
    """A launch, of which one alone may be open."""

    def clean(self) -> dict[str, Any] | None:
        """Refuse a second open launch."""
        running = open_launch()
        if self.instance.ended_at is None and running not in (None, self.instance):
            raise ValidationError("A launch is open; end it first.")
        return super().clean()


class DarkVersionForm(_DarkForm):
    """A dark version, whose name and role stay as they were when it joined."""

    class Meta:
        # Narrow, so that a telephone shows the percent, too.
        widgets: ClassVar = {"version": forms.TextInput(attrs={"size": 14})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("version", "role"):
            self.fields[name].disabled = self.instance.pk is not None


class DarkVersionFormSet(_FormSet):
    """A launch's dark versions: each has one part in it."""

    def clean(self) -> None:
        """Refuse a version that has two parts."""
        super().clean()
        said = [form.cleaned_data.get("version") for form in self.forms]
        dark = [version for version in said if version]
        try:
            check_versions(self.instance.control, dark)
        except LaunchRefused as cause:
            raise ValidationError(str(cause)) from cause


class DarkVersions(_Inline):
    """A launch's dark versions, with the percent to change; 0 is the way out."""

    model = DarkVersion
    form = DarkVersionForm
    formset = DarkVersionFormSet
    fields = ("version", "percent", "role")
    extra = 0

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What it did in the launch stays."""
        return False


@admin.register(Launch)
class LaunchAdmin(_Admin):
    """Launches: the percent holds from the next order on, the parts stay, what ended is a fact."""

    form = LaunchForm
    fields = ("name", "control", "started_at", "ended_at")
    list_display = ("name", "control", "versions", "started_at", "ended_at")
    show_full_result_count = False
    inlines = (DarkVersions,)
    actions = ["end"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Launch]:
        """With the versions that the list shows."""
        return super().get_queryset(request).prefetch_related("dark_versions")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Launch | None = None
    ) -> tuple[str, ...]:
        """Who is compared with whom is settled when the launch starts."""
        return ("started_at", "ended_at") if obj is None else ("control", "started_at", "ended_at")

    def has_change_permission(self, request: HttpRequest, obj: Launch | None = None) -> bool:
        """A launch that ended is only looked at."""
        ended = obj is not None and obj.ended_at is not None
        return not ended and super().has_change_permission(request, obj)

    def view_on_site(self, obj: Launch) -> str:
        """The launch's board."""
        return f"{reverse('board')}?launch={obj.pk}"

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A launch is ended, never deleted."""
        return False

    def save_model(self, request: HttpRequest, obj: Launch, form: Any, change: bool) -> None:
        """A new launch starts now."""
        if not change:
            obj.started_at = utc_now()
        super().save_model(request, obj, form, change)

    @admin.display(description="dark versions")
    def versions(self, launch: Launch) -> str:
        """The dark versions with their percent."""
        return ", ".join(str(one) for one in launch.dark_versions.all())

    @admin.action(description="End the selected launches", permissions=["change"])
    def end(self, request: HttpRequest, queryset: QuerySet[Launch]) -> None:
        """End launches: nothing more is sent in the dark."""
        running = [launch for launch in queryset if launch.ended_at is None]
        for launch in running:
            end_launch(launch)
        if running:
            names = ", ".join(launch.name for launch in running)
            said = (
                f"Ended: {names}. This cannot be undone: from the next order on, nothing is dark."
            )
            self.message_user(request, said, messages.SUCCESS)
        else:
            self.message_user(request, "Nothing to end: that was over before.", messages.WARNING)
