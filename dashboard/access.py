"""Who may watch the board: one answer for its pages and for its socket."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

_Rest = ParamSpec("_Rest")
_View = Callable[Concatenate[HttpRequest, _Rest], HttpResponseBase]


def may_watch(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Anybody while the board is public, else whoever is logged in."""
    return bool(settings.BOARD_PUBLIC) or (user.is_authenticated and user.is_active)


def board_access(view: _View[_Rest]) -> _View[_Rest]:
    """Send whoever may not watch to the login, the whole page also when htmx asked for a part."""

    @wraps(view)
    def guarded(
        request: HttpRequest, /, *args: _Rest.args, **kwargs: _Rest.kwargs
    ) -> HttpResponseBase:
        if may_watch(request.user):
            return view(request, *args, **kwargs)
        if "HX-Request" in request.headers:
            return HttpResponse(headers={"HX-Redirect": redirect_to_login(reverse("board")).url})
        return redirect_to_login(request.get_full_path())

    return guarded
