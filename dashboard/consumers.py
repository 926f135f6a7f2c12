"""The board's WebSocket: lets in who may watch, and passes on what a browser says to the hub."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AnonymousUser

from dashboard.access import may_watch
from dashboard.board import Lens
from dashboard.live import Hub, View

DENIED = 4403
NOT_UNDERSTOOD = 4400
TOO_SLOW = 4408
#: Longest text that a browser has any reason to send.
_MAX_TEXT = 1000


class BoardConsumer(AsyncWebsocketConsumer):
    """One browser that watches."""

    hub: Hub
    view: View

    def __init__(self, *, hub: Hub) -> None:
        super().__init__()
        self.hub = hub

    async def connect(self) -> None:
        """Let in who may watch the board; tell the others why not."""
        await self.accept()
        if not may_watch(self.scope["user"] or AnonymousUser()):
            await self.send_text(json.dumps({"type": "denied"}))
            await self.close(DENIED)
            return
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        self.view = View(
            _launch(query.get("launch", [""])[0]), _lens(query.get("lens", [Lens.ALL.value])[0])
        )
        self.hub.join(self)

    async def disconnect(self, code: int) -> None:
        """Leave the hub."""
        self.hub.leave(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take ``{"ack": n}``, ``{"lens": ...}`` or ``{"launch": ...}``; close on anything else."""
        wish = _wish(text_data)
        if wish is None:
            await self.close(NOT_UNDERSTOOD)
        elif isinstance(wish.get("ack"), int):
            await self.hub.acknowledged(self, wish["ack"])
        elif "lens" in wish:
            await self.hub.look(self, View(self.view.launch, _lens(wish["lens"])))
        elif "launch" in wish:
            await self.hub.look(self, View(_launch(wish["launch"]), self.view.lens))

    async def send_text(self, text: str) -> None:
        """See Socket.send_text."""
        await self.send(text_data=text)

    async def close_slow(self) -> None:
        """See Socket.close_slow."""
        await self.close(TOO_SLOW)


def _wish(text: str | None) -> dict[str, Any] | None:
    if text is None or len(text) > _MAX_TEXT:
        return None
    try:
        wish = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return wish if isinstance(wish, dict) else None


def _launch(given: object) -> UUID | None:
    try:
        return UUID(str(given))
    except ValueError:
        return None


def _lens(given: object) -> Lens:
    try:
        return Lens(str(given))
    except ValueError:
        return Lens.ALL
