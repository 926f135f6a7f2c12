"""A compatibility shim: Daphne takes a request of any length, for as long as it takes to come.

Daphne reads a whole request before any application may refuse it, and has no option for its length
or its time (django/daphne issues 226 and 277 leave both to a proxy in front; 483 is open). Twisted
below it counts each byte as progress, and parses forms whose result is never used. Checked with
Daphne 4.2 and Twisted 26: `restaurant/tests/test_request_limits.py` fails for another version, and
when Daphne learns to do it. Nothing else here needs private parts of either.
"""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

import daphne.server
from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.web.http import HTTPChannel

logger = logging.getLogger(__name__)


def limit_requests(*, body_bytes: int, seconds: float) -> None:
    """Bound the size of requests to this process's server, and the time they may take."""

    class Request(_BoundedRequest):
        most = body_bytes

    class Factory(HTTPFactory):  # type: ignore[misc]
        protocol = _ImpatientChannel

        def buildProtocol(self, addr: Any) -> Any:  # noqa: N802 - Twisted's name
            self.timeOut = seconds
            protocol = super().buildProtocol(addr)
            protocol.requestFactory = Request
            return protocol

    daphne.server.HTTPFactory = Factory


class _ImpatientChannel(HTTPChannel):
    """A connection that is closed unless its next request is complete in time.

    Twisted starts the timeout with the connection and after each response, and stops it when a
    request is complete.
    """

    def resetTimeout(self) -> None:  # noqa: N802 - Twisted's name
        """Don't extend the timeout for further bytes."""


class _BoundedRequest(WebRequest):  # type: ignore[misc]
    """A request with a bounded body; a longer one is refused at once.

    The rest of it is read and dropped until it ends or times out: a client that is cut off while
    sending may never read the response.
    """

    most: int
    _taken = 0
    _is_refused = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Of a multipart body that Twisted cannot parse it would make an empty 400.
        super().__init__(*args, **{**kwargs, "parsePOSTFormSubmission": False})

    def gotLength(self, length: int | None) -> None:  # noqa: N802 - Twisted's name
        """Called with Content-Length, or None."""
        super().gotLength(0 if length is None else min(length, self.most))
        if length is not None and length > self.most:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self._taken += len(data)
        if self._taken > self.most and not self._is_refused:
            self._refuse()
        if not self._is_refused:
            super().handleContentChunk(data)

    def process(self) -> Any:
        return self.finish() if self._is_refused else super().process()

    def _refuse(self) -> None:
        self._is_refused = True
        logger.warning(
            "refused a body of more than %d bytes from %s",
            self.most,
            getattr(self.client, "host", "a client without an address"),
            extra={"action": "body_refused"},
        )
        message = f"A body has at most {self.most} bytes."
        errors = [{"code": "body_too_large", "field": "", "message": message}]
        text = json.dumps({"errors": errors}).encode()
        self.requestHeaders.removeHeader(b"expect")
        self.channel.persistent = False
        self.clientproto = b"HTTP/1.1"
        self.setResponseCode(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"Content Too Large")
        for name, value in (
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(text)),
            (b"Connection", b"close"),
        ):
            self.responseHeaders.setRawHeaders(name, [value])
        self.write(text)
