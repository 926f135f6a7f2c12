"""A client that posts to a site as fast as it answers, over a few connections that stay open."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import cast

from local.ports import LOOPBACK

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of some seconds of posting."""

    answers: int
    seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


def post(port: int, path: str, body: bytes, *, seconds: float, connections: int = 4) -> Posted:
    """Post one body again and again; raises RuntimeError at an answer that is not 200."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return asyncio.run(_post(port, head.encode() + body, seconds, connections))


async def _post(port: int, request: bytes, seconds: float, connections: int) -> Posted:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    until = began + seconds
    opened = [
        await loop.create_connection(lambda: _Client(request, until), LOOPBACK, port)
        for _ in range(connections)
    ]
    clients = [client for _, client in opened]
    await asyncio.gather(*(client.done for client in clients))
    for transport, _ in opened:
        transport.close()
    return Posted(sum(client.answers for client in clients), time.perf_counter() - began)


class _Client(asyncio.Protocol):
    """One connection: the next request goes out when the last was answered in full."""

    def __init__(self, request: bytes, until: float) -> None:
        self.answers = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._until = until
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(_END)
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self._fail(RuntimeError(f"the site answered {self._received[:200]!r}"))
            return
        self._received = b""
        self.answers += 1
        if time.perf_counter() < self._until:
            self._transport.write(self._request)
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, cause: Exception | None) -> None:
        self._fail(cause or ConnectionError("the site closed a connection"))

    def _fail(self, cause: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(cause)
