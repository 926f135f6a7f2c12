"""Serves each request in one thread, from its first middleware to the closed response.

Django's own ASGI handler hops to a thread for every hook of every middleware that is not written
for asyncio, and gives each request a thread and a connection to the database of its own. Ours are
synchronous throughout: here a request costs one hop, to a thread that keeps its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.http.response import StreamingHttpResponse
from django.urls import set_script_prefix

#: Requests that are served at once; further ones wait. Each thread has a database connection.
THREADS = 8


class OneThreadHandler(ASGIHandler):
    """Django's handler, but for who runs what."""

    def __init__(self, *, threads: int = THREADS) -> None:
        BaseHandler.__init__(self)
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        run = copy_context().run
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(self._threads, run, self._respond, scope, body)
        await self.send_response(response, send)

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
