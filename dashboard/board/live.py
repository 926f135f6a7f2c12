"""The hub of one web process: builds the board once a tick for all its sockets.

A socket gets a frame only after it has acknowledged the one before, and then the newest: one that
never reads costs one frame. The hub runs while there is a socket; the first one starts it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

from django.db import close_old_connections, connections

from dashboard.board.depths import read_depths
from dashboard.board.frame import build_frame, find_launch, newest_launch
from dashboard.board.lenses import Lens
from kitchen_worker.contract import topology
from kitchen_worker.contract.broker import keep_connected
from kitchen_worker.contract.shutdown import Shutdown
from kitchen_worker.contract.wire import Broker

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

#: Frames at most so often, and at least so often.
TICK_S = 0.25
HEARTBEAT_S = 1.0
#: Sockets that one process holds at most.
MAX_SOCKETS = 2000
#: A socket that has not acknowledged a frame for so long is closed.
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class View:
    """What a socket looks at: a launch (None: the newest) through a lens, and which dark version
    beside the control (empty: the first)."""

    launch: UUID | None
    lens: Lens
    version: str = ""


@dataclass(slots=True)
class Frame:
    """One built state of a view, as text with and without the charts.

    ``view`` is the one that was built: where somebody wished for a version that is not there,
    the one that everybody gets instead.
    """

    view: View
    number: int
    built_at: float
    plain: str
    with_series: str
    series_at: float


class Socket(Protocol):
    """An open socket, as the hub sees it."""

    view: View

    async def send_text(self, text: str) -> None:
        """Send a frame."""
        ...

    async def close_slow(self) -> None:
        """Close it, because it does not keep up."""
        ...


@dataclass
class _Seat:
    """Where a socket stands: what it was sent, and whether it has acknowledged that."""

    unacknowledged: int | None = None
    sent_at: float = 0.0
    newest_sent: int = 0
    series_at: float = 0.0


@dataclass
class Hub:
    """The open sockets of this process, and the newest frame of each of their views."""

    amqp_url: str
    seats: dict[Socket, _Seat] = field(default_factory=dict)
    frames: dict[View, Frame] = field(default_factory=dict)
    #: Messages waiting, by queue; None while nobody knows.
    backlogs: dict[str, int] | None = None
    number: int = 0
    _changed: set[UUID] = field(default_factory=set)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _database: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="board")
    )

    def join(self, socket: Socket) -> bool:
        """Take a socket in, if there is a seat; it gets its first frame at the next tick."""
        if len(self.seats) >= MAX_SOCKETS:
            return False
        self.seats[socket] = _Seat()
        if not self._tasks:
            self._tasks = [
                asyncio.ensure_future(self._tick_for_ever()),
                asyncio.ensure_future(self._listen()),
            ]
        return True

    def leave(self, socket: Socket) -> None:
        """Let a socket go; the last one stops the hub."""
        self.seats.pop(socket, None)
        if not self.seats:
            self._stop()

    async def close(self) -> None:
        """Stop, and wait until all has ended."""
        await asyncio.gather(*self._stop(), return_exceptions=True)
        self._database.shutdown()

    def _stop(self) -> list[asyncio.Task[None]]:
        """Let the hub's tasks end; the next socket starts new ones."""
        stopped, self._tasks = self._tasks, []
        for task in stopped:
            task.cancel()
        self.frames.clear()
        return stopped

    async def acknowledged(self, socket: Socket, number: int) -> None:
        """A socket has painted a frame: it may have the newest one."""
        seat = self.seats.get(socket)
        if seat is not None and seat.unacknowledged == number:
            seat.unacknowledged = None
            await self._offer(socket, seat)

    async def look(self, socket: Socket, view: View) -> None:
        """A socket looks at something else from now on."""
        seat = self.seats.get(socket)
        socket.view = view
        if seat is not None:
            seat.newest_sent = 0
            seat.series_at = 0.0
            await self._offer(socket, seat)

    async def _tick_for_ever(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self._tick()
            except Exception:
                logger.exception("the board could not be built", extra={"action": "tick_failed"})
                await self._in_database(_forget_connection)
            await asyncio.sleep(max(0.05, TICK_S - (time.monotonic() - started)))

    async def _tick(self) -> None:
        changed, self._changed = self._changed, set()
        views = {socket.view for socket in self.seats}
        for stale in self.frames.keys() - views:
            del self.frames[stale]
        for view in views:
            if self._is_due(view, changed):
                frame = await self._in_database(partial(self._build, view))
                self.frames[view] = self.frames[frame.view] = frame
        for socket in self.seats:
            if socket.view in self.frames:
                socket.view = self.frames[socket.view].view
        for socket, seat in list(self.seats.items()):
            try:
                await self._offer(socket, seat)
            except Exception:
                logger.exception("a socket took no frame", extra={"action": "socket_failed"})
                self.leave(socket)

    def _is_due(self, view: View, changed: set[UUID]) -> bool:
        frame = self.frames.get(view)
        if frame is None or time.monotonic() - frame.built_at >= HEARTBEAT_S:
            return True
        return bool(changed) if view.launch is None else view.launch in changed

    def _build(self, view: View) -> Frame:
        """Build a view's frame; the charts at most once a heartbeat."""
        close_old_connections()
        self.number += 1
        built_at = time.monotonic()
        launch = find_launch(view.launch) if view.launch else newest_launch()
        if launch is None:
            text = json.dumps({"type": "none", "n": self.number})
            return Frame(view, self.number, built_at, text, text, built_at)
        before = self.frames.get(view)
        frame = build_frame(
            launch,
            view.lens,
            version=view.version,
            with_series=before is None or built_at - before.series_at >= HEARTBEAT_S,
            backlogs=self.backlogs,
        )
        frame["n"] = self.number
        built = replace(view, version=frame["version"])
        series = frame.pop("series", None)
        plain = _json(frame)
        if series is None and before is not None:
            return Frame(built, self.number, built_at, plain, plain, before.series_at)
        frame["series"] = series
        return Frame(built, self.number, built_at, plain, _json(frame), built_at)

    async def _offer(self, socket: Socket, seat: _Seat) -> None:
        """Send the newest frame, if the socket has not got it and is ready for it."""
        now = time.monotonic()
        if seat.unacknowledged is not None:
            if now - seat.sent_at > PATIENCE_S:
                await socket.close_slow()
                self.leave(socket)
            return
        frame = self.frames.get(socket.view)
        if frame is None or frame.number <= seat.newest_sent:
            return
        seat.unacknowledged, seat.newest_sent, seat.sent_at = frame.number, frame.number, now
        fresh_series = frame.series_at > seat.series_at
        seat.series_at = frame.series_at
        await socket.send_text(frame.with_series if fresh_series else frame.plain)

    async def _listen(self) -> None:
        """Hear announcements, and read how much waits in the queues."""
        await keep_connected(
            url=self.amqp_url,
            name="board",
            shutdown=Shutdown(),
            session=self._hear,
            on_state=self._on_broker,
        )

    def _on_broker(self, connected: bool) -> None:
        if not connected:
            self.backlogs = None

    async def _hear(self, broker: Broker) -> None:
        queue = f"{topology.ANNOUNCEMENTS}.{uuid.uuid4()}"
        await broker.declare(topology.board(queue))
        deliveries = await broker.consume(queue, prefetch=10)
        measured_at = 0.0
        while True:
            batch = await deliveries.batch(at_most=10, gather_s=0.0, wait_s=HEARTBEAT_S)
            for delivery in batch:
                self._changed.add(UUID(json.loads(delivery.body)["launch"]))
            await deliveries.ack(batch)
            if time.monotonic() - measured_at >= HEARTBEAT_S:
                measured_at = time.monotonic()
                names = await self._in_database(_versions_of_newest_launch)
                self.backlogs = await read_depths(broker, names)

    async def _in_database(self, work: Callable[[], _Answer]) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._database, work)


def _versions_of_newest_launch() -> list[str]:
    launch = newest_launch()
    if launch is None:
        return []
    return [launch.control, *(dark.version for dark in launch.dark_versions.all())]


def _forget_connection() -> None:
    connections.close_all()


def _json(frame: dict[str, Any]) -> str:
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False)
