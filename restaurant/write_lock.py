"""Transactions of the code that writes most: on SQLite they queue at a lock file.

SQLite has one writer at a time and no queue. A second one asks again after pauses of up to a tenth
of a second, and so may wait for many seconds beside a busy writer. The lock file is asked for each
millisecond. It is advisory: other writers, and those that ask for it in vain, wait as SQLite does.
The kernel unlocks it when a process dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from django.db import connection, transaction

_ASK_EVERY_S = 0.001
#: How long the lock file is asked for; then SQLite's own timeout begins.
_WAIT_S = 5.0


@contextmanager
def write_transaction() -> Iterator[None]:
    """``transaction.atomic()``, which begins on SQLite once it holds the lock file."""
    with _write_lock(), transaction.atomic():
        yield


def _write_lock() -> AbstractContextManager[None]:
    database = connection.settings_dict["NAME"]
    # Inside a transaction SQLite is locked already: the holder of the file may wait for that.
    if connection.vendor != "sqlite" or connection.in_atomic_block or database == ":memory:":
        return nullcontext()
    return lock(f"{database}-lock")


@contextmanager
def lock(file: str, *, wait_s: float = _WAIT_S) -> Iterator[None]:
    """Hold a lock on a file; without it after ``wait_s``, or where files cannot be locked."""
    until = time.monotonic() + wait_s
    try:
        # To lock it, one need not be able to write it.
        opened = os.open(file, os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError:
        yield
        return
    try:
        while not _locked(opened) and time.monotonic() < until:
            time.sleep(_ASK_EVERY_S)
        yield
    finally:
        os.close(opened)


def _locked(opened: int) -> bool:
    """Whether there is nothing more to wait for."""
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
