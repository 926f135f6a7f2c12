"""What the lists of the admin share: filters, and texts from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import linebreaksbr
from django.utils.safestring import SafeString

from dashboard.comparison.judgement import GroupKind
from dashboard.comparison.outcome import Decision
from dashboard.models.orders import choices
from dashboard.templatetags.dashboard import shown_lines
from restaurant.models import DarkVersion, Launch

#: Launches to choose from, and those whose versions are.
_LAUNCHES = 30


class Chosen(admin.SimpleListFilter):
    """A filter that the list's own admin applies."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Unchanged."""
        return queryset


class LaunchFilter(Chosen):
    """One of the newest launches; by default the newest."""

    title = "launch"
    parameter_name = "launch"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The newest launches."""
        return [(str(one.pk), one.name) for one in Launch.objects.all()[:_LAUNCHES]]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Without "all"."""
        every, *launches = super().choices(changelist)
        if every["selected"] and launches:
            launches[0]["selected"] = True
        yield from launches


class VersionFilter(Chosen):
    """A version of the newest launches."""

    title = "version"
    parameter_name = "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Their dark versions."""
        launches = list(Launch.objects.all()[:_LAUNCHES])
        dark = DarkVersion.objects.filter(launch__in=launches).values_list("version", flat=True)
        return [(name, name) for name in sorted(set(dark))]


class KindFilter(Chosen):
    """One of a fixed number of choices."""

    words: ClassVar[type[StrEnum]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The words."""
        return choices(self.words)


class DecisionFilter(KindFilter):
    """The state of a discrepancy."""

    title, parameter_name, words = "state", "state", Decision


class GroupKindFilter(KindFilter):
    """The kind of a discrepancy."""

    title, parameter_name, words = "kind", "kind", GroupKind


if TYPE_CHECKING:  # only the type checker knows that these take types
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = object

_Column = str | Callable[[Any], str | bool]


class ShownText(_Admin):
    """Facts with texts from elsewhere, whose every character is made visible."""

    def get_list_display(self, request: HttpRequest) -> list[_Column]:
        """The columns."""
        return [self._shown(name) for name in super().get_list_display(request)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The fields of one."""
        return [
            (name, {**options, "fields": [self._shown(field) for field in options["fields"]]})
            for name, options in super().get_fieldsets(request, obj)
        ]

    def _shown(self, name: Any) -> Any:
        """The name of a field, or the function that shows it, for a text."""
        known = {field.name: field for field in self.opts.get_fields()}
        field = known.get(name)
        if not isinstance(field, models.CharField | models.TextField) or field.choices:
            return name

        @admin.display(description=str(field.verbose_name))
        def text(row: Any) -> SafeString | str:
            value = getattr(row, field.name)
            return linebreaksbr(shown_lines(value)) if value else "-"

        text.__name__ = field.name
        return text
