"""Hundreds of open boards, held by a process of their own (`bench.watcher`)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local.ports import LOOPBACK
from local.settings import ROOT
from local.stack import Stack, until

_PATH = "/dashboard/live/"
_STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Report:
    """What the reading sockets have got since the last report."""

    watching: int
    lost: int
    seconds: float
    bytes: int
    ages_ms: list[float]

    @property
    def frames_per_s(self) -> float:
        """Frames a second of one socket."""
        return len(self.ages_ms) / self.seconds / self.watching if self.watching else 0.0

    def age_ms(self, percent: int) -> float:
        """So many percent of the frames were no older when they had arrived."""
        ages = sorted(self.ages_ms)
        return ages[min(len(ages) - 1, len(ages) * percent // 100)]


class Watching:
    """The sockets of one process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process that holds them."""
        return self._process.pid

    def report(self) -> Report:
        """What was heard since the last report."""
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("the watcher has no ears")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Report(**json.loads(self._process.stdout.readline()))


@contextmanager
def watching(stack: Stack, sockets: int, *, silent: int = 0) -> Iterator[Watching]:
    """Open so many boards at a site, of which some never read; all others have had a frame."""
    command = [sys.executable, "-m", "bench.watcher", LOOPBACK, str(stack.port), _PATH]
    process = subprocess.Popen(
        [*command, str(sockets), str(silent)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        one = Watching(process)
        until(lambda: one.report().watching == sockets - silent, f"{sockets} boards are open")
        yield one
    finally:
        process.kill()
        process.communicate(timeout=_STOP_TIMEOUT_S)
