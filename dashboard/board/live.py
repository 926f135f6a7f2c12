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
from collections.abc import Awaitable, Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections

from dashboard.board.depths import Backlogs, read_depths
from dashboard.board.seats import Seat
from dashboard.board.views import DEFAULT, NOWHERE, Frame, View, build, look_anew
from kitchen_worker.amqp.broker import Broker, Deliveries
from kitchen_worker.amqp.connection import keep_connected
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.contract import topology
from restaurant.launches import find_launch, newest_launch
from restaurant.models import Launch

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

#: Frames at most so often; while nothing changes, about so often.
TICK_S = 0.1
HEARTBEAT_S = 1.0
#: From one tick to the next, as a multiple of the processor time that its frames took: many views
#: make frames rarer, and not the process busy.
_REST = 3
#: How long a tick spends on other views than plain ones; those that come too late wait for the
#: next: however many views there are, a plain board moves.
OTHERS_S = 0.05
#: Sockets that one process holds at most.
MAX_SOCKETS = 2000
#: A socket that has not acknowledged a frame for so long is closed.
PATIENCE_S = 60.0
#: How often every open socket is checked: its user may have logged out, or lost the permission.
CHECK_EVERY_S = 60.0
#: Shortest and longest wait before the listener starts again after an error that nobody expected,
#: and how long it must have run for the next wait to be the shortest.
_RESTART_S = (1.0, 30.0)
_STEADY_S = 60.0


class _Announcement(msgspec.Struct):
    """What of an announcement counts here: the launch that changed."""

    launch: UUID


