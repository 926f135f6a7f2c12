"""Many open boards in one process: ``python -m bench.programs.watcher PORT SOCKETS SILENT``.

Bare WebSocket clients that acknowledge frames as a page does: a library's own time for 5,000 frames
a second would be the product's loss. ``SILENT`` of them never read. For each line of its input it
prints one line of JSON; a frame's age is the time from when its tick began until its last byte has
arrived.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
import sys
import time
from dataclasses import dataclass, field

from local.ports import LOOPBACK

_HANDSHAKE = (
    "GET /dashboard/live/ HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: YSBrZXkgb2YgMTYgYnl0ZQ==\r\n\r\n"
)
_NUMBER = re.compile(rb'"n":(\d+)')
_BUILT_AT = re.compile(rb'"at":([0-9.]+)')
_PACE = re.compile(rb'"type": ?"pace", ?"every": ?(\d+)')
_TEXT, _PING, _PONG = 1, 9, 10
_NO_MASK = b"\0\0\0\0"


@dataclass
class Totals:
    """What all sockets have received since the last report."""

    ages_ms: list[float] = field(default_factory=list)
    size: int = 0
    began: float = field(default_factory=time.monotonic)


class Watcher(asyncio.Protocol):
    """One board. A silent one never reads."""

    def __init__(self, handshake: bytes, totals: Totals, *, silent: bool) -> None:
        self.frames = 0
        self.ended = False
        self._handshake = handshake
        self._totals = totals
        self._silent = silent
        self._buffer = bytearray()
        self._is_open = False
        self._every = 1
        self._unacknowledged = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the board."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a connection
        self._transport = transport
        transport.write(self._handshake)
        if self._silent:
            transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember that it is over."""
        self.ended = True

    def data_received(self, data: bytes) -> None:
        """Take what has come, frame by frame."""
        self._buffer += data
        if not self._is_open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head:
                self._transport.close()
                return
            self._is_open, self._buffer = True, rest
        while (sizes := _sizes(self._buffer)) and len(self._buffer) >= sum(sizes):
            head_size, length = sizes
            kind = self._buffer[0] & 15
            self._take(kind, bytes(self._buffer[head_size : head_size + length]))
            del self._buffer[: head_size + length]

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _PING:
            self._send(_PONG, payload)
        if kind != _TEXT:
            return
        if pace := _PACE.search(payload, 0, 60):
            self._every = int(pace[1])
            return
        self.frames += 1
        self._unacknowledged += 1
        self._totals.size += len(payload)
        if built_at := _BUILT_AT.search(payload):
            self._totals.ages_ms.append((time.time() - float(built_at[1])) * 1000)
        number = _NUMBER.search(payload)
        if number and self._unacknowledged >= self._every:
            self._unacknowledged = 0
            self._send(_TEXT, b'{"ack":%b}' % number[1])

    def _send(self, kind: int, payload: bytes) -> None:
        self._transport.write(bytes((0x80 | kind, 0x80 | len(payload))) + _NO_MASK + payload)


def _sizes(buffer: bytearray) -> tuple[int, int] | None:
    """How long a server's frame's head and payload are; None while the head is not all here."""
    if len(buffer) < 2:
        return None
    short = buffer[1] & 0x7F
    if short < 126:
        return 2, short
    head, shape = (4, ">H") if short == 126 else (10, ">Q")
    return (head, struct.unpack_from(shape, buffer, 2)[0]) if len(buffer) >= head else None


async def _watch(port: int, sockets: int, silent: int) -> None:
    loop, totals = asyncio.get_running_loop(), Totals()
    handshake = _HANDSHAKE.format(host=f"{LOOPBACK}:{port}").encode()
    watchers = [Watcher(handshake, totals, silent=number < silent) for number in range(sockets)]
    for watcher in watchers:
        await loop.create_connection(lambda watcher=watcher: watcher, LOOPBACK, port)  # type: ignore[misc]
    asked = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    while await asked.readline():
        print(json.dumps(_report(watchers[silent:], totals)), flush=True)
        totals.ages_ms.clear()
        totals.size, totals.began = 0, time.monotonic()


def _report(reading: list[Watcher], totals: Totals) -> dict[str, object]:
    return {
        "watching": sum(one.frames > 0 and not one.ended for one in reading),
        "seconds": time.monotonic() - totals.began,
        "bytes": totals.size,
        "ages_ms": [round(age, 1) for age in totals.ages_ms],
    }


if __name__ == "__main__":
    asyncio.run(_watch(*map(int, sys.argv[1:])))
