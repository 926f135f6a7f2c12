"""Many open boards in one process: ``python -m bench.programs.watcher PORT SOCKETS SILENT``.

They acknowledge frames as a page does; ``SILENT`` of them never read. For each line of its input it
prints one line of JSON, of what came since the last. A frame's age is the time from when its tick
began until it is here.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.typing import Origin

from local.ports import LOOPBACK

_NUMBER = re.compile(rb'"n":(\d+)')
_BUILT_AT = re.compile(rb'"at":([0-9.]+)')
_PACE = re.compile(rb'"type": ?"pace", ?"every": ?(\d+)')


@dataclass
class Totals:
    """What all sockets have received."""

    watching: int = 0
    ages_ms: list[float] = field(default_factory=list)
    size: int = 0
    began: float = field(default_factory=time.monotonic)

    def report(self) -> str:
        """Since the last report."""
        now = time.monotonic()
        seen = {
            "watching": self.watching,
            "seconds": now - self.began,
            "bytes": self.size,
            "ages_ms": [round(age, 1) for age in self.ages_ms],
        }
        self.ages_ms, self.size, self.began = [], 0, now
        return json.dumps(seen)


async def board(port: int, totals: Totals, *, silent: bool) -> None:
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
            totals.watching += is_first
            is_first, unacknowledged = False, unacknowledged + 1
            totals.size += len(frame)
            if built_at := _BUILT_AT.search(frame):
                totals.ages_ms.append((time.time() - float(built_at[1])) * 1000)
            number = _NUMBER.search(frame)
            if number and unacknowledged >= every:
                unacknowledged = 0
                await socket.send(b'{"ack":%b}' % number[1], text=True)
        await asyncio.Event().wait()


async def main(port: int, sockets: int, silent: int) -> None:
    """Open all, and report when asked; ends with its input, or when a board is closed."""
    totals = Totals()
    asked = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(asked), sys.stdin
    )
    async with asyncio.TaskGroup() as boards:
        for number in range(sockets):
            boards.create_task(board(port, totals, silent=number < silent))
        while await asked.readline():
            print(totals.report(), flush=True)
        raise SystemExit


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
