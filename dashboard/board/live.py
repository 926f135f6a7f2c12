"""The hub of one web process: builds the board once a tick for all its sockets.

A socket gets what changed since the last frame that was sent to it. One that acknowledges promptly
is sent a few frames ahead and acknowledges only every fifth, because receiving costs the board more
than sending; any other has one frame under way at a time, so one that never reads costs one frame.
Fast frames never wait for the slow part of a view. The first socket starts the hub, the last one
stops it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections, connections
from django.urls import set_script_prefix

from dashboard.board.broker import Listener
from dashboard.board.views import DEFAULT, Frame, View, build, existing, find, refresh, versions_in

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_Item = TypeVar("_Item")

#: The shortest time between two frames, and about the time while nothing changes.
TICK_S = 0.1
HEARTBEAT_S = 1.0
#: The shortest time between two ticks, as a multiple of the first one's processor time: with many
#: views frames become rarer, but the process does not become busy.
_REST = 3
#: How long a tick spends on views that are not plain, and on searches. What is left waits for the
#: next tick, so that plain boards keep moving.
OTHERS_S = 0.05
MAX_SOCKETS = 2000
#: A socket that has not acknowledged a frame for this long is closed.
PATIENCE_S = 60.0
#: How often each socket's user is checked, who may have logged out or lost the permission.
CHECK_EVERY_S = 60.0
#: An acknowledgement within this time is prompt.
PROMPT_S = 0.5
#: Maximum number of frames under way to a socket that keeps up, and how often it acknowledges.
AHEAD = 10
AHEAD_EVERY = 5


@dataclass
class Subscription:
    """A socket's view, the frames that were sent to it, and those it has not acknowledged."""

    view: View = DEFAULT
    #: The view that it has asked for since the last tick.
    wanted: View | None = None
    #: What it has searched for since the last tick.
    search: str | None = None
    #: When it began to watch its view.
    began_at: float = 0.0
    #: The newest frame of its view that was sent; 0: it needs a whole one.
    sent: int = 0
    #: It acknowledges every so many frames.
    every: int = 1
    _under_way: deque[tuple[int, float]] = field(default_factory=deque)

    @property
    def has_room(self) -> bool:
        """Whether a frame may be sent to it."""
        return len(self._under_way) < (1 if self.every == 1 else AHEAD)

    def waited_s(self, now: float) -> float:
        """How long the oldest frame under way has waited for its acknowledgement."""
        return now - self._under_way[0][1] if self._under_way else 0.0

    def watch(self, view: View, now: float) -> None:
        self.view, self.began_at, self.sent = view, now, 0

    def send(self, number: int, now: float) -> None:
        self.sent = number
        self._under_way.append((number, now))

    def acknowledge(self, number: int, now: float) -> bool:
        """Take the acknowledgement of a frame and all before it; returns whether the pace changed.

        Unknown numbers are ignored.
        """
        sent_at = next((at for sent, at in self._under_way if sent == number), None)
        if sent_at is None:
            return False
        while self._under_way and self._under_way[0][0] <= number:
            self._under_way.popleft()
        before, self.every = self.every, AHEAD_EVERY if now - sent_at <= PROMPT_S else 1
        return self.every != before


class Socket(Protocol):
    """An open socket, as the hub sees it."""

    def may_watch(self) -> bool:
        """Whether its user may still watch; reads the database."""
        ...

    async def close_denied(self) -> None:
        """Close it: its user may not watch any more."""
        ...

    async def send_text(self, text: str) -> None:
        """Send a frame."""
        ...

    async def close_slow(self) -> None:
        """Close it: it does not keep up."""
        ...


