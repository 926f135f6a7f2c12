"""What families of processes have cost: each process, and all that it has started."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
#: Fields of /proc/PID/stat after the command: processor time of its children that have ended.
_CHILDREN = slice(13, 15)
#: Of a clock that counts what a process has used, all its threads together, to the nanosecond.
_CLOCK = 0b010


def used_s(pid: int, *, program: str = "") -> float:
    """Seconds on a processor of a process and all its descendants, those that ended too.

    ``program``: only of those that run a program whose name begins so.
    """
    return sum(_own_s(one) for one in _family(pid) if _runs(one, program))


def _family(pid: int) -> Iterator[int]:
    yield pid
    for thread in (_PROC / str(pid) / "task").glob("*"):
        for child in _read(thread / "children").split():
            yield from _family(int(child))


def _runs(pid: int, program: str) -> bool:
    return _read(_PROC / str(pid) / "comm").startswith(program)


def _own_s(pid: int) -> float:
    """Of a process, by its clock (its number as clock_getcpuclockid(3) makes it), and of its
    children that have ended, by the kernel's ticks."""
    fields = _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    try:
        own = time.clock_gettime(~pid << 3 | _CLOCK)
    except OSError:
        own = 0.0
    return own + sum(map(int, fields[_CHILDREN])) * _TICK_S


def _read(path: Path) -> str:
    """What a file of the kernel says; nothing if its process is gone."""
    try:
        return path.read_text()
    except OSError:
        return ""
