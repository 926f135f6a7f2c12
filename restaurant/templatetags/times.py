"""Times of day in templates: UTC as the server writes them, local where there is JavaScript."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template
from django.utils.dateformat import format as as_text
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def age(when: datetime | float, form: str = "age") -> SafeString:
    """A time that ``static/js/board/ages.js`` turns into how old it is.

    ``age``: for how long; ``ago`` and, to a tenth of a second, ``exact``: how long ago.
    """
    when = when.astimezone(UTC) if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)
    return format_html(
        '<time datetime="{}" data-age="{}">{}{} UTC</time>',
        when.isoformat(), form, "since " * (form == "age"), as_text(when, "j M, H:i:s"),
    )  # fmt: skip


@register.simple_tag
def moment(when: datetime, form: str, css: str = "") -> SafeString:
    """A time in Django's letters ``j M Y H i s``, which ``static/js/times.js`` reads as well."""
    when = when.astimezone(UTC)
    return format_html(
        '<time class="{}" datetime="{}" data-clock="{}">{} UTC</time>',
        css, when.isoformat(), form, as_text(when, form),
    )  # fmt: skip
