"""Keeps a process of a stack running that crashes, as a supervisor would."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from local.processes import is_running
from local.stack import Stack

#: How long it lies there each time, as under `make run`.
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
_LOOK_S = 0.05


@contextmanager
def started_again(stack: Stack, name: str, start: Callable[[], None]) -> Iterator[None]:
    """For the time of the block, ``start`` the process again whenever it has ended."""
    over = threading.Event()

    def keep() -> None:
        for pause_s in _PAUSES_S:
            while is_running(stack.pids()[name], naming=name):
                if over.wait(_LOOK_S):
                    return
            if over.wait(pause_s):
                return
            stack.stop(name, with_signal=signal.SIGKILL)
            start()

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