@dataclass
class Hub:
    """The open sockets of this process, and the newest frame of each of their views."""

    amqp_url: str
    subscriptions: dict[Socket, Subscription] = field(default_factory=dict)
    frames: dict[View, Frame] = field(default_factory=dict)
    number: int = 0
    #: Processor time of the database's thread so far.
    _spent_s: float = 0.0
    #: Launches that changed since the last tick.
    _changed: set[UUID] = field(default_factory=set)
    #: Set when something has changed.
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    #: The thread that builds frames, while the loop serves the sockets. Django sets the prefix of
    #: URLs for requests only.
    _database: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(
            1,
            thread_name_prefix="board",
            initializer=set_script_prefix,
            initargs=(settings.FORCE_SCRIPT_NAME or "/",),
        )
    )

    def __post_init__(self) -> None:
        self.listener = Listener(self.amqp_url, self.changed, self._watched_versions)

    # Called for sockets.

    def join(self, socket: Socket, view: View) -> bool:
        """Add a socket, if there is room; it gets its first frame at the next tick."""
        if len(self.subscriptions) >= MAX_SOCKETS:
            return False
        self.subscriptions[socket] = Subscription(wanted=view)
        self._news.set()
        if not self._tasks:
            work = (self._run_ticks(), self.listener.run(), self._check_sockets())
            self._tasks = [asyncio.ensure_future(one) for one in work]
        return True

    def leave(self, socket: Socket) -> None:
        """Remove a socket; the last one stops the hub."""
        self.subscriptions.pop(socket, None)
        if not self.subscriptions:
            self._stop()

    async def acknowledged(self, socket: Socket, number: int) -> None:
        """Take a socket's acknowledgement, and send it the newest frame if there is room."""
        one = self.subscriptions.get(socket)
        if one is None:
            return
        if one.acknowledge(number, time.monotonic()):
            await socket.send_text(json.dumps({"type": "pace", "every": one.every}))
        await self._offer(socket, one)

    def watch(self, socket: Socket, change: Callable[[View], View]) -> None:
        """Have a socket watch another view from the next tick on; the last call counts."""
        one = self.subscriptions.get(socket)
        if one is not None:
            one.wanted = change(one.wanted or one.view)
            self._news.set()

    def search(self, socket: Socket, text: str) -> None:
        """Answer a socket's search at the next tick; the last call counts."""
        one = self.subscriptions.get(socket)
        if one is not None:
            one.search = text
            self._news.set()

    def changed(self, launch: UUID) -> None:
        """Mark a launch as changed."""
        self._changed.add(launch)
        self._news.set()

    async def close(self) -> None:
        """Stop, and wait for the end of all tasks."""
        await asyncio.gather(*self._stop(), return_exceptions=True)
        await self._in_database(connections.close_all)
        self._database.shutdown()

    def _stop(self) -> list[asyncio.Task[None]]:
        """End the hub's tasks; the next socket starts new ones."""
        stopped, self._tasks = self._tasks, []
        for task in stopped:
            task.cancel()
        self.frames.clear()
        return stopped

    # A tick: build the views that are due, and send them.

    async def _run_ticks(self) -> None:
        while True:
            started, spent_s = time.monotonic(), self._spent_s
            try:
                await self._tick()
            except Exception:
                logger.exception("the board could not be built", extra={"action": "tick_failed"})
            rest_s = max(TICK_S, _REST * (self._spent_s - spent_s))
            await asyncio.sleep(max(0.0, started + rest_s - time.monotonic()))
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._news.wait()

    async def _tick(self) -> None:
        self._news.clear()
        changed, self._changed = self._changed, set()
        await self._change_views()
        plain, others = self._views_by_age()
        for stale in self.frames.keys() - {*plain, *others}:
            del self.frames[stale]
        for view in plain:
            await self._renew(view, changed)
        await self._send_frames()
        if await self._until_time_is_up(others, lambda view: self._renew(view, changed)):
            self._changed |= changed
            self._news.set()
        await self._send_frames()
        if await self._until_time_is_up(self._sockets_that_search(), self._send_search_result):
            self._news.set()
        for view in plain:
            await self._refresh(view)
        await self._until_time_is_up(others, self._refresh)

    @staticmethod
    async def _until_time_is_up(
        items: list[_Item], work: Callable[[_Item], Awaitable[None]]
    ) -> list[_Item]:
        """Work on items, always at least one, until their time is up; returns the rest."""
        ends_at = time.monotonic() + OTHERS_S
        for number, item in enumerate(items):
            if number and time.monotonic() > ends_at:
                return items[number:]
            await work(item)
        return []

    async def _change_views(self) -> None:
        """Switch sockets to the views that they have asked for since the last tick."""
        wanted = {socket: one.wanted for socket, one in self.subscriptions.items() if one.wanted}
        if not wanted:
            return
        views = await self._in_database(partial(existing, set(wanted.values())))
        now = time.monotonic()
        for socket, view in wanted.items():
            one = self.subscriptions.get(socket)
            if one is not None:
                one.wanted = None if one.wanted == view else one.wanted
                one.watch(views[view], now)

    def _views_by_age(self) -> tuple[list[View], list[View]]:
        """The plain views that are watched, and the others; the longest waiting first."""
        since: dict[View, float] = {}
        for one in self.subscriptions.values():
            frame = self.frames.get(one.view)
            at = one.began_at if frame is None else frame.built_at
            since[one.view] = min(at, since.get(one.view, at))
        views = sorted(since, key=lambda view: since[view])
        return (
            [view for view in views if view.is_plain],
            [view for view in views if not view.is_plain],
        )

    async def _renew(self, view: View, changed: AbstractSet[UUID]) -> None:
        """Build the next frame of a view if its launch has changed or its last frame is old."""
        before = self.frames.get(view)
        has_changed = bool(changed) if view.launch is None else view.launch in changed
        if has_changed or before is None or time.monotonic() - before.built_at >= HEARTBEAT_S:
            await self._keep(view, partial(self._build, view, has_changed=has_changed))

    def _build(self, view: View, *, has_changed: bool) -> Frame:
        """The view's next frame; if its launch has changed, preferably with the last slow part."""
        self.number += 1
        before = self.frames.get(view)
        known = before.slow if before is not None else None
        if known is not None and (known.is_too_old if has_changed else known.is_old):
            known = None
        backlogs = self.listener.backlogs.fresh if self.listener.backlogs is not None else None
        return build(view, known, self.frames, number=self.number, backlogs=backlogs)

    async def _refresh(self, view: View) -> None:
        """Compute a view's slow part for its next frames."""
        frame = self.frames.get(view)
        if frame is None or frame.slow is None or not frame.slow.is_old:
            return
        try:
            await self._keep(view, partial(refresh, frame))
        except Exception:
            logger.exception(
                "the slow part of a view was not computed", extra={"action": "refresh_failed"}
            )

    async def _keep(self, view: View, make: Callable[[], Frame]) -> None:
        frame = await self._in_database(make)
        self.frames[view] = self.frames[frame.view] = frame

    async def _send_frames(self) -> None:
        for socket, one in list(self.subscriptions.items()):
            try:
                await self._offer(socket, one)
            except Exception:
                logger.exception("a socket took no frame", extra={"action": "socket_failed"})
                self.leave(socket)

    async def _offer(self, socket: Socket, one: Subscription) -> None:
        """Send what changed since the last frame, if there is a newer one and the socket is ready
        for it."""
        now = time.monotonic()
        if one.waited_s(now) > PATIENCE_S:
            await socket.close_slow()
            self.leave(socket)
            return
        frame = self._newest(one) if one.wanted is None else None
        if frame is None or frame.number <= one.sent or not one.has_room:
            return
        text = frame.text(one.sent)
        one.send(frame.number, now)
        await socket.send_text(text)

    def _newest(self, one: Subscription) -> Frame | None:
        """The newest frame of a socket's view, or of the one that is shown instead."""
        frame = self.frames.get(one.view)
        if frame is None or frame.view == one.view:
            return frame
        one.view = frame.view
        return self.frames.get(frame.view, frame)

    def _sockets_that_search(self) -> list[Socket]:
        return [socket for socket, one in self.subscriptions.items() if one.search is not None]

    async def _send_search_result(self, socket: Socket) -> None:
        """Send the result of a socket's search."""
        one = self.subscriptions.get(socket)
        if one is None or one.search is None:
            return
        text, one.search = one.search, None
        await socket.send_text(await self._in_database(partial(find, one.view, text)))

    # Between the ticks.

    async def _check_sockets(self) -> None:
        """Close the sockets whose users may not watch any more.

        Without the database they stay open: it has nothing to show them either.
        """
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            for socket in list(self.subscriptions):
                try:
                    if await self._in_database(socket.may_watch):
                        continue
                    await socket.close_denied()
                except Exception:
                    logger.exception("a socket was not checked", extra={"action": "not_checked"})
                else:
                    self.leave(socket)

    async def _watched_versions(self) -> set[str]:
        views = {one.view for one in self.subscriptions.values()}
        return await self._in_database(partial(versions_in, views))

    async def _in_database(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._database, self._run, work)

    def _run(self, work: Callable[[], _T]) -> _T:
        """Run in the database's thread; after an error the next call gets a new connection."""
        close_old_connections()
        started_s = time.thread_time()
        try:
            return work()
        except BaseException:
            connections.close_all()
            raise
        finally:
            self._spent_s += time.thread_time() - started_s
