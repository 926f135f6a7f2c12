"""The process that holds many open boards: bare WebSocket clients that acknowledge what they get.

``python -m bench.watcher HOST PORT PATH SOCKETS SILENT`` opens them and says how it goes, as one
JSON line for each line that it is given; it ends with its input. ``SILENT`` of the sockets never
read. A frame's age is the time from when the hub began to build it until its last byte is here.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
import sys
import time
from dataclasses import dataclass, field

_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://{host}:{port}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: YSBrZXkgb2YgMTYgYnl0ZQ==\r\n\r\n"
)
_NUMBER = re.compile(rb'"n":(\d+)')
_BUILT_AT = re.compile(rb'"at":([0-9.]+)')
_TEXT, _BINARY, _PING, _PONG = 1, 2, 9, 10
_PACE = re.compile(rb'"type": ?"pace", ?"every": ?(\d+)')
_MASK = b"\0\0\0\0"


@dataclass
class Heard:
    """What all sockets of the process have heard since the last report."""

    ages_ms: list[float] = field(default_factory=list)
    size: int = 0
    began: float = field(default_factory=time.monotonic)


class Watcher(asyncio.Protocol):
    """One board: takes frames, and acknowledges them as a page does. A silent one never reads."""

    def __init__(self, handshake: bytes, heard: Heard, *, silent: bool) -> None:
        self.heard = heard
        self.frames = 0
        self.ended = False
        self._handshake = handshake
        self._silent = silent
        self._buffer = bytearray()
        self._is_open = False
        self._every = 1
        self._unacknowledged = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the board."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a watcher needs a stream")
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
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if b" 101 " not in self._buffer[:end]:
                self._transport.close()
                return
            self._is_open = True
            del self._buffer[: end + 4]
        while (sizes := _sizes(self._buffer)) and len(self._buffer) >= sum(sizes):
            head, length = sizes
            self._take(self._buffer[0] & 15, bytes(self._buffer[head : head + length]))
            del self._buffer[: head + length]

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _PING:
            self._send(_PONG, payload)
        if kind not in (_TEXT, _BINARY):
            return
        if pace := _PACE.search(payload, 0, 60):
            self._every = int(pace[1])
            return
        self.frames += 1
        self._unacknowledged += 1
        self.heard.size += len(payload)
        if built_at := _BUILT_AT.search(payload):
            self.heard.ages_ms.append((time.time() - float(built_at[1])) * 1000)
        number = _NUMBER.search(payload)
        if number and self._unacknowledged >= self._every:
            self._unacknowledged = 0
            self._send(_TEXT, b'{"ack":%b}' % number[1])

    def _send(self, kind: int, payload: bytes) -> None:
        head = bytes((0x80 | kind, 0x80 | len(payload)))
        self._transport.write(head + _MASK + payload)


def _sizes(buffer: bytearray) -> tuple[int, int] | None:
    """How long a server's frame's head and payload are; None while the head is not all here."""
    if len(buffer) < 2:
        return None
    short = buffer[1] & 0x7F
    if short < 126:
        return 2, short
    head, shape = (4, ">H") if short == 126 else (10, ">Q")
    if len(buffer) < head:
        return None
    return head, struct.unpack_from(shape, buffer, 2)[0]


async def _watch(host: str, port: int, path: str, *, sockets: int, silent: int) -> None:
    loop, heard = asyncio.get_running_loop(), Heard()
    handshake = _HANDSHAKE.format(path=path, host=host, port=port).encode()
    watchers = []
    for number in range(sockets):
        is_silent = number >= sockets - silent
        watcher = Watcher(handshake, heard, silent=is_silent)
        await loop.create_connection(lambda watcher=watcher: watcher, host, port)  # type: ignore[misc]
        watchers.append(watcher)
    reading = watchers[: sockets - silent]
    asked = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    while await asked.readline():
        sys.stdout.write(json.dumps(_report(reading, heard)) + "\n")
        sys.stdout.flush()
        heard.ages_ms.clear()
        heard.size, heard.began = 0, time.monotonic()


def _report(reading: list[Watcher], heard: Heard) -> dict[str, object]:
    return {
        "watching": sum(one.frames > 0 and not one.ended for one in reading),
        "lost": sum(one.ended for one in reading),
        "seconds": time.monotonic() - heard.began,
        "bytes": heard.size,
        "ages_ms": [round(age, 1) for age in heard.ages_ms],
    }


if __name__ == "__main__":
    _host, _port, _path, _sockets, _silent = sys.argv[1:]
    asyncio.run(_watch(_host, int(_port), _path, sockets=int(_sockets), silent=int(_silent)))
