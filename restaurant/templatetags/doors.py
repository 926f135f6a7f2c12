"""Links to pages that may be at the other door."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.template import Context

from restaurant.doors import door_url, this_door

register = template.Library()


@register.simple_tag(takes_context=True)
def is_for_engineers(context: Context) -> bool:
    """Whether the navigation offers the board's pages: to all if it is public, else to users."""
    user = context.get("user")
    return bool(settings.BOARD_PUBLIC) or bool(user is not None and user.is_authenticated)


register.simple_tag(door_url)
register.simple_tag(this_door)
