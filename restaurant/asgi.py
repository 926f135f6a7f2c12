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
from restaurant.one_thread import OneThreadHandler  # noqa: E402
from restaurant.prompt_sockets import write_to_sockets_at_once  # noqa: E402
from restaurant.raw_bodies import hand_over_raw_bodies  # noqa: E402
from restaurant.sessions import with_user  # noqa: E402

hand_over_raw_bodies()
write_to_sockets_at_once()

board = BoardConsumer.as_asgi(hub=Hub(settings.ENVIRONMENT.amqp_url))
# A path is typed for views; Channels gives it an application.
routes = URLRouter([path("dashboard/live/", board)])  # type: ignore[list-item,arg-type]

application = ProtocolTypeRouter(
    {
        "http": OneThreadHandler(),
        "websocket": AllowedHostsOriginValidator(with_user(routes)),
    }
)
