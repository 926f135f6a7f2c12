"""Turns SIGTERM and SIGINT into an event: finish what you hold, take no more, close."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Whether this process was asked to stop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def request(self) -> None:
        self._event.set()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait at most ``timeout_s`` seconds; returns whether a stop was requested."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def shutdown_on_signals() -> AsyncIterator[Shutdown]:
    """Request the shutdown on SIGTERM and SIGINT; restores the old handlers."""
    shutdown = Shutdown()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, shutdown.request)
    try:
        yield shutdown
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
