"""The Content-Security-Policy header: nothing but this site's own files, and nothing inline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)

_Answer = HttpResponseBase | Awaitable[HttpResponseBase]


class ContentSecurityPolicy:
    """Middleware of both kinds, so that it costs no hop between threads."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], _Answer]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> _Answer:
        answer = self.get_response(request)
        if isinstance(answer, HttpResponseBase):
            return _guarded(answer)
        return _guarded_later(answer)


async def _guarded_later(answer: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    return _guarded(await answer)


def _guarded(response: HttpResponseBase) -> HttpResponseBase:
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    return response
