"""Ends a process whose event loop is blocked; nothing inside the loop could notice."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kitchen_worker.amqp.health import Health

logger = logging.getLogger(__name__)

#: Exit status of a hanging kitchen; its supervisor restarts it.
HANGS = 1
#: Time limit for the last log lines: the loop may be blocked on the log itself.
_LAST_WORDS_S = 2.0
#: How long tasks and threads may take to end once all work is done.
_EXIT_TIMEOUT_S = 3.0
#: Longest pause between two checks.
_CHECK_EVERY_S = 1.0
#: Checks within a short time limit.
_CHECKS = 10


@asynccontextmanager
async def watchdog(limit_s: float, health: Health) -> AsyncIterator[None]:
    """Watch the event loop from a thread. Without progress for half of the time limit the
    process is not live; after the whole time limit it exits."""
    watch = _Watch(limit_s, health)
    ticking = asyncio.create_task(watch.tick(), name="tick")
    thread = threading.Thread(target=watch.run, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ticking.cancel()
        watch.stop()


def end_soon(status: int) -> None:
    """Exit even if tasks or threads that a kitchen left behind don't end."""
    last = threading.Timer(_EXIT_TIMEOUT_S, os._exit, (status,))
    last.daemon = True
    last.start()


class _Watch:
    """Measures in checks how long the loop made no progress. A process that is suspended as a whole
    runs no checks either, so it isn't counted as blocked."""

    def __init__(self, limit_s: float, health: Health) -> None:
        self._limit_s = limit_s
        self._health = health
        self._pause_s = min(limit_s / _CHECKS, _CHECK_EVERY_S)
        self._ticks = 0
        self._stopped = threading.Event()

    async def tick(self) -> None:
        """Runs in the loop: counts while it makes progress."""
        while True:
            self._ticks += 1
            await asyncio.sleep(self._pause_s / 2)

    def run(self) -> None:
        """Runs in a thread: checks the loop until stopped."""
        seen = checks = 0
        while not self._stopped.wait(self._pause_s):
            checks = checks + 1 if self._ticks == seen else 0
            seen = self._ticks
            blocked_s = checks * self._pause_s
            self._health.blocked = blocked_s >= self._limit_s / 2
            if blocked_s >= self._limit_s:
                last_words = threading.Thread(target=self._log_stacks, daemon=True)
                last_words.start()
                last_words.join(_LAST_WORDS_S)
                os._exit(HANGS)

    def stop(self) -> None:
        self._stopped.set()

    def _log_stacks(self) -> None:
        logger.critical(
            "the kitchen has blocked the event loop for %g s; exiting. An async kitchen must "
            "await; a plain def runs in a thread",
            self._limit_s,
            extra={"action": "blocked"},
        )
        faulthandler.dump_traceback()
