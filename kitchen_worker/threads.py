"""A bounded pool of daemon threads: a kitchen that hangs in one never keeps the process alive."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class DaemonThreads:
    """At most ``most`` threads, started when there is work for them."""

    def __init__(self, most: int, *, name: str) -> None:
        self._most = most
        self._name = name
        self._threads = 0
        self._idle = threading.Semaphore(0)
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run ``function`` in a thread and wait for it. One that is not begun can be cancelled."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[_T] = loop.create_future()

        def work() -> None:
            if ended.cancelled():
                return
            try:
                settle: tuple[Callable[[Any], None], Any] = (
                    ended.set_result,
                    function(*args, **kwargs),
                )
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                settle = (ended.set_exception, error)
            _tell(loop, ended, *settle)

        self._work.put(work)
        if not self._idle.acquire(blocking=False) and self._threads < self._most:
            self._threads += 1
            threading.Thread(
                target=self._serve, name=f"{self._name}-{self._threads}", daemon=True
            ).start()
        return await ended

    def _serve(self) -> None:
        while True:
            self._work.get()()
            self._idle.release()


def _tell(
    loop: asyncio.AbstractEventLoop,
    ended: asyncio.Future[Any],
    settle: Callable[[Any], None],
    value: Any,
) -> None:
    def deliver() -> None:
        if not ended.done():
            settle(value)

    with suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
        loop.call_soon_threadsafe(deliver)
