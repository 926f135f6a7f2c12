"""Serves liveness and readiness probes over minimal HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from http import HTTPStatus

#: Without progress for this long, a process isn't live.
STUCK_AFTER_S = 60.0
#: Time limit for a probe's request.
_REQUEST_TIMEOUT_S = 5.0


class Health:
    """The health of a process: its broker connection, and when its loop last made progress."""

    def __init__(self) -> None:
        #: Whether it has its broker and its queues.
        self.connected = False
        #: Whether its event loop is blocked.
        self.blocked = False
        self._beaten_at = time.monotonic()

    def beat(self) -> None:
        """Record that the loop made progress."""
        self._beaten_at = time.monotonic()

    def set_connected(self, connected: bool) -> None:
        """Set whether the broker is there; noticing that is progress, too."""
        self.connected = connected
        self.beat()

    @property
    def live(self) -> bool:
        """Whether the event loop still makes progress."""
        return not self.blocked and time.monotonic() - self._beaten_at < STUCK_AFTER_S

    @property
    def ready(self) -> bool:
        """Whether the process does its work."""
        return self.connected and not self.blocked


@asynccontextmanager
async def serve_health(
    port: int | None, health: Health, *, host: str = "127.0.0.1"
) -> AsyncIterator[int | None]:
    """Serve /live and /ready on ``port``, unless it is 0 or None. Yields the port.

    ``host`` is the interface to listen on: loopback, unless probes come from elsewhere. A thread
    with its own loop serves them, so that they are answered while the process's loop is blocked.
    """
    if not port:
        yield None
        return
    opened: Future[Callable[[], object]] = Future()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(port, health, host, opened)), name="health", daemon=True
    )
    thread.start()
    close = await asyncio.wrap_future(opened)
    try:
        yield port
    finally:
        close()
        thread.join(_REQUEST_TIMEOUT_S)


async def _serve(
    port: int, health: Health, host: str, opened: Future[Callable[[], object]]
) -> None:
    """Serve until the function in ``opened`` is called; sets an error there if the port is
    taken."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                request = await reader.readuntil(b"\r\n")
                writer.write(_response(request, health))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a probe that hangs up or sends nonsense
        finally:
            writer.close()

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    try:
        server = await asyncio.start_server(answer, host, port, limit=4096)
    except OSError as taken:
        opened.set_exception(taken)
        return
    opened.set_result(lambda: loop.call_soon_threadsafe(stop.set))
    await stop.wait()
    server.close()


def _response(request: bytes, health: Health) -> bytes:
    target = (request.split() + [b""] * 2)[1].split(b"?")[0]
    answers = {
        b"/live": {"live": health.live},
        b"/ready": {"ready": health.ready},
    }
    body = answers.get(target, {"error": "use /live or /ready"})
    status = HTTPStatus.OK if True in body.values() else HTTPStatus.SERVICE_UNAVAILABLE
    if target not in answers:
        status = HTTPStatus.NOT_FOUND
    content = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content
