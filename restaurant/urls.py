"""Combines both halves: the restaurant's pages and API, and the dashboard's."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path, re_path

from restaurant import api, pages
from restaurant.doors import elsewhere
from restaurant.environment import Door
from restaurant.visitors import limited_logins

_Patterns = list[URLPattern | URLResolver]
_View = Callable[..., HttpResponseBase]

_PROBES: _Patterns = [
    path("api/health", api.health, name="api_health"),
    path("api/ready", api.ready, name="api_ready"),
]


def patterns_of(door: Door) -> _Patterns:
    """The URL patterns of one door, or of both."""
    patterns = list(_PROBES)
    patterns += _dashboard() if door is not Door.CUSTOMERS else _DASHBOARD_ELSEWHERE
    return patterns + _customers(door)


def _customers(door: Door) -> _Patterns:
    def here(view: _View) -> _View:
        return elsewhere if door is Door.DASHBOARD else view

    return [
        path("", here(pages.menu), name="menu"),
        path("quote/", here(pages.quote), name="quote"),
        path("ticket/<uuid:uuid>/", here(pages.ticket), name="ticket"),
        path("ticket/<uuid:uuid>/state/", here(pages.ticket_state), name="ticket_state"),
        path("orders", here(api.orders), name="api_orders"),
        path("orders/items", here(api.items), name="api_items"),
    ]


def _dashboard() -> _Patterns:
    login = LoginView.as_view(template_name="login.html")
    return [
        path("login/", limited_logins(login), name="login"),
        path("logout/", LogoutView.as_view(), name="logout"),
        path("admin/login/", limited_logins(admin.site.login)),
        path("admin/", admin.site.urls),
        path("dashboard/", include("dashboard.urls")),
    ]


#: Prefixes only: the dashboard's URL patterns are not loaded at the other door.
_DASHBOARD_ELSEWHERE: _Patterns = [
    re_path("^login/", elsewhere, name="login"),
    re_path("^logout/", elsewhere, name="logout"),
    re_path("^admin/", elsewhere),
    re_path("^dashboard/", elsewhere, name="board"),
]

urlpatterns = patterns_of(settings.ENVIRONMENT.door)
