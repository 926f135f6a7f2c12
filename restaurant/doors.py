"""Two doors: customers' pages and the dashboard may be served by two processes, at two addresses.

A page of the other door keeps its URL name here, and answers 404 with a link to its address.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import resolve, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from restaurant.environment import Door
from restaurant.path_prefix import below_prefix


@csrf_exempt
@never_cache
def elsewhere(request: HttpRequest, **kwargs: object) -> HttpResponse:
    """A page of the other door: 404 here, whatever the method."""
    there = f"{settings.ENVIRONMENT.other_door}{request.get_full_path_info()}"
    return render(request, "elsewhere.html", {"there": there}, status=404)


def door_url(name: str, *args: object) -> str:
    """The URL of a page: a path at this door, with OTHER_DOOR at the other one."""
    path = reverse(name, args=args)
    below = below_prefix(path)
    is_elsewhere = resolve(below).func is elsewhere
    return f"{settings.ENVIRONMENT.other_door}{below}" if is_elsewhere else path


def this_door() -> Door:
    door: Door = settings.ENVIRONMENT.door
    return door
