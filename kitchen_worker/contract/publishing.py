"""Publishes a window of messages with one write, and waits for the broker's confirm of each.

The library's own way takes a task, a lock, a timer and a system call a message, which together
cost more than all else that a message does. Here the frames of many messages are one write, and
the confirms come back through the channel's own table of what it waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any
from uuid import uuid4

from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import ChannelInvalidStateError
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from kitchen_worker.contract.losses import loss_as_broker_lost
from kitchen_worker.contract.wire import BrokerLost, Outgoing, PublishFailed

#: Messages that are in flight at once, and bytes of their bodies beyond which there are fewer.
WINDOW = 200
WINDOW_BYTES = 1024 * 1024
#: Longest wait for the confirms of a window; below the time in which a silent broker is given up.
TIMEOUT_S = 20.0

_PERSISTENT = 2

_Confirm = asyncio.Future[Any]


class Publisher:
    """Publishes on a channel that confirms, and on which nobody else publishes."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        #: The broker numbers messages in the order in which they are written.
        self._writing = asyncio.Lock()

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """Publish all; a failure or None a message."""
        outcomes: list[PublishFailed | None] = []
        for window in _windows(messages):
            outcomes += await self._publish(window)
        return outcomes

    async def _publish(self, window: Sequence[Outgoing]) -> list[PublishFailed | None]:
        ids = [message.message_id or uuid4().hex for message in window]
        confirms: list[_Confirm] = []
        try:
            with loss_as_broker_lost():
                async with asyncio.timeout(TIMEOUT_S):
                    confirms = await self._write(window, ids)
                    await asyncio.wait(confirms)
        except BrokerLost as lost:
            if not confirms:
                return [_failed(message, str(lost)) for message in window]
        finally:
            for name in ids:
                self._channel.message_id_delivery_tag.pop(name, None)
        return [_outcome(*one) for one in zip(window, confirms, strict=True)]

    async def _write(self, window: Sequence[Outgoing], ids: Sequence[str]) -> list[_Confirm]:
        """Write all or none, not faster than the broker reads; what it will say of each."""
        channel = self._channel
        async with self._writing:
            if channel.is_closed:
                raise ChannelInvalidStateError(f"{channel!r} is closed")
            frames = b"".join(map(self._frames, window, ids))
            written = channel.create_future()
            confirms = [self._expect(name) for name in ids]
            try:
                await channel.write_queue.put(ChannelFrame(frames, False, written))
            except BaseException:
                self._forget(len(confirms))
                raise
            await written
        return confirms

    def _frames(self, message: Outgoing, name: str) -> bytes:
        number, most, body = self._channel.number, self._channel.max_content_size, message.body
        header = ContentHeader(
            body_size=len(body),
            properties=commands.Basic.Properties(
                content_type="application/json",
                headers=dict(message.headers) or None,
                delivery_mode=_PERSISTENT if message.persistent else None,
                message_id=name,
                message_type=message.type,
            ),
        )
        pieces = (body[start : start + most] for start in range(0, len(body), most))
        return b"".join(
            (
                _publish_frame(message.exchange, message.routing_key, message.mandatory, number),
                marshal(header, number),
                *(marshal(ContentBody(piece), number) for piece in pieces),
            )
        )

    def _expect(self, name: str) -> _Confirm:
        channel = self._channel
        channel.delivery_tag += 1
        confirm = channel.create_future()
        channel.confirmations[channel.delivery_tag] = confirm
        channel.message_id_delivery_tag[name] = channel.delivery_tag
        return confirm

    def _forget(self, count: int) -> None:
        """The last ``count`` messages were never written: their numbers go to others."""
        for _ in range(count):
            self._channel.confirmations.pop(self._channel.delivery_tag).cancel()
            self._channel.delivery_tag -= 1


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


@lru_cache(maxsize=256)
def _publish_frame(exchange: str, routing_key: str, mandatory: bool, number: int) -> bytes:
    frame = commands.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return marshal(frame, number)


def _outcome(message: Outgoing, confirm: _Confirm) -> PublishFailed | None:
    if not confirm.done():
        return _failed(message, "no confirm in time")
    if confirm.cancelled():
        return _failed(message, "the broker fell silent")
    if error := confirm.exception():
        return _failed(message, f"{type(error).__name__}: {error}")
    return None


def _failed(message: Outgoing, reason: str) -> PublishFailed:
    return PublishFailed(f"{message.exchange} {message.routing_key}: {reason}")
