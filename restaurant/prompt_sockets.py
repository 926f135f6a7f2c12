"""Makes the web server encode a text once for all WebSockets that it goes to, and write it at once.

Daphne builds every message anew for every socket, and Twisted waits for the event loop to find the
socket writable before it writes. Hundreds of boards get the same text at the same moment, and a
socket that keeps up has room for it. What has no room goes the usual way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from autobahn.websocket.protocol import PreparedMessage
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet.tcp import Connection

#: Texts that are kept encoded: those of one tick, for as many views as people look at.
_KEPT = 16


def write_to_sockets_at_once() -> None:
    """Teach Daphne, for this process; to do it twice is to do it once."""
    WebSocketFactory.protocol = PromptProtocol


class PromptProtocol(WebSocketProtocol):  # type: ignore[misc]
    """Daphne's end of a WebSocket, but for how it sends a text."""

    def serverSend(self, content: Any, binary: bool = False) -> None:  # noqa: N802 - Daphne's name
        """Send a message of the application."""
        if binary or self.state != self.STATE_OPEN:
            super().serverSend(content, binary)
        else:
            write_now(self.transport, encoded(content))


@lru_cache(_KEPT)
def encoded(text: str) -> bytes:
    """A text as a server's whole message."""
    message = PreparedMessage(text.encode(), isBinary=False, applyMask=False, doNotCompress=True)
    whole: bytes = message.payloadHybi
    return whole


def write_now(transport: Any, message: bytes) -> None:
    """Give the kernel what it takes; the rest, and all that comes after it, waits for room."""
    if _is_clear(transport):
        taken = transport.writeSomeData(message)
        if isinstance(taken, int):
            message = message[taken:]
    if message:
        transport.write(message)


def _is_clear(transport: Any) -> bool:
    """Whether the kernel is next to have what is written: nothing waits, nobody encrypts it."""
    return (
        isinstance(transport, Connection)
        and bool(transport.connected)
        and not transport.TLS
        and not transport.dataBuffer
        and not transport._tempDataBuffer  # noqa: SLF001 - Twisted says it nowhere else
    )
