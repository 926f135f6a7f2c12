"""What the board reads from the broker: announcements of changes, and queue lengths."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec
from django.db import Error as DatabaseError

from kitchen_worker.amqp.broker import Broker, BrokerError, Deliveries, depths_of
from kitchen_worker.amqp.connection import connect, keep_connected
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.contract import topology

logger = logging.getLogger(__name__)

#: How often queue lengths are read.
READ_EVERY_S = 1.0
#: Queue lengths that are older than this are unknown.
FRESH_S = 5.0
#: How long a command waits for queue lengths.
_PATIENCE_S = 5.0
#: Shortest and longest wait before the listener restarts after an unexpected error, and how long it
#: must have run to begin with the shortest again.
_RESTART_S = (1.0, 30.0)
_STEADY_S = 60.0


class _Announcement(msgspec.Struct):
    """An announcement, reduced to the launch that changed."""

    launch: UUID


@dataclass(frozen=True, slots=True)
class Backlogs:
    """Queue lengths, and when they were read."""

    read_at: float
    by_queue: Mapping[str, int]

    @property
    def fresh(self) -> Mapping[str, int] | None:
        """The lengths; None if they are too old."""
        return self.by_queue if time.monotonic() - self.read_at <= FRESH_S else None


@dataclass
class Listener:
    """Follows announcements and queue lengths; survives lost connections and unexpected errors."""

    amqp_url: str
    #: Called with each launch that changed.
    changed: Callable[[UUID], None]
    #: Returns the versions whose queues are read.
    versions: Callable[[], Awaitable[Iterable[str]]]
    #: As last read; None while unknown.
    backlogs: Backlogs | None = None

    async def run(self) -> None:
        """Listen until this is cancelled."""
        wait_s, longest_s = _RESTART_S
        while True:
            started = time.monotonic()
            try:
                await keep_connected(
                    url=self.amqp_url,
                    name="board",
                    shutdown=Shutdown(),
                    session=self._session,
                    on_state=self._on_connection,
                )
            except Exception:
                logger.exception("the listener failed", extra={"action": "listener_failed"})
            if time.monotonic() - started >= _STEADY_S:
                wait_s = _RESTART_S[0]
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, longest_s)

    def _on_connection(self, connected: bool) -> None:
        if not connected:
            self.backlogs = None

    async def _session(self, broker: Broker) -> None:
        queue = f"{topology.ANNOUNCEMENTS}.{uuid.uuid4()}"
        await broker.declare(topology.board(queue))
        announcements = await broker.consume(queue, prefetch=10)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(announcements))
            tasks.create_task(self._read_backlogs(broker))

    async def _follow(self, announcements: Deliveries) -> None:
        while True:
            batch = await announcements.batch(at_most=10, gather_s=0.0, wait_s=READ_EVERY_S)
            for delivery in batch:
                try:
                    self.changed(msgspec.json.decode(delivery.body, type=_Announcement).launch)
                except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
                    logger.warning(
                        "an announcement is ignored: %s", cause, extra={"action": "ignored"}
                    )
            await announcements.ack(batch)

    async def _read_backlogs(self, broker: Broker) -> None:
        """Read queue lengths; without the database the last ones expire."""
        while True:
            try:
                versions = await self.versions()
            except DatabaseError as cause:
                logger.warning(
                    "no queue lengths: %s", str(cause).strip(), extra={"action": "db_away"}
                )
            else:
                self.backlogs = Backlogs(time.monotonic(), await read_depths(broker, versions))
            await asyncio.sleep(READ_EVERY_S)


async def read_depths(broker: Broker, versions: Iterable[str]) -> dict[str, int]:
    """Lengths of the observer's and the versions' queues, as far as they exist."""
    return await depths_of(broker, (topology.STREAM_QUEUE, *map(topology.kitchen_queue, versions)))


def ask_for_depths(
    url: str, versions: Iterable[str], *, patience_s: float = _PATIENCE_S
) -> dict[str, int] | None:
    """The same over a new connection; None if no broker answers in time."""
    try:
        return asyncio.run(_ask(url, list(versions), patience_s))
    except (TimeoutError, BrokerError, OSError):
        return None
    except BaseExceptionGroup as several:
        if several.split((TimeoutError, BrokerError, OSError))[1] is not None:
            raise
        return None


async def _ask(url: str, versions: list[str], patience_s: float) -> dict[str, int]:
    async with asyncio.timeout(patience_s), connect(url, "verdict") as broker:
        return await read_depths(broker, versions)
