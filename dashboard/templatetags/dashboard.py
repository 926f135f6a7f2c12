"""Filters and tags of the dashboard's templates: rates, values, rules in words, a discrepancy's
replays, the badge in the menu."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.template import Context
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString

from dashboard.board import wording
from dashboard.board.verdict import requirement_status
from dashboard.comparison.foreign_text import cut_together, pieces, visible, visible_together
from dashboard.comparison.paths import NOTHING
from dashboard.models import DecisionStep, Discrepancy, Rule
from dashboard.pages.replays import Panel, panel
from dashboard.pages.rule_forms import in_words
from dashboard.review.listing import open_count
from restaurant.launches import newest_launch

register = template.Library()

#: Characters of a value in one line.
_VALUE_LENGTH = 400
_ESCAPED = '<span class="escaped">{}</span>'


@register.inclusion_tag("dashboard/_badge.html", takes_context=True)
def open_badge(context: Context, *, replaces: bool = False) -> dict[str, Any]:
    """The number of open discrepancies of the launch; ``replaces``: swaps the page's badge."""
    launch = context.get("launch")
    if launch is None or launch.ended_at is not None:
        launch = newest_launch()
    return {"open": open_count(launch.id) if launch else 0, "replaces": replaces}


@register.filter
def rate(part: float | None) -> str:
    """A share as text."""
    return wording.part(part)


register.filter(requirement_status)


@register.filter
def decision_step(step: str, choice: str) -> str:
    """What somebody did on the way to a decision."""
    return DecisionStep(step).on(choice)


@register.filter
def ago(when: datetime) -> str:
    """How long ago it was."""
    return wording.ago((timezone.now() - when).total_seconds())


@register.filter
def percent_of_width(part: float | None) -> str:
    """A share as an SVG length."""
    return f"{min(1.0, max(0.0, part or 0.0)) * 100:.2f}%"


@register.filter
def plain(text: Any) -> str:
    """Foreign text for an attribute, with every character visible."""
    return visible(str(text))


@register.filter
def shown(text: Any) -> SafeString:
    """Foreign text as HTML, with every character visible, and isolated if right-to-left."""
    return _marked_up(str(text))


@register.filter
def shown_lines(text: Any) -> SafeString:
    """Like `shown`, with line breaks kept."""
    return _marked_up(str(text), lines=True)


@register.filter
def beside(text: Any, other: Any) -> SafeString:
    """A text shown beside another one, cut so that a difference between the two stays visible."""
    both = cut_together([str(text), str(other)], _VALUE_LENGTH)
    return shown(visible_together(both)[0])


@register.filter
def json_beside(value: Any, other: Any) -> SafeString:
    """Like `beside`, for two JSON values; empty where there is none."""
    return beside(_json(value), _json(other))


@register.filter
def as_json(value: Any) -> str:
    """A value as shortened JSON; empty if there is none."""
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
    """A number as in ``1,204``."""
    return wording.count(number)


@register.filter
def milliseconds(number: float | None) -> str:
    """A measured time, as in ``214 ms``."""
    return wording.duration(number)


@register.filter
def took(seconds: float) -> str:
    """A short time, as in ``0.2 s`` and ``35 ms``."""
    return wording.duration(seconds * 1000) if seconds < 1 else wording.age(seconds)


@register.filter
def percent(of_100: Decimal) -> str:
    """A dark version's percent, as in ``20 %``."""
    return wording.share(float(of_100))


@register.filter
def cut(text: str, length: int) -> str:
    """A text cut to a length."""
    text = str(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


@register.filter
def words(name: str) -> str:
    """A state or kind as text: ``by design`` for ``by_design``."""
    return str(name).replace("_", " ")


@register.filter
def rule_in_words(rule: Rule) -> str:
    """What a rule does."""
    return in_words(rule)


@register.simple_tag
def replay_panel(discrepancy: Discrepancy) -> Panel:
    """The replays of a discrepancy, and whether there can be another."""
    return panel(discrepancy)
