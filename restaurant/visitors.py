"""Identifies clients, and limits how much each may request."""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from ipaddress import ip_address, ip_network
from time import monotonic
from typing import Any

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.timezone import now

logger = logging.getLogger(__name__)

#: Maximum number of clients that a limit remembers; the longest inactive are dropped.
_MOST_CLIENTS = 10_000
#: Size of a burst, in seconds' worth of the rate.
_BURST_S = 10
#: Close code for a client with too many sockets.
TOO_MANY_SOCKETS = 4429


class RateLimit:
    """A steady rate per client, with small bursts."""

    def __init__(self) -> None:
        #: By client: when its requests so far will be used up.
        self._even_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, client: str, *, per_minute: int) -> int:
        """Take a client's turn: 0, or for how many seconds it must wait."""
        if not per_minute:
            return 0
        now, each_s = monotonic(), 60 / per_minute
        with self._lock:
            even_at = max(self._even_at.get(client, now), now)
            wait_s = even_at + each_s - now - max(_BURST_S, each_s)
            if wait_s > 0:
                return math.ceil(wait_s)
            self._even_at[client] = even_at + each_s
            self._even_at.move_to_end(client)
            if len(self._even_at) > _MOST_CLIENTS:
                self._even_at.popitem(last=False)
        return 0


_orders, _logins = RateLimit(), RateLimit()


def order_wait_s(request: HttpRequest) -> int:
    """Count an order of this client: 0 if it may order now, or else how long it must wait."""
    wait_s = _orders.wait_s(_client(request), per_minute=settings.ENVIRONMENT.orders_per_minute)
    return _logged(request, "orders", wait_s)


def limited_logins(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Limit the login attempts of each client per minute."""

    @wraps(view)
    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST":
            rate = settings.ENVIRONMENT.logins_per_minute
            wait_s = _logged(request, "logins", _logins.wait_s(_client(request), per_minute=rate))
            if wait_s:
                return too_many(request, max(wait_s, _lock_s(request)))
        return view(request, *args, **kwargs)

    return limited


def locked_out(
    request: HttpRequest, response: HttpResponseBase | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """The response of django-axes to too many wrong passwords; its settings name this function."""
    cool_off_s = math.ceil(settings.AXES_COOLOFF_TIME.total_seconds())
    return too_many(request, _lock_s(request) or cool_off_s)


def _lock_s(request: HttpRequest) -> int:
    """For how many more seconds a name is locked for the client's address.

    django-axes keeps failures per browser, and locks by their sum.
    """
    name, since = request.POST.get("username", ""), now() - settings.AXES_COOLOFF_TIME
    if "\0" in name:  # databases can't search for NUL
        return 0
    # The customers' door has no logins, and no such model.
    attempts = apps.get_model("axes", "AccessAttempt").objects.filter(
        username=name, ip_address=request.META.get("REMOTE_ADDR"), attempt_time__gt=since
    )
    failures = 0
    for attempt in attempts.order_by("-attempt_time")[: settings.AXES_FAILURE_LIMIT]:
        failures += attempt.failures_since_start
        if failures >= settings.AXES_FAILURE_LIMIT:
            left: timedelta = attempt.attempt_time - since
            return math.ceil(left.total_seconds())
    return 0


def too_many(request: HttpRequest, wait_s: int) -> HttpResponse:
    """The page that asks a client to wait."""
    page = render(request, "429.html", {"wait_s": wait_s}, status=429)
    page.headers["Retry-After"] = str(wait_s)
    return page


def _logged(request: HttpRequest, what: str, wait_s: int) -> int:
    if wait_s:
        logger.warning(
            "too many %s from %s", what, _client(request), extra={"action": "client_limited"}
        )
    return wait_s


def _client(request: HttpRequest) -> str:
    return network_of(request.META.get("REMOTE_ADDR", ""))


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ip_network((parsed.packed, 64), strict=False))


class ClientAddress:
    """ASGI middleware: takes the client's address from trusted proxies.

    Each of them appends the address of its own client to ``X-Forwarded-For``. Anything before their
    entries may be forged.
    """

    def __init__(self, application: Any, *, proxies: int) -> None:
        self._application = application
        self._proxies = proxies

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._proxies and (address := self._forwarded(scope)):
            scope = {**scope, "client": [address, 0]}
        await self._application(scope, receive, send)

    def _forwarded(self, scope: Any) -> str | None:
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        entries = b",".join(lines).decode("latin-1").split(",")
        if len(entries) < self._proxies:
            return None
        try:
            return str(ip_address(entries[-self._proxies].strip()))
        except ValueError:
            return None


class LimitedSockets:
    """ASGI middleware: limits the WebSockets of each client; 0 for no limit."""

    def __init__(self, application: Any, *, per_client: int) -> None:
        self._application = application
        self._per_client = per_client
        self._open = Counter[str]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a socket, or accept and close it: a refused handshake would carry no close code."""
        client = network_of((scope.get("client") or [""])[0])
        if self._per_client and self._open[client] >= self._per_client:
            logger.warning("too many sockets from %s", client, extra={"action": "client_limited"})
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": TOO_MANY_SOCKETS})
            return
        self._open[client] += 1
        try:
            await self._application(scope, receive, send)
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
