"""Who comes last: processes that get what all others leave of the processors."""

from __future__ import annotations

import os
from pathlib import Path

_LOWEST = 19


def lower(pid: int) -> None:
    """Let a process have what all others leave, with all threads that it has by now."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), _LOWEST)
