"""Publishes a window of messages with one write, and waits for the broker's confirm of each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from uuid import uuid4

from aiormq.abc import AbstractChannel

from kitchen_worker.amqp.broker import BrokerLost, Outgoing, PublishFailed
from kitchen_worker.amqp.frames import (
    ACK,
    METHOD,
    NACK,
    RETURN,
    Parcel,
    Returned,
    read_confirm,
    read_return,
    write_message,
)
from kitchen_worker.amqp.line import Line
from kitchen_worker.amqp.losses import loss_as_broker_lost

#: Messages that are in flight at once, and bytes of their bodies beyond which there are fewer.
WINDOW = 200
WINDOW_BYTES = 1024 * 1024
#: Longest wait for the confirms of a window; below the time in which a silent broker is given up.
TIMEOUT_S = 20.0

#: What a frame has around its payload.
_AROUND = 8
#: Longest frame where the broker sets no limit.
_FRAME_MAX = 131_072


class Publisher:
    """Publishes on a channel that confirms, and on which nobody else publishes."""

    def __init__(self, channel: AbstractChannel, line: Line, lost: asyncio.Future[str]) -> None:
        self._channel = channel.number
        self._most = (channel.connection.connection_tune.frame_max or _FRAME_MAX) - _AROUND
        self._line = line
        self._lost = lost
        #: The broker numbers messages in the order in which they are written, from 1.
        self._written = 0
        self._unconfirmed: dict[int, _Window] = {}
        #: The message that comes back just now, and why.
        self._returning: tuple[Returned, Parcel] | None = None
        line.listen(self._channel, self._on_frame)
        lost.add_done_callback(self._on_lost)

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """Publish all; a failure or None a message."""
        outcomes: list[PublishFailed | None] = []
        for window in _windows(messages):
            outcomes += await self._publish(window)
        return outcomes

    async def _publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """Write a window, not faster than the broker reads, and wait for what it says of each."""
        window = _Window(messages)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                with loss_as_broker_lost():
                    await self._line.room()
                    self._write(window)
                await window.settled
        except TimeoutError:
            window.give_up("no confirm in time")
        except BrokerLost as lost:
            window.give_up(str(lost))
        finally:
            self._forget(window)
        return window.outcomes

    def _write(self, window: _Window) -> None:
        """Write all or none."""
        if self._lost.done():
            raise BrokerLost(self._lost.result())
        self._line.write(
            b"".join(
                write_message(message, name, channel=self._channel, most=self._most)
                for message, name in zip(window.messages, window.ids, strict=True)
            )
        )
        window.first = self._written + 1
        self._written += len(window.messages)
        self._unconfirmed.update(dict.fromkeys(window.numbers, window))

    def _forget(self, window: _Window) -> None:
        """What is said of its messages from now on concerns nobody: they may be written anew."""
        for number in window.numbers:
            self._unconfirmed.pop(number, None)

    def _on_frame(self, kind: int, payload: bytes) -> bool:
        """Take confirms and what comes back, and nothing else."""
        if kind != METHOD:
            return self._on_rest_of_returned(kind, payload)
        if payload.startswith(ACK):
            self._on_confirm(payload, None)
        elif payload.startswith(NACK):
            self._on_confirm(payload, "refused by the broker")
        elif payload.startswith(RETURN):
            self._returning = read_return(payload), Parcel()
        else:
            return False
        return True

    def _on_confirm(self, payload: bytes, failure: str | None) -> None:
        tag, several = read_confirm(payload)
        first = next(iter(self._unconfirmed), tag) if several else tag
        for number in range(first, tag + 1):
            window = self._unconfirmed.pop(number, None)
            if window is not None:
                window.settle(number, failure)

    def _on_rest_of_returned(self, kind: int, payload: bytes) -> bool:
        if self._returning is None:
            return False
        returned, parcel = self._returning
        if parcel.add(kind, payload):
            self._returning = None
            self._on_returned(returned, parcel.content.message_id)
        return True

    def _on_returned(self, returned: Returned, message_id: str | None) -> None:
        """Nobody would get a message: it comes back with its id, and is confirmed only then."""
        for number, window in self._unconfirmed.items():
            if window.is_of(number, message_id, returned):
                window.settle(number, returned.reason)
                del self._unconfirmed[number]
                return

    def _on_lost(self, lost: asyncio.Future[str]) -> None:
        for window in set(self._unconfirmed.values()):
            window.give_up(lost.result())
        self._unconfirmed.clear()


class _Window:
    """Messages that are written at once, and what becomes of them."""

    def __init__(self, messages: Sequence[Outgoing]) -> None:
        self.messages = messages
        self.ids = [message.message_id or uuid4().hex for message in messages]
        self.outcomes: list[PublishFailed | None] = [None] * len(messages)
        #: The broker's number of the first of them, once they are written.
        self.first = 0
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open = set(range(len(messages)))

    @property
    def numbers(self) -> range:
        """The broker's numbers of its messages; none before they are written."""
        return range(self.first, self.first + len(self.messages)) if self.first else range(0)

    def is_of(self, number: int, message_id: str | None, returned: Returned) -> bool:
        """Whether it is this message that came back."""
        place = number - self.first
        message = self.messages[place]
        return (
            self.ids[place] == message_id
            and message.exchange == returned.exchange
            and message.routing_key == returned.routing_key
        )

    def settle(self, number: int, failure: str | None) -> None:
        """Note what the broker said of a message."""
        place = number - self.first
        self._open.discard(place)
        if failure is not None:
            self.outcomes[place] = _failed(self.messages[place], failure)
        self._end_if_whole()

    def give_up(self, reason: str) -> None:
        """Take all that nothing was said of for failed."""
        for place in self._open:
            self.outcomes[place] = _failed(self.messages[place], reason)
        self._open.clear()
        self._end_if_whole()

    def _end_if_whole(self) -> None:
        if not self._open and not self.settled.done():
            self.settled.set_result(None)


def _windows(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """Slices that are written at once: a bounded number, and of bounded size if it can be."""
    start = size = 0
    for end, message in enumerate(messages):
        size += len(message.body)
        if end > start and (end - start == WINDOW or size > WINDOW_BYTES):
            yield messages[start:end]
            start, size = end, len(message.body)
    if start < len(messages):
        yield messages[start:]


def _failed(message: Outgoing, reason: str) -> PublishFailed:
    return PublishFailed(f"{message.exchange} {message.routing_key}: {reason}")
