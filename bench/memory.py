"""What memory a process has to itself: its proportional set size, as Linux counts it."""

from __future__ import annotations

from pathlib import Path

_KB_A_MB = 1024


def pss_mb(pid: int) -> float:
    """The memory of a process in MB; pages that it shares count in part."""
    return read_pss_mb(Path(f"/proc/{pid}/smaps_rollup").read_text())


def read_pss_mb(rollup: str) -> float:
    """The sum of a ``smaps_rollup``; raises ValueError if it does not tell."""
    for line in rollup.splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            number, unit = rest.split()
            if unit == "kB":
                return int(number) / _KB_A_MB
    raise ValueError("no proportional set size here")
