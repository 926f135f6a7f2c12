"""Refused forms and WebSockets: which origin was refused, and what to change if it is the site's.

A browser names the origin of the page. Django compares that of a form with the address that the
proxy passes on, and with CSRF_TRUSTED_ORIGINS; Channels compares that of a WebSocket with
ALLOWED_HOSTS.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import ParseResult, urlsplit

from channels.security.websocket import OriginValidator
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import REASON_BAD_ORIGIN
from django.shortcuts import render

logger = logging.getLogger(__name__)

_MOST = 200
#: The forms of people who can't change a setting. Nobody is logged in at the login.
_OF_CUSTOMERS = ("menu", "quote")


def refused_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The page for a form that failed Django's CSRF check; settings.py names it."""
    origin = request.headers.get("Origin", "")[:_MOST]
    known_as = f"{request.scheme}://{request.get_host()}"
    is_foreign = reason == REASON_BAD_ORIGIN % origin and origin != "null"
    remedies = _remedies(origin, known_as) if is_foreign else []
    if is_foreign:
        logger.warning(
            "refused a form of %r, because the proxy presents this site as %s. If that is the"
            " site's address: %s",
            origin,
            known_as,
            "; or ".join(remedies),
            extra={"action": "origin_refused"},
        )
    else:
        path = request.path[:_MOST]
        logger.warning("refused a form to %r: %s", path, reason, extra={"action": "form_refused"})
    context = {
        "origin": origin if is_foreign else "",
        "known_as": known_as,
        "remedies": remedies if _is_for_staff(request) else [],
    }
    is_part = "HX-Request" in request.headers
    template = "_403_csrf.html" if is_part else "403_csrf.html"
    return render(request, template, context, status=403)


def _is_for_staff(request: HttpRequest) -> bool:
    if settings.DEBUG or getattr(getattr(request, "user", None), "is_staff", False):
        return True
    page = request.resolver_match
    return page is not None and page.url_name not in _OF_CUSTOMERS


def _remedies(origin: str, known_as: str) -> list[str]:
    """What makes a form of this origin one of the site's own."""
    sent, own = urlsplit(origin), urlsplit(known_as)
    found = [f"set CSRF_TRUSTED_ORIGINS={origin}"]
    if sent.netloc != own.netloc:
        found.append("have the proxy pass on the Host header with its port")
    if sent.scheme != own.scheme:
        found.append("set HTTPS=1 and have the proxy send X-Forwarded-Proto")
    return found


class Origins(OriginValidator):
    """ASGI middleware: refuses the WebSockets of pages of other hosts, and logs it."""

    def __init__(self, application: Any) -> None:
        super().__init__(application, settings.ALLOWED_HOSTS)

    def valid_origin(self, parsed_origin: ParseResult | None) -> bool:
        """Called with each handshake."""
        if super().valid_origin(parsed_origin):
            return True
        logger.warning(
            "refused a WebSocket of %r: its host is not in ALLOWED_HOSTS (%s). If it is the site's,"
            " add it there",
            parsed_origin.geturl()[:_MOST] if parsed_origin else "a client without an Origin",
            ", ".join(settings.ALLOWED_HOSTS),
            extra={"action": "origin_refused"},
        )
        return False
