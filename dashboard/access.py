"""Permissions: who may see the board, and who may do what."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

_Rest = ParamSpec("_Rest")
_View = Callable[Concatenate[HttpRequest, _Rest], HttpResponseBase]
_User = AbstractBaseUser | AnonymousUser

#: To decide on discrepancies; to create and end rules and rejudge by them; to replay orders; to set
#: a launch's thresholds.
REVIEW = "dashboard.add_review"
RULE = "dashboard.add_rule"
REPLAY = "dashboard.add_replay"
REQUIRE = "dashboard.add_launchrequirements"
#: To start a launch; to change, stop and end one; to decide on its candidates.
START_LAUNCH = "restaurant.add_launch"
CHANGE_LAUNCH = "restaurant.change_launch"
DECIDE = "dashboard.add_launchdecision"


def may_watch(user: _User) -> bool:
    """Anyone if the board is public, else logged-in users."""
    return bool(settings.BOARD_PUBLIC) or (user.is_authenticated and user.is_active)


def may(user: _User, permission: str) -> bool:
    """Whether a user has a permission."""
    return isinstance(user, PermissionsMixin | AnonymousUser) and user.has_perm(permission)


def may_review(user: _User) -> bool:
    return may(user, REVIEW)


def board_access(view: _View[_Rest]) -> _View[_Rest]:
    """Require `may_watch`; others are redirected to the login, also by htmx requests."""

    @wraps(view)
    def guarded(
        request: HttpRequest, /, *args: _Rest.args, **kwargs: _Rest.kwargs
    ) -> HttpResponseBase:
        if may_watch(request.user):
            return view(request, *args, **kwargs)
        return _login(request)

    return guarded


def access_by(permission: str) -> Callable[[_View[_Rest]], _View[_Rest]]:
    """Require a permission; other users get a 403, anonymous ones the login."""

    def guard(view: _View[_Rest]) -> _View[_Rest]:
        @wraps(view)
        def guarded(
            request: HttpRequest, /, *args: _Rest.args, **kwargs: _Rest.kwargs
        ) -> HttpResponseBase:
            if may(request.user, permission):
                return view(request, *args, **kwargs)
            if request.user.is_authenticated:
                raise PermissionDenied
            return _login(request)

        return guarded

    return guard


def _login(request: HttpRequest) -> HttpResponse:
    """Redirect to the login; it returns to the requested page, or after a POST to the board."""
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": redirect_to_login(reverse("board")).url})
    asked = request.get_full_path() if request.method in ("GET", "HEAD") else reverse("board")
    return redirect_to_login(asked)
