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

from restaurant.environment import Door

logger = logging.getLogger(__name__)


class Pool(StrEnum):
    """What a pool's threads serve."""

    #: And what is as small: probes and files.
    ORDERS = "orders"
    LOGINS = "logins"
    PAGES = "pages"


#: Threads of each pool, by door; each has a database connection. Passwords are checked one by one,
#: because one takes half a second of processor time.
THREADS: Mapping[Door, Mapping[Pool, int]] = {
    Door.BOTH: {Pool.ORDERS: 8, Pool.LOGINS: 1, Pool.PAGES: 4},
    Door.CUSTOMERS: {Pool.ORDERS: 8},
    # No orders there: these threads serve probes and files.
    Door.DASHBOARD: {Pool.ORDERS: 2, Pool.LOGINS: 1, Pool.PAGES: 4},
}
#: Maximum number of requests waiting for a pool; further ones get 503 at once.
MAX_WAITING = 500
#: How long a request waits for a thread before it gets 503.
MAX_WAIT_S = 30.0
_RETRY_AFTER_S = 5

# Static files are small: Django may read them whole, in the request's thread.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")


def pool_of(method: str, path: str) -> Pool:
    """The pool that serves a request."""
    if method == "POST" and path.endswith(("/login/", "/password/", "/password_change/")):
        return Pool.LOGINS
    is_page = path.startswith(("/dashboard/", "/admin/", "/login/", "/logout/"))
    return Pool.PAGES if is_page else Pool.ORDERS


@sync_only_middleware
def in_one_thread(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware, the last one: being synchronous, it keeps all middleware before it in one thread.

    Otherwise each hook is a round trip between event loop and thread.
    """
    return get_response


class PooledThreads:
    """ASGI middleware: gives each HTTP request a thread of a pool, or answers 503.

    Requests of a missing pool are served by the one for orders.
    """

    def __init__(
        self,
        application: Any,
        *,
        threads: Mapping[Pool, int] = THREADS[Door.BOTH],
        max_wait_s: float = MAX_WAIT_S,
    ) -> None:
        self._application = application
        self._max_wait_s = max_wait_s
        self._threads = {pool: _Threads(pool, several) for pool, several in threads.items()}
        self._serving = set[asyncio.Task[None]]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The server has already read the body, so no slow client holds a thread."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        pool = pool_of(scope["method"], path)
        threads = self._threads.get(pool) or self._threads[Pool.ORDERS]
        thread = await threads.acquire(within_s=self._max_wait_s)
        if thread is None:
            logger.warning("no free thread for %s", pool, extra={"action": "request_refused"})
            await _refuse(send)
            return
        # Ending the request must not end its view, nor Django's tasks around it.
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
            threads.release(thread)

    async def stop(self) -> None:
        """Wait until no thread serves a request, and let none start.

        Threads wait for the event loop now and then, so it must not end before them.
        """
        for threads in self._threads.values():
            await threads.acquire_all()


class _Threads:
    """A pool's threads: executors of one thread each, as asgiref requires."""

    def __init__(self, name: str, several: int) -> None:
        # Last in, first out: the thread that was busy last has an open connection.
        self._idle = [ThreadPoolExecutor(1, thread_name_prefix=name) for _ in range(several)]
        self._several = several
        self._free = asyncio.Semaphore(several)
        self._waiting = 0

    async def acquire(self, *, within_s: float) -> ThreadPoolExecutor | None:
        """An idle thread, first come, first served; None if there is none in time."""
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

    async def acquire_all(self) -> None:
        """Acquire every thread as it becomes free, for good."""
        for _ in range(self._several):
            await self._free.acquire()

    def release(self, thread: ThreadPoolExecutor) -> None:
        self._idle.append(thread)
        self._free.release()


async def _refuse(send: Any) -> None:
    body = b"The site is too busy. Try again in %d seconds." % _RETRY_AFTER_S
    headers = [
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Retry-After", b"%d" % _RETRY_AFTER_S),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
