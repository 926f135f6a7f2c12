"""Serves requests in bounded pools of threads, each of which keeps its database connection.

Django's ASGI handler runs synchronous code in a new thread for each request, without a limit, and
a new thread needs a new connection to the database. asgiref lets us choose the thread. There is a
pool for each kind of work: however many passwords are checked, and however long the dashboard's
pages take, the threads for orders stay free for orders.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_only_middleware

logger = logging.getLogger(__name__)


class Pool(StrEnum):
    """What threads are kept for."""

    ORDERS = "orders"
    LOGINS = "logins"
    PAGES = "pages"


#: Requests of a pool that are served at once. Each thread has a database connection. A password
#: costs half a second of processor time: they are checked one by one.
THREADS: Mapping[Pool, int] = {Pool.ORDERS: 8, Pool.LOGINS: 1, Pool.PAGES: 4}
#: Requests that wait for a thread of a pool; further ones are answered with 503 at once.
MAX_WAITING = 500
#: How long a request waits for a thread before it is answered with 503.
MAX_WAIT_S = 30.0
_RETRY_AFTER_S = 5

# Static files are small: Django may read them whole, in the request's thread.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")


def pool_of(method: str, path: str) -> Pool:
    """The threads that serve a request."""
    if method == "POST" and path.endswith(("/login/", "/password/", "/password_change/")):
        return Pool.LOGINS
    is_page = path.startswith(("/dashboard/", "/admin/", "/login/", "/logout/"))
    return Pool.PAGES if is_page else Pool.ORDERS


@sync_only_middleware
def in_one_thread(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Django middleware, the last one: as it is synchronous, all before it stay in one thread.

    Else each of their hooks is a hop from the event loop to the thread and back.
    """
    return get_response


class PooledThreads:
    """ASGI middleware: gives each HTTP request a thread of a pool, or refuses it with 503."""

    def __init__(
        self,
        application: Any,
        *,
        threads: Mapping[Pool, int] = THREADS,
        max_wait_s: float = MAX_WAIT_S,
    ) -> None:
        self._application = application
        self._max_wait_s = max_wait_s
        self._threads = {pool: _Threads(pool, several) for pool, several in threads.items()}
        self._serving = set[asyncio.Task[None]]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request. The server has read its body: no slow client holds a thread."""
        pool = pool_of(scope["method"], scope["path"])
        threads = self._threads[pool]
        thread = await threads.take(within_s=self._max_wait_s)
        if thread is None:
            logger.warning("no free thread for %s", pool, extra={"action": "request_refused"})
            await _refuse(send)
            return
        # A server that ends the request ends neither its view nor Django's tasks around it.
        serving = asyncio.create_task(self._serve(threads, thread, scope, receive, send))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        await asyncio.shield(serving)

    async def _serve(
        self, threads: _Threads, thread: ThreadPoolExecutor, scope: Any, receive: Any, send: Any
    ) -> None:
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self._application(scope, receive, send)
        finally:
            threads.give_back(thread)

    async def stop(self) -> None:
        """Wait until no thread serves a request, and let none begin.

        A thread waits for the event loop now and then: the loop must not end before it.
        """
        for threads in self._threads.values():
            await threads.take_all()


class _Threads:
    """The threads of a pool: executors of one thread each, as asgiref wants them."""

    def __init__(self, name: str, several: int) -> None:
        # The thread that was busy last is the next: its connection is open.
        self._idle = [ThreadPoolExecutor(1, thread_name_prefix=name) for _ in range(several)]
        self._several = several
        self._free = asyncio.Semaphore(several)
        self._waiting = 0

    async def take(self, *, within_s: float) -> ThreadPoolExecutor | None:
        """A thread with nothing to do, first come, first served; None if there is none in time."""
        if self._waiting >= MAX_WAITING:
            return None
        self._waiting += 1
        try:
            async with asyncio.timeout(within_s):
                await self._free.acquire()
        except TimeoutError:
            return None
        finally:
            self._waiting -= 1
        return self._idle.pop()

    async def take_all(self) -> None:
        """Take every thread, once it is free, for good."""
        for _ in range(self._several):
            await self._free.acquire()

    def give_back(self, thread: ThreadPoolExecutor) -> None:
        """Let the next request have it."""
        self._idle.append(thread)
        self._free.release()


async def _refuse(send: Any) -> None:
    body = b"The site is too busy. Please try again in %d seconds." % _RETRY_AFTER_S
    headers = [
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Retry-After", b"%d" % _RETRY_AFTER_S),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
