"""Checks other processes, and makes them end with us."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path


def is_running(pid: int, *, naming: str) -> bool:
    """Whether the process runs, with ``naming`` in its command line or environment.

    A reused process id of another program doesn't count.
    """
    process = Path("/proc") / str(pid)
    try:
        zombie = process.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z"
        known = process.joinpath("cmdline").read_bytes() + process.joinpath("environ").read_bytes()
    except OSError:
        return False
    return not zombie and naming.encode() in known


def ends_with_us(command: Sequence[str], *, signal_name: str = "TERM") -> list[str]:
    """The command, such that it is terminated when its parent dies, however that happens."""
    setpriv = shutil.which("setpriv", path=f"{os.environ.get('PATH', '')}:/usr/bin")
    if setpriv is None:
        return list(command)
    return [setpriv, "--pdeathsig", signal_name, "--", *command]
