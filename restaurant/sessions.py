"""Tells the application behind a WebSocket who is at the other end."""

from __future__ import annotations

from typing import Any

from channels.auth import AuthMiddlewareStack


def with_user(application: Any) -> Any:
    """Give an application the user in its scope, and the server's own way to send.

    Channels' stack alone looks after the session with every message that is sent. An open WebSocket
    cannot set a cookie, and the board sends thousands of messages a second.
    """

    async def identify(scope: Any, receive: Any, send: Any) -> None:
        async def talk(scope: Any, receive: Any, _: Any) -> None:
            await application(scope, receive, send)

        identified: Any = AuthMiddlewareStack(talk)
        await identified(scope, receive, send)

    return identify
