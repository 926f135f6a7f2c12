"""The hub of one web process: builds the board once a tick for all its sockets.

A socket gets the newest frame when it has acknowledged what it was sent (`dashboard.board.seats`):
one that never reads costs one frame. No frame of a rush waits for what takes long to work out. The
hub runs while there is a socket; the first one starts it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from django.db import close_old_connections, connections

from dashboard.board.depths import read_depths
from dashboard.board.frame import newest_launch
from dashboard.board.seats import Seat
from dashboard.board.views import Frame, View, build, look_anew
from kitchen_worker.contract import topology
from kitchen_worker.contract.broker import keep_connected
from kitchen_worker.contract.shutdown import Shutdown
from kitchen_worker.contract.wire import Broker

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

#: Frames at most so often; while nothing changes, about so often.
TICK_S = 0.1
HEARTBEAT_S = 1.0
#: From one tick to the next, as a multiple of the processor time that its frames took: many views
#: make frames rarer, and not the process busy.
_REST = 3
#: Sockets that one process holds at most.
MAX_SOCKETS = 2000
#: A socket that has not acknowledged a frame for so long is closed.
PATIENCE_S = 60.0


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
class Hub:
    """The open sockets of this process, and the newest frame of each of their views."""

    amqp_url: str
    seats: dict[Socket, Seat] = field(default_factory=dict)
    frames: dict[View, Frame] = field(default_factory=dict)
    #: Messages waiting, by queue; None while nobody knows.
    backlogs: dict[str, int] | None = None
    number: int = 0
    #: Processor time that went into frames.
    _spent_s: float = 0.0
    _changed: set[UUID] = field(default_factory=set)
    #: Set when something has changed.
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _database: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="board")
    )

    def join(self, socket: Socket) -> bool:
        """Take a socket in, if there is a seat; it gets its first frame at the next tick."""
        if len(self.seats) >= MAX_SOCKETS:
            return False
        self.seats[socket] = Seat()
        self._news.set()
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
        await self._in_database(_forget_connection)
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
        if seat is None:
            return
        if seat.acknowledge(number, time.monotonic()):
            await socket.send_text(json.dumps({"type": "pace", "every": seat.every}))
        await self._offer(socket, seat)

    async def look(self, socket: Socket, view: View) -> None:
        """A socket looks at something else from now on."""
        seat = self.seats.get(socket)
        socket.view = view
        if seat is not None:
            seat.newest_sent = 0
            seat.series_at = 0.0
            self._news.set()
            await self._offer(socket, seat)

    def heard(self, launch: UUID) -> None:
        """Something of a launch has changed."""
        self._changed.add(launch)
        self._news.set()

    async def _tick_for_ever(self) -> None:
        while True:
            started, spent_s = time.monotonic(), self._spent_s
            try:
                await self._tick()
            except Exception:
                logger.exception("the board could not be built", extra={"action": "tick_failed"})
                await self._in_database(_forget_connection)
            rest_s = max(TICK_S, _REST * (self._spent_s - spent_s))
            await asyncio.sleep(max(0.0, started + rest_s - time.monotonic()))
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._news.wait()

    async def _tick(self) -> None:
        self._news.clear()
        changed, self._changed = self._changed, set()
        views = {socket.view for socket in self.seats}
        for stale in self.frames.keys() - views:
            del self.frames[stale]
        for view in views:
            is_hurried = bool(changed) if view.launch is None else view.launch in changed
            if is_hurried or self._is_due(view):
                await self._show(partial(self._build, view, is_hurried=is_hurried), view)
        await self._hand_out()
        for view in views:
            frame = self.frames.get(view)
            if frame is not None and frame.worked_out is not None and frame.worked_out.is_old:
                await self._look_ahead(frame, view)

    async def _look_ahead(self, frame: Frame, view: View) -> None:
        """Work out for the next frames what takes long; they can do without it for a while."""
        try:
            await self._show(partial(self._look_anew, frame), view)
        except Exception:
            logger.exception("a view was not looked at anew", extra={"action": "look_failed"})
            await self._in_database(_forget_connection)

    async def _show(self, made: Callable[[], Frame], view: View) -> None:
        frame = await self._in_database(made)
        self.frames[view] = self.frames[frame.view] = frame

    async def _hand_out(self) -> None:
        for socket, seat in list(self.seats.items()):
            try:
                await self._offer(socket, seat)
            except Exception:
                logger.exception("a socket took no frame", extra={"action": "socket_failed"})
                self.leave(socket)

    def _is_due(self, view: View) -> bool:
        frame = self.frames.get(view)
        return frame is None or time.monotonic() - frame.built_at >= HEARTBEAT_S

    def _build(self, view: View, *, is_hurried: bool) -> Frame:
        """The view's next frame; what takes long is not waited for in a hurry."""
        self.number += 1
        before = self.frames.get(view)
        known = before.worked_out if before is not None else None
        if known is not None and (known.is_too_old if is_hurried else known.is_old):
            known = None
        with self._timed():
            return build(view, known, number=self.number, backlogs=self.backlogs)

    def _look_anew(self, frame: Frame) -> Frame:
        with self._timed():
            return look_anew(frame)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        close_old_connections()
        began = time.thread_time()
        yield
        self._spent_s += time.thread_time() - began

    async def _offer(self, socket: Socket, seat: Seat) -> None:
        """Send the newest frame, if the socket has not got it and is ready for it."""
        now = time.monotonic()
        if seat.waited_s(now) > PATIENCE_S:
            await socket.close_slow()
            self.leave(socket)
            return
        frame = self._newest(socket)
        if frame is None or frame.number <= seat.newest_sent or not seat.has_room:
            return
        seat.send(frame.number, now)
        fresh_series = frame.series_at > seat.series_at
        seat.series_at = frame.series_at
        await socket.send_text(frame.with_series if fresh_series else frame.plain)

    def _newest(self, socket: Socket) -> Frame | None:
        """The newest frame of what a socket looks at, or of what it is shown instead."""
        frame = self.frames.get(socket.view)
        if frame is None or frame.view == socket.view:
            return frame
        socket.view = frame.view
        return self.frames.get(frame.view, frame)

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
                self.heard(UUID(json.loads(delivery.body)["launch"]))
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
