"""The ASGI application: HTTP to Django, WebSockets to the board."""

from __future__ import annotations

import os

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "restaurant.settings")
# Django must stand before the consumers, which use its models, can be imported.
django.setup(set_prefix=False)

from dashboard.board.consumers import BoardConsumer  # noqa: E402
from dashboard.board.live import Hub  # noqa: E402
from restaurant.api import MAX_BODY  # noqa: E402
from restaurant.one_thread import OneThreadHandler  # noqa: E402
from restaurant.request_limits import limit_requests  # noqa: E402
from restaurant.sessions import with_user  # noqa: E402
from restaurant.visitors import ClientAddress, LimitedSockets  # noqa: E402

limit_requests(body_bytes=MAX_BODY, seconds=settings.ENVIRONMENT.request_s)

board = BoardConsumer.as_asgi(hub=Hub(settings.ENVIRONMENT.amqp_url))
# A path is typed for views; Channels gives it an application.
routes = URLRouter([path("dashboard/live/", board)])  # type: ignore[list-item,arg-type]

sockets = LimitedSockets(with_user(routes), per_client=settings.ENVIRONMENT.sockets_per_client)
router = ProtocolTypeRouter(
    {"http": OneThreadHandler(), "websocket": AllowedHostsOriginValidator(sockets)}
)
application = ClientAddress(router, proxies=settings.ENVIRONMENT.trusted_proxies)
