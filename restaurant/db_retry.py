"""Database calls of long-running processes, retried while the database is locked or away."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connections

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

#: Shortest and longest wait between two attempts.
_RETRY_S = (0.1, 3.0)


async def run_in_db_thread(
    call: Callable[[], _Result],
    *,
    on_attempt: Callable[[], None] = lambda: None,
    thread: Executor | None = None,
) -> _Result:
    """Run ``call`` in a database thread, retrying until the database is there.

    ``call`` must be one repeatable transaction. ``on_attempt`` is called before each attempt.
    Without ``thread``, it runs in the thread that all such calls share.
    """
    wait_s = _RETRY_S[0]
    while True:
        on_attempt()
        try:
            if thread is None:
                return await sync_to_async(_attempt)(call)
            return await asyncio.get_running_loop().run_in_executor(thread, _attempt, call)
        except (OperationalError, InterfaceError) as cause:
            logger.warning(
                "database unavailable: %s", str(cause).strip(), extra={"action": "db_away"}
            )
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
        wait_s = min(wait_s * 2, _RETRY_S[1])


@asynccontextmanager
async def db_thread(name: str) -> AsyncIterator[Executor]:
    """A thread with its own database connections, for ``run_in_db_thread``."""
    thread = ThreadPoolExecutor(1, thread_name_prefix=name)
    try:
        yield thread
    finally:
        await asyncio.get_running_loop().run_in_executor(thread, connections.close_all)
        thread.shutdown(wait=False)


def _attempt(call: Callable[[], _Result]) -> _Result:
    try:
        return call()
    except (OperationalError, InterfaceError):
        connections.close_all()
        raise
