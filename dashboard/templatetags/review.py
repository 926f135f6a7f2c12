"""What the pages of review write: rates, values, rules in words, and the badge in the menu."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django import template
from django.template import Context
from django.utils import timezone

from dashboard.board import wording
from dashboard.board.frame import newest_launch
from dashboard.domain.comparing.paths import NOTHING
from dashboard.models import Rule
from dashboard.pages.rule_words import in_words
from dashboard.reviewing.discrepancies import open_count

register = template.Library()

#: Longest value that is shown in one line of a page, in characters.
_VALUE_LENGTH = 400


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
def as_json(value: Any) -> str:
    """A value of a document as JSON, shortened; empty for nothing."""
    if value is NOTHING:
        return ""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        text = "[…]" if isinstance(value, list) else "{…}"
    return text if len(text) <= _VALUE_LENGTH else f"{text[: _VALUE_LENGTH - 1]}…"


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
