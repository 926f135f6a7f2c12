"""The ASGI application: HTTP to Django, WebSockets to the board."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path
from twisted.internet.defer import Deferred

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "restaurant.settings")
# Django must be set up before consumers are imported, because they use its models.
pages = get_asgi_application()

from restaurant.api import MAX_BODY  # noqa: E402
from restaurant.environment import Door  # noqa: E402
from restaurant.origins import Origins  # noqa: E402
from restaurant.path_prefix import BelowPrefix  # noqa: E402
from restaurant.request_limits import limit_requests  # noqa: E402
from restaurant.thread_pools import THREADS, PooledThreads  # noqa: E402
from restaurant.visitors import ClientAddress, LimitedSockets  # noqa: E402

if settings.ENVIRONMENT.door is not Door.CUSTOMERS:
    from dashboard.board.consumers import BoardConsumer
    from dashboard.board.live import Hub
    from restaurant.sessions import with_user

limit_requests(body_bytes=MAX_BODY, seconds=settings.ENVIRONMENT.request_s)
pooled = PooledThreads(pages, threads=THREADS[settings.ENVIRONMENT.door])

# The first import of the reactor determines its kind: it must be Daphne's.
from twisted.internet import reactor  # noqa: E402


def _stop() -> Deferred[None]:
    return Deferred.fromFuture(asyncio.ensure_future(pooled.stop()))


# A stopping server doesn't wait for its application's threads by itself.
reactor.addSystemEventTrigger("before", "shutdown", _stop)  # type: ignore[arg-type]


async def _refuse_socket(scope: Any, receive: Any, send: Any) -> None:
    """The customers' door has no WebSockets: refuse the handshake with 403."""
    await send({"type": "websocket.close"})


def _sockets() -> Any:
    if settings.ENVIRONMENT.door is Door.CUSTOMERS:
        return _refuse_socket
    board = BoardConsumer.as_asgi(hub=Hub(settings.ENVIRONMENT.amqp_url))
    routes = with_user(URLRouter([path("dashboard/live/", board)]))
    limited = LimitedSockets(routes, per_client=settings.ENVIRONMENT.sockets_per_client)
    return Origins(limited)


router = ProtocolTypeRouter({"http": pooled, "websocket": _sockets()})
below = BelowPrefix(router, prefix=settings.ENVIRONMENT.path_prefix)
application = ClientAddress(below, proxies=settings.ENVIRONMENT.trusted_proxies)
