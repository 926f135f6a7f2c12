"""Serves each request in one thread, from its first middleware to the closed response.

Django's own ASGI handler hops to a thread for every hook of every middleware that is not written
for asyncio, and gives each request a thread and a connection to the database of its own. Ours are
synchronous throughout: here a request costs one hop, to a thread that keeps its connection.

Threads are kept apart by what they are for: however many passwords are to be checked, and however
long the dashboard's pages take, the threads that take orders are free for orders.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from enum import StrEnum
from typing import Any

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.http.response import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import set_script_prefix


class Lane(StrEnum):
    """What threads are kept for."""

    ORDERS = "orders"
    LOGINS = "logins"
    PAGES = "pages"


#: Requests of a lane that are served at once; further ones wait. Each thread has a database
#: connection. A password costs half a second of processor time: they are checked one by one.
THREADS: Mapping[Lane, int] = {Lane.ORDERS: 8, Lane.LOGINS: 1, Lane.PAGES: 4}
#: Requests that wait for the threads of a lane; further ones are answered with 503.
MAX_WAITING = 500


def lane_of(method: str, path: str) -> Lane:
    """The threads that serve a request."""
    if method == "POST" and path.endswith(("/login/", "/password/", "/password_change/")):
        return Lane.LOGINS
    is_page = path.startswith(("/dashboard/", "/admin/", "/login/", "/logout/"))
    return Lane.PAGES if is_page else Lane.ORDERS


class OneThreadHandler(ASGIHandler):
    """Django's handler, but for who runs what."""

    def __init__(self, *, threads: Mapping[Lane, int] = THREADS) -> None:
        BaseHandler.__init__(self)
        self.load_middleware(is_async=False)
        self._threads = {
            lane: ThreadPoolExecutor(several, thread_name_prefix=lane)
            for lane, several in threads.items()
        }
        #: Requests in each lane, waiting or served.
        self._held = Counter[Lane]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        response = await self._served(lane_of(scope["method"], scope["path"]), scope, body)
        await self.send_response(response, send)

    async def _served(self, lane: Lane, scope: Any, body: Any) -> HttpResponseBase:
        if self._held[lane] >= MAX_WAITING:
            body.close()
            return HttpResponse("Too busy.", status=503, headers={"Retry-After": "5"})
        run = copy_context().run
        loop = asyncio.get_running_loop()
        self._held[lane] += 1
        try:
            return await loop.run_in_executor(self._threads[lane], run, self._respond, scope, body)
        finally:
            self._held[lane] -= 1

    def _respond(self, scope: Any, body: Any) -> Any:
        """The whole answer; what is streamed is read to its end here, where its database is."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response: Any = refusal if request is None else self.get_response(request)
        try:
            if isinstance(response, StreamingHttpResponse):
                response.streaming_content = _at_once(b"".join(response))
        finally:
            response.close()
        return response


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    yield content
