"""Text from elsewhere in the admin: shown so that a person sees every character of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.template.defaultfilters import linebreaksbr
from django.utils.safestring import SafeString

from dashboard.templatetags.review import shown_lines

if TYPE_CHECKING:  # only the type checker knows that these take types
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = object

_Column = str | Callable[[Any], str | bool]


class ShownText(_Admin):
    """Facts whose texts come from elsewhere."""

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
        """The name of a field, or for a text the function that shows it."""
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
