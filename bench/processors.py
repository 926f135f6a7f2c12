"""The processors: how long a process has used one, as Linux counts it, and who comes last."""

from __future__ import annotations

import os
from pathlib import Path

_LOWEST = 19
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def used_s(pid: int) -> float:
    """Seconds on a processor since a process began, its own and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def lower(pid: int) -> None:
    """Let a process have what all others leave, with all threads that it has by now."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), _LOWEST)
