"""The Content-Security-Policy header: this site's own files only, nothing inline."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_only_middleware

_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)

_View = Callable[[HttpRequest], HttpResponseBase]


@sync_only_middleware
def content_security_policy(get_response: _View) -> _View:
    """Middleware that sets the header unless the view has set it."""

    def guarded(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", _POLICY)
        return response

    return guarded
