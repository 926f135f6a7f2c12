"""Gives the application behind a WebSocket its user."""

from __future__ import annotations

from typing import Any

from channels.auth import AuthMiddlewareStack


def with_user(application: Any) -> Any:
    """Put the user into the scope, and keep the server's own ``send``.

    Channels' own stack saves the session with every sent message. An open WebSocket can't set a
    cookie, and the board sends thousands of messages a second.
    """

    async def identify(scope: Any, receive: Any, send: Any) -> None:
        async def talk(scope: Any, receive: Any, _: Any) -> None:
            await application(scope, receive, send)

        identified: Any = AuthMiddlewareStack(talk)
        await identified(scope, receive, send)

    return identify
