"""Signals the relay that orders were placed: NOTIFY on PostgreSQL, PRAGMA data_version on SQLite.

Signals may be lost or spurious: the relay also looks once a second without one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Self

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

_CHANNEL = "restaurant_orders"
#: How often SQLite is polled for other connections' writes.
_ASK_EVERY_S = 0.01
#: How long to listen to PostgreSQL before checking for a stop.
_LISTEN_S = 0.25
#: The wait before a lost database is tried again.
_RETRY_S = 1.0


def notify() -> None:
    """Signal new orders when this transaction commits. On SQLite the commit itself is the
    signal."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {_CHANNEL}")


class OrderSignal:
    """Listens in a thread with its own connection, while used as a context manager."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="order-signal", daemon=True)

    async def wait(self, timeout_s: float) -> None:
        """Wait for a signal since the last wait, at most ``timeout_s`` seconds."""
        try:
            # Python 3.11's wait_for loses a cancellation that comes together with the event.
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()

    def send(self) -> None:
        """Signal from the event loop's thread."""
        self._event.set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        listen = self._on_postgresql if connection.vendor == "postgresql" else self._on_sqlite
        while not self._stopped.is_set():
            try:
                listen()
            except (OperationalError, InterfaceError) as cause:
                logger.warning(
                    "order signals unavailable: %s", str(cause).strip(), extra={"action": "db_away"}
                )
                connection.close()
                self._stopped.wait(_RETRY_S)
        connection.close()

    def _on_postgresql(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {_CHANNEL}")
        self._signal()
        while not self._stopped.is_set():
            with connection.wrap_database_errors:
                for _ in connection.connection.notifies(timeout=_LISTEN_S, stop_after=1):
                    self._signal()

    def _on_sqlite(self) -> None:
        """PRAGMA data_version changes when another connection, of any process, commits."""
        seen = None
        with connection.cursor() as cursor:
            while not self._stopped.wait(_ASK_EVERY_S):
                cursor.execute("PRAGMA data_version")
                (version,) = cursor.fetchone()
                if version != seen:
                    seen = version
                    self._signal()

    def _signal(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)
