"""Ends a process whose event loop is blocked: nothing inside the loop could notice."""

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

#: The exit status of a kitchen that hangs: its supervisor starts it again.
HANGS = 1
#: How long what is logged last may take: the log may be what the loop is blocked on.
_LAST_WORDS_S = 2.0
#: How long Python may take to end tasks and threads once all work is done.
_LAST_PATIENCE_S = 3.0
#: Longest pause between two looks at the loop.
_LOOK_EVERY_S = 1.0
#: How often the loop is looked at within the time limit, if that is short.
_LOOKS = 10


@asynccontextmanager
async def watchdog(limit_s: float, health: Health) -> AsyncIterator[None]:
    """Watch the loop from a thread: not live when it makes no progress for half of the time limit,
    and the end of the process when it makes none for all of it."""
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
    """End the process, also when tasks or threads that a kitchen left do not end."""
    last = threading.Timer(_LAST_PATIENCE_S, os._exit, (status,))
    last.daemon = True
    last.start()


class _Watch:
    """Counts how long the loop made no progress, in looks: a process that was stopped as a whole
    has looked as little as its loop has moved."""

    def __init__(self, limit_s: float, health: Health) -> None:
        self._limit_s = limit_s
        self._health = health
        self._pause_s = min(limit_s / _LOOKS, _LOOK_EVERY_S)
        self._ticks = 0
        self._stopped = threading.Event()

    async def tick(self) -> None:
        """Show that the loop makes progress."""
        while True:
            self._ticks += 1
            await asyncio.sleep(self._pause_s / 2)

    def run(self) -> None:
        """Look at the loop until stopped; in a thread."""
        seen = looks = 0
        while not self._stopped.wait(self._pause_s):
            looks = looks + 1 if self._ticks == seen else 0
            seen = self._ticks
            blocked_s = looks * self._pause_s
            self._health.blocked = blocked_s >= self._limit_s / 2
            if blocked_s >= self._limit_s:
                last_words = threading.Thread(target=self._say, daemon=True)
                last_words.start()
                last_words.join(_LAST_WORDS_S)
                os._exit(HANGS)

    def stop(self) -> None:
        """End the thread at its next look."""
        self._stopped.set()

    def _say(self) -> None:
        logger.critical(
            "the kitchen has blocked the event loop for %g s; ending. An async kitchen must await; "
            "a plain def runs in a thread",
            self._limit_s,
            extra={"action": "blocked"},
        )
        faulthandler.dump_traceback()
