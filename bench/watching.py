"""Hundreds of open boards, held by a process of their own (``bench.programs.watcher``)."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import Popen

from bench.processes import ask, running
from local.stack import Stack, until


@dataclass(frozen=True)
class Watched:
    """What the reading sockets have received since the last report."""

    watching: int
    seconds: float
    bytes: int
    ages_ms: list[float]

    @property
    def p99_ms(self) -> float:
        """99 % of the frames were no older when they had arrived."""
        return statistics.quantiles(self.ages_ms, n=100, method="inclusive")[98]

    def __str__(self) -> str:
        frames = len(self.ages_ms)
        each = self.bytes / max(1, frames) / 1000
        return f"{frames / self.seconds / self.watching:.1f} frames/s of {each:.0f} kB each"


@contextmanager
def watching(
    product: Stack, sockets: int, *, silent: int = 0
) -> Iterator[tuple[Popen[str], Callable[[], Watched]]]:
    """Open so many boards, of which some never read; gives their process, and what reports."""
    words = map(str, (product.port, sockets, silent))
    with running(sys.executable, "-m", "bench.programs.watcher", *words) as process:

        def report() -> Watched:
            return Watched(**json.loads(ask(process)))

        until(lambda: report().watching == sockets - silent, f"{sockets} boards are open")
        yield process, report
