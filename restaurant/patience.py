"""Database calls of the long-running processes: patient while the database is locked or away."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

#: Shortest and longest wait between two attempts.
_RETRY_S = (0.1, 3.0)


async def in_database(
    call: Callable[[], _Result],
    *,
    on_attempt: Callable[[], None] = lambda: None,
    thread: Executor | None = None,
) -> _Result:
    """Run ``call`` in a database thread, again and again until the database is there.

    ``call`` must be whole: one transaction that may be repeated. ``on_attempt`` is called at each
    try. Without a ``thread`` it is the one that all such calls share.
    """
    wait_s = _RETRY_S[0]
    while True:
        on_attempt()
        try:
            if thread is None:
                return await sync_to_async(_attempt)(call)
            return await asyncio.get_running_loop().run_in_executor(thread, _attempt, call)
        except (OperationalError, InterfaceError) as cause:
            logger.warning("no database: %s", str(cause).strip(), extra={"action": "db_away"})
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
        wait_s = min(wait_s * 2, _RETRY_S[1])


@asynccontextmanager
async def database_thread(name: str) -> AsyncIterator[Executor]:
    """A thread with a database connection of its own, for ``in_database``."""
    thread = ThreadPoolExecutor(1, thread_name_prefix=name)
    try:
        yield thread
    finally:
        await asyncio.get_running_loop().run_in_executor(thread, _close)
        thread.shutdown(wait=False)


def _close() -> None:
    connection.close()


def _attempt(call: Callable[[], _Result]) -> _Result:
    try:
        return call()
    except (OperationalError, InterfaceError):
        connection.close()
        raise
