"""The ASGI application: HTTP to Django, WebSockets to the board."""

from __future__ import annotations

import asyncio
import os

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path
from twisted.internet.defer import Deferred

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "restaurant.settings")
# Django must be set up before the consumers, which use its models, are imported.
pages = get_asgi_application()

from dashboard.board.consumers import BoardConsumer  # noqa: E402
from dashboard.board.live import Hub  # noqa: E402
from restaurant.api import MAX_BODY  # noqa: E402
from restaurant.request_limits import limit_requests  # noqa: E402
from restaurant.sessions import with_user  # noqa: E402
from restaurant.thread_pools import PooledThreads  # noqa: E402
from restaurant.visitors import ClientAddress, LimitedSockets  # noqa: E402

limit_requests(body_bytes=MAX_BODY, seconds=settings.ENVIRONMENT.request_s)
pooled = PooledThreads(pages)

# The first import of the reactor chooses its kind: it must be Daphne's.
from twisted.internet import reactor  # noqa: E402


def _stop() -> Deferred[None]:
    return Deferred.fromFuture(asyncio.ensure_future(pooled.stop()))


# A server that stops does not wait for its applications' threads by itself.
reactor.addSystemEventTrigger("before", "shutdown", _stop)  # type: ignore[arg-type]

board = BoardConsumer.as_asgi(hub=Hub(settings.ENVIRONMENT.amqp_url))
routes = URLRouter([path("dashboard/live/", board)])

sockets = LimitedSockets(with_user(routes), per_client=settings.ENVIRONMENT.sockets_per_client)
router = ProtocolTypeRouter({"http": pooled, "websocket": AllowedHostsOriginValidator(sockets)})
application = ClientAddress(router, proxies=settings.ENVIRONMENT.trusted_proxies)
