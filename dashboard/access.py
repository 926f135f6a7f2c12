"""Who may watch the board, and who may review: one answer for pages, acts and the socket."""

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

#: What a user needs to decide, to make and end rules and judge the past by them, to send orders
#: again, and to set what is required of a launch's candidates.
REVIEW = "dashboard.add_review"
RULE = "dashboard.add_rule"
REPLAY = "dashboard.add_replay"
REQUIRE = "dashboard.add_launchrequirements"


def may_watch(user: _User) -> bool:
    """Anybody while the board is public, else whoever is logged in."""
    return bool(settings.BOARD_PUBLIC) or (user.is_authenticated and user.is_active)


def may(user: _User, permission: str) -> bool:
    """Whether a user has a permission; nobody who is not logged in has any."""
    return isinstance(user, PermissionsMixin | AnonymousUser) and user.has_perm(permission)


def may_review(user: _User) -> bool:
    """Whether a user may decide on discrepancies."""
    return may(user, REVIEW)


def board_access(view: _View[_Rest]) -> _View[_Rest]:
    """Send whoever may not watch to the login, the whole page also when htmx asked for a part."""

    @wraps(view)
    def guarded(
        request: HttpRequest, /, *args: _Rest.args, **kwargs: _Rest.kwargs
    ) -> HttpResponseBase:
        if may_watch(request.user):
            return view(request, *args, **kwargs)
        return _login(request)

    return guarded


def access_by(permission: str) -> Callable[[_View[_Rest]], _View[_Rest]]:
    """Let those with a permission pass; send anybody else to the login, or, if logged in, away."""

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


def review_access(view: _View[_Rest]) -> _View[_Rest]:
    """Let those pass who may decide on discrepancies."""
    return access_by(REVIEW)(view)


def _login(request: HttpRequest) -> HttpResponse:
    """The login, and then the page that was asked for; after an act, the board."""
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": redirect_to_login(reverse("board")).url})
    asked = request.get_full_path() if request.method in ("GET", "HEAD") else reverse("board")
    return redirect_to_login(asked)
