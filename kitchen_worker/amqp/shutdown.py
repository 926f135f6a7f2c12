"""Turns SIGTERM and SIGINT into an event: finish what you hold, take no more, close."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Whether this process was asked to stop, as something to ask and something to wait for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def requested(self) -> bool:
        """True once the process was asked to stop."""
        return self._event.is_set()

    def request(self) -> None:
        """Ask the process to stop; asking twice is asking once."""
        self._event.set()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until asked to stop, at most ``timeout_s`` seconds; says whether it was asked."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def shutdown_on_signals() -> AsyncIterator[Shutdown]:
    """Give a Shutdown that SIGTERM and SIGINT request, and the old handlers back afterwards."""
    shutdown = Shutdown()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, shutdown.request)
    try:
        yield shutdown
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
