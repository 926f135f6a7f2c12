"""The line to the broker: hands the frames of messages to whom they concern, below the library.

The library opens the line, and says and hears on it all that is not a message: connections,
channels, queues, heartbeats. The frames of messages it would read one after another, three to a
message, with a task for each message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiormq.connection import TransportFactory
from pamqp.heartbeat import Heartbeat
from yarl import URL

from kitchen_worker.amqp.frames import END, START

#: Takes the kind and the payload of a frame; says whether it concerned it.
Listener = Callable[[int, bytes], bool]

#: What the library is not shown is a sign that the broker lives; it is given one so often.
_SIGN_OF_LIFE_S = 1.0
_SIGN_OF_LIFE = Heartbeat().marshal()


class Line(asyncio.StreamReaderProtocol):
    """One connection's bytes; those that no listener takes go to the library, as they came."""

    #: Where the library writes, too.
    writer: asyncio.StreamWriter

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._library = reader
        self._clock = loop.time
        self._listeners: dict[int, Listener] = {}
        #: The beginning of a frame whose end has not come yet.
        self._begun = b""
        self._next_sign = 0.0

    def listen(self, channel: int, listener: Listener) -> None:
        """Show a channel's frames to ``listener`` first."""
        self._listeners[channel] = listener

    def write(self, frames: bytes) -> None:
        """Write whole frames at once; raises ConnectionError on a line that is closed."""
        if self.writer.is_closing():
            raise ConnectionResetError("the connection is closed")
        self.writer.write(frames)

    async def room(self) -> None:
        """Wait until the broker has read what was written, but for a little; or ConnectionError."""
        await self.writer.drain()

    def data_received(self, data: bytes) -> None:
        """Part what came into frames; a frame that is not whole waits for the rest of it."""
        data = self._begun + data if self._begun else data
        start = passed = 0
        end = len(data)
        while end - start >= START.size:
            kind, channel, size = START.unpack_from(data, start)
            payload, last = start + START.size, start + START.size + size
            if last >= end:
                break
            listener = self._listeners.get(channel)
            if listener and data[last] == END and listener(kind, data[payload:last]):
                self._pass_on(data[passed:start])
                passed = last + 1
            start = last + 1
        self._pass_on(data[passed:start])
        self._begun = data[start:]
        if passed:
            self._show_life()

    def eof_received(self) -> bool | None:
        """Let the library say what is wrong with what ended too soon."""
        self._pass_on(self._begun)
        return super().eof_received()

    def _pass_on(self, data: bytes) -> None:
        if data:
            self._library.feed_data(data)

    def _show_life(self) -> None:
        if self._clock() >= self._next_sign:
            self._next_sign = self._clock() + _SIGN_OF_LIFE_S
            self._library.feed_data(_SIGN_OF_LIFE)


class LineOpener(TransportFactory):
    """Opens the line of one connection, as the library asks for it."""

    line: Line

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See TransportFactory.create."""
        loop = asyncio.get_running_loop()
        contexts = kwargs.pop("ssl_context_provider")
        context = await contexts.get_context() if url.scheme == "amqps" else None
        reader = asyncio.StreamReader(loop=loop)
        transport, self.line = await loop.create_connection(
            lambda: Line(reader, loop), url.host or "", url.port or 0, ssl=context, **kwargs
        )
        self.line.writer = asyncio.StreamWriter(transport, self.line, reader, loop)
        return reader, self.line.writer
