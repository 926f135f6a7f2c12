"""What the pages of review write: rates, values, rules in words, and the badge in the menu."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django import template
from django.template import Context
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString

from dashboard.board import wording
from dashboard.domain.comparing.paths import NOTHING
from dashboard.domain.foreign_text import cut_together, pieces, visible, visible_together
from dashboard.models import Rule
from dashboard.pages.rule_words import in_words
from dashboard.reviewing.discrepancies import open_count
from restaurant.launches import newest_launch

register = template.Library()

#: Longest value that is shown in one line of a page, in characters.
_VALUE_LENGTH = 400
_ESCAPED = '<span class="escaped">{}</span>'


@register.inclusion_tag("dashboard/_badge.html", takes_context=True)
def open_badge(context: Context, *, anew: bool = False) -> dict[str, Any]:
    """How many discrepancies of the present launch wait for somebody, in a few queries.

    ``anew``: to take the place of the badge that a page has already.
    """
    launch = context.get("launch")
    if launch is None or launch.ended_at is not None:
        launch = newest_launch()
    return {"open": open_count(launch.id) if launch else 0, "anew": anew}


@register.filter
def rate(part: float | None) -> str:
    """A part of one as it is read."""
    return wording.part(part)


@register.filter
def ago(when: datetime) -> str:
    """How long ago something was."""
    return wording.ago((timezone.now() - when).total_seconds())


@register.filter
def percent_of_width(part: float | None) -> str:
    """A part of one as an SVG length."""
    return f"{min(1.0, max(0.0, part or 0.0)) * 100:.2f}%"


@register.filter
def plain(text: Any) -> str:
    """Text from elsewhere for a title or an attribute: every character of it is seen."""
    return visible(str(text))


@register.filter
def shown(text: Any) -> SafeString:
    """Text from elsewhere for a page: every character is seen, and it turns nothing else round."""
    return _marked_up(str(text))


@register.filter
def shown_lines(text: Any) -> SafeString:
    """The same for text of several lines, which stay."""
    return _marked_up(str(text), lines=True)


@register.filter
def beside(text: Any, other: Any) -> SafeString:
    """Text that is shown beside another, from which a person can tell it."""
    both = cut_together([str(text), str(other)], _VALUE_LENGTH)
    return shown(visible_together(both)[0])


@register.filter
def json_beside(value: Any, other: Any) -> SafeString:
    """A value of a document as JSON, beside another; empty for nothing."""
    return beside(_json(value), _json(other))


@register.filter
def as_json(value: Any) -> str:
    """A value of a document as JSON, shortened; empty for nothing."""
    return visible(cut(_json(value), _VALUE_LENGTH))


def _json(value: Any) -> str:
    if value is NOTHING:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "[…]" if isinstance(value, list) else "{…}"


def _marked_up(text: str, *, lines: bool = False) -> SafeString:
    if text.isascii() and (text.replace("\n", "") if lines else text).isprintable():
        return conditional_escape(text)
    parts = format_html_join(
        "",
        "{}{}",
        (
            (("", part) if not is_escape else (format_html(_ESCAPED, part), ""))
            for part, is_escape in pieces(text, lines=lines)
        ),
    )
    return format_html("<bdi>{}</bdi>", parts)


@register.filter
def count(number: int | None) -> str:
    """A number of things as it is read: ``1,204``."""
    return wording.count(number)


@register.filter
def cut(text: str, length: int) -> str:
    """A text as far as a line has room for it."""
    text = str(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


@register.filter
def words(name: str) -> str:
    """A state or a kind as it is read: ``by design`` for ``by_design``."""
    return str(name).replace("_", " ")


@register.filter
def rule_in_words(rule: Rule) -> str:
    """What a rule does."""
    return in_words(rule)
