"""The board's WebSocket: lets in who may watch, and passes on what a browser asks of the hub."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from dashboard.access import may_watch
from dashboard.board.filters import Filter
from dashboard.board.live import Hub
from dashboard.board.rows import SEARCH_LENGTH
from dashboard.board.views import DEFAULT, View

DENIED = 4403
NOT_UNDERSTOOD = 4400
TOO_SLOW = 4408
FULL = 4429
#: Longest text that a browser may send.
_MAX_TEXT = 1000
_MAX_VERSION = 40


class BoardConsumer:
    """One browser that watches.

    It takes ASGI's messages as they are. Channels' consumers go to a thread with each message, to
    look after the database's connections, and a board acknowledges ten times a second.
    """

    def __init__(self, hub: Hub, scope: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        self._hub = hub
        self._scope = scope
        self._send = send

    @classmethod
    def as_asgi(cls, *, hub: Hub) -> Any:
        """The application of all boards of a hub."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await cls(hub, scope, send).serve(receive)

        return application

    async def serve(self, receive: Callable[[], Awaitable[Any]]) -> None:
        """Serve one browser from when it connects until it leaves."""
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                if message["type"] == "websocket.connect":
                    await self._connect()
                else:
                    await self._receive(message.get("text"))
        finally:
            self._hub.leave(self)

    async def _connect(self) -> None:
        """Let in who may watch the board; tell the others why not."""
        await self._send({"type": "websocket.accept"})
        if not may_watch(self._scope["user"] or AnonymousUser()):
            await self.send_text(json.dumps({"type": "denied"}))
            await self._close(DENIED)
            return
        query = parse_qs(self._scope["query_string"].decode("latin-1"))
        asked = {name: values[0] for name, values in query.items()}
        if not self._hub.join(self, _view(asked, DEFAULT)):
            await self._close(FULL)
        elif "q" in asked:
            self._hub.search(self, asked["q"][:SEARCH_LENGTH])

    async def _receive(self, text: str | None) -> None:
        """Handle ``{"ack": n}``, ``{"q": "1042"}``, or any of ``{"launch": ..., "filter": ...,
        "version": ...}``, which changes the view; close on anything that is no JSON object.
        """
        asked = _decoded(text)
        if asked is None:
            await self._close(NOT_UNDERSTOOD)
        elif isinstance(asked.get("ack"), int):
            await self._hub.acknowledged(self, asked["ack"])
        elif "q" in asked:
            self._hub.search(self, str(asked["q"])[:SEARCH_LENGTH])
        else:
            self._hub.watch(self, partial(_view, asked))

    async def send_text(self, text: str) -> None:
        """See Socket.send_text."""
        await self._send({"type": "websocket.send", "text": text})

    async def close_slow(self) -> None:
        """See Socket.close_slow."""
        await self._close(TOO_SLOW)

    def may_watch(self) -> bool:
        """See Socket.may_watch; the session in the scope is as it was when the socket opened."""
        store = import_module(settings.SESSION_ENGINE).SessionStore
        request = HttpRequest()
        request.session = store(self._scope["session"].session_key)
        return may_watch(get_user(request))

    async def close_denied(self) -> None:
        """See Socket.close_denied."""
        await self._close(DENIED)

    async def _close(self, code: int) -> None:
        await self._send({"type": "websocket.close", "code": code})


def _decoded(text: str | None) -> dict[str, Any] | None:
    if text is None or len(text) > _MAX_TEXT:
        return None
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return asked if isinstance(asked, dict) else None


def _view(asked: Mapping[str, Any], view: View) -> View:
    """The view that a browser asks for; what it doesn't name stays as it is."""
    return View(
        launch=_launch(asked["launch"]) if "launch" in asked else view.launch,
        filter=_filter(asked["filter"]) if "filter" in asked else view.filter,
        version=str(asked["version"])[:_MAX_VERSION] if "version" in asked else view.version,
    )


def _launch(given: object) -> UUID | None:
    try:
        return UUID(str(given))
    except ValueError:
        return None


def _filter(given: object) -> Filter:
    try:
        return Filter(str(given))
    except ValueError:
        return Filter.ALL
