"""Links to pages that may be at the other door."""

from __future__ import annotations

from django import template

from restaurant.doors import door_url, this_door

register = template.Library()
register.simple_tag(door_url)
register.simple_tag(this_door)
