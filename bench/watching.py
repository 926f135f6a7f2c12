"""Hundreds of open boards in one process: ``python -m bench.watching PORT SOCKETS SILENT``.

They acknowledge frames as a page does; ``SILENT`` of them never read. For each line of its input
the process prints one line of JSON, of what came since the last. A frame's age is the time from
when its tick began until it is here.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from subprocess import Popen

from websockets.asyncio.client import connect
from websockets.typing import Origin

from bench.processes import ask, running
from local.ports import LOOPBACK
from local.stack import Stack, until

_NUMBER = re.compile(rb'"n":(\d+)')
_BUILT_AT = re.compile(rb'"at":([0-9.]+)')
_PACE = re.compile(rb'"type": ?"pace", ?"every": ?(\d+)')


@dataclass
class Watched:
    """What the sockets that read have received since a moment."""

    watching: int = 0
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    bytes: int = 0
    ages_ms: list[float] = field(default_factory=list)

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
    with running(sys.executable, "-m", "bench.watching", *words) as process:

        def report() -> Watched:
            return Watched(**json.loads(ask(process)))

        until(lambda: report().watching == sockets - silent, f"{sockets} boards are open")
        yield process, report


async def _board(port: int, seen: Watched, *, silent: bool) -> None:
    """One board, until it is closed."""
    site = f"{LOOPBACK}:{port}"
    async with connect(
        f"ws://{site}/dashboard/live/",
        origin=Origin(f"http://{site}"),
        compression=None,
        max_size=None,
        ping_interval=None,
        proxy=None,
    ) as socket:
        every, unacknowledged, is_first = 1, 0, True
        while not silent:
            frame = await socket.recv(decode=False)
            if pace := _PACE.search(frame, 0, 60):
                every = int(pace[1])
                continue
            seen.watching += is_first
            is_first, unacknowledged = False, unacknowledged + 1
            seen.bytes += len(frame)
            if built_at := _BUILT_AT.search(frame):
                seen.ages_ms.append(round((time.time() - float(built_at[1])) * 1000, 1))
            number = _NUMBER.search(frame)
            if number and unacknowledged >= every:
                unacknowledged = 0
                await socket.send(b'{"ack":%b}' % number[1], text=True)
        await asyncio.Event().wait()


async def main(port: int, sockets: int, silent: int) -> None:
    """Open all, and report on request; ends with its input, or when a board is closed."""
    seen, asked = Watched(), asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(asked), sys.stdin
    )
    async with asyncio.TaskGroup() as boards:
        for number in range(sockets):
            boards.create_task(_board(port, seen, silent=number < silent))
        while await asked.readline():
            seen.seconds = time.monotonic() - seen.began
            print(json.dumps(asdict(seen)), flush=True)
            seen.began, seen.bytes, seen.ages_ms = time.monotonic(), 0, []
        raise SystemExit


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
