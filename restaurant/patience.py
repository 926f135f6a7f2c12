"""Database calls of the long-running processes: patient while the database is locked or away."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

#: Shortest and longest wait between two attempts.
_RETRY_S = (0.1, 3.0)


async def in_database(
    call: Callable[[], _Result], *, on_attempt: Callable[[], None] = lambda: None
) -> _Result:
    """Run ``call`` in the database's thread, again and again until the database is there.

    ``call`` must be whole: one transaction that may be repeated. ``on_attempt`` hears each try.
    """
    wait_s = _RETRY_S[0]
    while True:
        on_attempt()
        try:
            return await sync_to_async(_attempt)(call)
        except (OperationalError, InterfaceError) as cause:
            logger.warning("no database: %s", str(cause).strip(), extra={"action": "db_away"})
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
        wait_s = min(wait_s * 2, _RETRY_S[1])


def _attempt(call: Callable[[], _Result]) -> _Result:
    try:
        return call()
    except (OperationalError, InterfaceError):
        connection.close()
        raise