class Socket(Protocol):
    """An open socket, as the hub sees it."""

    view: View

    def may_watch(self) -> bool:
        """Ask the database whether its user may still watch."""
        ...

    async def close_denied(self) -> None:
        """Close it, because its user may not watch any more."""
        ...

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
    #: Messages waiting, as last read; None while nobody knows.
    backlogs: Backlogs | None = None
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
        self.seats[socket] = Seat(wish=socket.view)
        socket.view = DEFAULT
        self._news.set()
        if not self._tasks:
            self._tasks = [
                asyncio.ensure_future(self._tick_for_ever()),
                asyncio.ensure_future(self._listen()),
                asyncio.ensure_future(self._check_sockets()),
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

    def look(self, socket: Socket, wish: Callable[[View], View]) -> None:
        """A socket looks at something else from the next tick on: the last that it wished for."""
        seat = self.seats.get(socket)
        if seat is not None:
            seat.wish = wish(seat.wish or socket.view)
            self._news.set()

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
        await self._grant_wishes()
        plain, others = self._in_turn()
        for stale in self.frames.keys() - {*plain, *others}:
            del self.frames[stale]
        for view in plain:
            await self._renew(view, changed)
        await self._hand_out()
        late = await self._for_a_while(others, lambda view: self._renew(view, changed))
        if late:
            self._changed |= changed
            self._news.set()
        await self._hand_out()
        for view in plain:
            await self._look_ahead(view)
        await self._for_a_while(others, self._look_ahead)

    async def _for_a_while(
        self, views: list[View], work: Callable[[View], Awaitable[None]]
    ) -> list[View]:
        """Do something for views until the time of a tick for them is over; those that are left."""
        ends_at = time.monotonic() + OTHERS_S
        for number, view in enumerate(views):
            if number and time.monotonic() > ends_at:
                return views[number:]
            await work(view)
        return []

    async def _renew(self, view: View, changed: AbstractSet[UUID]) -> None:
        is_hurried = bool(changed) if view.launch is None else view.launch in changed
        if is_hurried or self._is_due(view):
            await self._show(partial(self._build, view, is_hurried=is_hurried), view)

    async def _grant_wishes(self) -> None:
        """Let sockets look at what they wished for since the last tick, as far as it exists."""
        wishes = {socket: seat.wish for socket, seat in self.seats.items() if seat.wish is not None}
        if not wishes:
            return
        views = await self._in_database(partial(_existing, set(wishes.values())))
        now = time.monotonic()
        for socket, wish in wishes.items():
            seat = self.seats.get(socket)
            if seat is None:
                continue
            seat.wish = seat.wish if seat.wish != wish else None
            seat.newest_sent, seat.series_at, seat.looks_since = 0, 0.0, now
            socket.view = views[wish]

    def _in_turn(self) -> tuple[list[View], list[View]]:
        """The plain views that are looked at, and the others, first those that waited longest."""
        since: dict[View, float] = {}
        for socket, seat in self.seats.items():
            frame = self.frames.get(socket.view)
            at = seat.looks_since if frame is None else frame.built_at
            since[socket.view] = min(at, since.get(socket.view, at))
        views = sorted(since, key=lambda view: since[view])
        return (
            [view for view in views if view.is_plain],
            [view for view in views if not view.is_plain],
        )

    async def _look_ahead(self, view: View) -> None:
        """Work out for the next frames what takes long; they can do without it for a while."""
        frame = self.frames.get(view)
        if frame is None or frame.worked_out is None or not frame.worked_out.is_old:
            return
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
        backlogs = self.backlogs.fresh if self.backlogs is not None else None
        with self._timed():
            return build(view, known, number=self.number, backlogs=backlogs)

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
        frame = self._newest(socket) if seat.wish is None else None
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

    async def _check_sockets(self) -> None:
        """Close the sockets whose users may not watch any more, once a minute.

        While the database cannot say, it cannot show them anything either.
        """
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            for socket in list(self.seats):
                try:
                    if await self._in_database(socket.may_watch):
                        continue
                    await socket.close_denied()
                except Exception:
                    logger.exception("a socket was not checked", extra={"action": "not_checked"})
                    await self._in_database(_forget_connection)
                else:
                    self.leave(socket)

    async def _listen(self) -> None:
        """Follow announcements and queue lengths; starts again after an unexpected error, too."""
        wait_s, longest_s = _RESTART_S
        while True:
            started = time.monotonic()
            try:
                await keep_connected(
                    url=self.amqp_url,
                    name="board",
                    shutdown=Shutdown(),
                    session=self._session,
                    on_state=self._on_broker,
                )
            except Exception:
                logger.exception("the listener failed", extra={"action": "listener_failed"})
            if time.monotonic() - started >= _STEADY_S:
                wait_s = _RESTART_S[0]
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, longest_s)

    def _on_broker(self, connected: bool) -> None:
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
            batch = await announcements.batch(at_most=10, gather_s=0.0, wait_s=HEARTBEAT_S)
            for delivery in batch:
                try:
                    self.heard(msgspec.json.decode(delivery.body, type=_Announcement).launch)
                except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
                    logger.warning(
                        "an announcement is ignored: %s", cause, extra={"action": "ignored"}
                    )
            await announcements.ack(batch)

    async def _read_backlogs(self, broker: Broker) -> None:
        """Read the lengths of the queues of every launch that is watched, about once a second.

        An error of the database is tried again; until then the last lengths grow old.
        """
        while True:
            launches = {socket.view.launch for socket in self.seats}
            try:
                versions = await self._in_database(partial(_versions, launches))
            except DatabaseError as cause:
                logger.warning(
                    "no queue lengths: %s", str(cause).strip(), extra={"action": "db_away"}
                )
                await self._in_database(_forget_connection)
            else:
                self.backlogs = Backlogs(time.monotonic(), await read_depths(broker, versions))
            await asyncio.sleep(HEARTBEAT_S)

    async def _in_database(self, work: Callable[[], _Answer]) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._database, work)


def _existing(asked: AbstractSet[View]) -> dict[View, View]:
    """For views that are asked for, those that there are.

    All launches that do not exist are one; a version that does not is the first one.
    """
    close_old_connections()
    launches = Launch.objects.prefetch_related("dark_versions").in_bulk(
        {view.launch for view in asked if view.launch is not None}
    )
    newest = newest_launch()
    views = {}
    for view in asked:
        launch = newest if view.launch is None else launches.get(view.launch)
        if launch is None:
            views[view] = DEFAULT if view.launch is None else NOWHERE
            continue
        is_there = view.version in {dark.version for dark in launch.dark_versions.all()}
        views[view] = view if is_there else replace(view, version="")
    return views


def _versions(launches: Iterable[UUID | None]) -> set[str]:
    """The versions of some launches; None is the newest one."""
    close_old_connections()
    versions: set[str] = set()
    for given in launches:
        launch = newest_launch() if given is None else find_launch(given)
        if launch is not None:
            versions |= {launch.control, *(dark.version for dark in launch.dark_versions.all())}
    return versions


def _forget_connection() -> None:
    connections.close_all()
