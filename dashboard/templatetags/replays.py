"""What the templates of a discrepancy say of its replays."""

from __future__ import annotations

from django import template

from dashboard.models import Discrepancy
from dashboard.pages.replay_pages import Panel, panel

register = template.Library()


@register.simple_tag
def replay_panel(discrepancy: Discrepancy) -> Panel:
    """The replays of a discrepancy, and whether there can be another."""
    return panel(discrepancy)
