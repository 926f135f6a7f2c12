"""A connection's turn to write: first among the threads of its process, then among processes.

SQLite has one writer at a time, and lets the others poll with pauses that grow to a tenth of a
second: five writers wait for each other far longer than any of them writes. This advisory lock on
a file beside the database costs less to ask for, so it is asked for each millisecond. It keeps
nobody out: who asks in vain for too long, or has no such file, goes on, and SQLite decides. The
kernel takes it from a process that dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections import defaultdict
from threading import Lock

_ASK_EVERY_S = 0.001

#: By file: the threads of this process.
_threads: defaultdict[str, Lock] = defaultdict(Lock)


class Turn:
    """The turn of one connection; may be taken and given back again and again."""

    def __init__(self, file: str, wait_s: float) -> None:
        self._thread = _threads[file]
        self._file = _opened(file)
        self._wait_s = wait_s
        #: Whether it is this connection's turn.
        self.is_held = False

    def take(self) -> None:
        """Wait for it, and no longer than what was agreed."""
        until = time.monotonic() + self._wait_s
        if self.is_held or not self._thread.acquire(timeout=self._wait_s):
            return
        try:
            while not self._locked():
                if time.monotonic() >= until:
                    return
                time.sleep(_ASK_EVERY_S)
            self.is_held = True
        finally:
            if not self.is_held:
                self._thread.release()

    def give_back(self) -> None:
        """Let the next one write; nothing happens if it was not taken."""
        if self.is_held:
            self.is_held = False
            if self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)
            self._thread.release()

    def __enter__(self) -> None:
        self.take()

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def close(self) -> None:
        """Give it back for good."""
        self.give_back()
        if self._file is not None:
            os.close(self._file)

    def _locked(self) -> bool:
        """Whether the file is ours now; a system that cannot lock files keeps nobody waiting."""
        if self._file is None:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


def _opened(file: str) -> int | None:
    """The open file, or None if it cannot be had; to lock it, one need not be able to write it."""
    try:
        return os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        return None
