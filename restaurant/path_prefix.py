"""A site below a path of its host, such as ``/kitchen``, which the proxy leaves in the URL."""

from __future__ import annotations

import logging
from typing import Any

from django.urls import get_script_prefix

logger = logging.getLogger(__name__)

#: These come straight to the process.
_PROBES = ("/api/health", "/api/ready")


def below_prefix(path: str) -> str:
    """A path as `resolve` takes it, from one as `reverse` returns it."""
    return path.removeprefix(get_script_prefix()[:-1])


class BelowPrefix:
    """ASGI middleware: serves what is below the prefix, and answers 404 to everything else.

    It replaces the ``root_path`` that Daphne takes from its command line, or from a header that any
    client may send.
    """

    def __init__(self, application: Any, *, prefix: str) -> None:
        self._application = application
        self._prefix = prefix

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        prefix = "" if path in _PROBES else self._prefix
        if not prefix or path == prefix or path.startswith(f"{prefix}/"):
            await self._application({**scope, "root_path": prefix}, receive, send)
        else:
            logger.warning(
                "%r is not below PATH_PREFIX=%s: if it came through a proxy, have the proxy pass"
                " the path on unchanged",
                path[:200],
                self._prefix,
                extra={"action": "outside_prefix"},
            )
            await self._refuse(scope["type"], send)

    async def _refuse(self, kind: str, send: Any) -> None:
        if kind == "websocket":
            await send({"type": "websocket.close"})
            return
        body = (
            f"Nothing is here: this site is at {self._prefix}/.\n"
            "If a proxy led you here, it removes the prefix from the path: have it pass the path on"
            " unchanged.\n"
        ).encode()
        headers = [
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})
