"""A bounded pool of daemon threads: a hanging kitchen can't keep the process alive."""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Job:
    """One call: the function, the future of its result, and when it started."""

    def __init__(self, call: Callable[[], Any], ended: asyncio.Future[Any]) -> None:
        self.call = call
        self.ended = ended
        self.begun_at = math.inf

    def run(self) -> None:
        """Call the function unless its future was cancelled; pass the result to the event loop."""
        if self.ended.cancelled():
            return
        self.begun_at = time.monotonic()
        try:
            settle: tuple[Callable[[Any], None], Any] = (self.ended.set_result, self.call())
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            settle = (self.ended.set_exception, error)
        _settle_in_loop(self.ended, *settle)


class DaemonThreads:
    """At most ``most`` threads with work that somebody awaits, started on demand.

    A thread can't be ended, so one whose caller gave up no longer counts towards ``most``.
    """

    def __init__(self, most: int, *, name: str) -> None:
        self._most = most
        self._name = name
        self._work: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._free = self._queued = 0
        self._running: set[_Job] = set()

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run ``function`` in a thread and wait for it. Can be cancelled until it has started."""
        ended: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._queued += 1
            one_more = self._queued > self._free and self._room() > 0
            self._threads += one_more
            self._free += one_more
        self._work.put(_Job(lambda: function(*args, **kwargs), ended))
        if one_more:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        return await ended

    def overdue(self, limit_s: float) -> int:
        """How many calls have run for longer than this."""
        with self._lock:
            begun = [job.begun_at for job in self._running]
        return sum(time.monotonic() - one > limit_s for one in begun)

    def _room(self) -> int:
        """How many more threads may start; negative when there are too many."""
        abandoned = sum(job.ended.cancelled() for job in self._running)
        return self._most + abandoned - self._threads

    def _serve(self) -> None:
        while True:
            job = self._work.get()
            with self._lock:
                self._queued -= 1
                self._free -= 1
                self._running.add(job)
            job.run()
            with self._lock:
                self._running.discard(job)
                if self._room() < 0:
                    self._threads -= 1
                    return
                self._free += 1


def _settle_in_loop(ended: asyncio.Future[Any], settle: Callable[[Any], None], value: Any) -> None:
    def deliver() -> None:
        if not ended.done():
            settle(value)

    with suppress(RuntimeError):  # the loop is closed: nobody awaits it
        ended.get_loop().call_soon_threadsafe(deliver)
