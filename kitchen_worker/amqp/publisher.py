"""Publishes messages in windows, and reads the broker's confirm for each."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Coroutine, Sequence
from functools import partial
from typing import Any

from aiormq import Channel, spec
from aiormq.abc import ConfirmationFrameType
from aiormq.exceptions import DeliveryError, PublishError

from kitchen_worker.amqp.broker import Outgoing, PublishFailed
from kitchen_worker.amqp.errors import LOST

#: Maximum number of messages in flight, and of bytes in their bodies.
WINDOW = 200
WINDOW_BYTES = 1024 * 1024
#: Longest wait for a window's confirms; less than the time after which a silent broker is left.
TIMEOUT_S = 20.0

_PERSISTENT = 2
_Sent = asyncio.Task[ConfirmationFrameType | None]


class Publisher:
    """Publishes on a channel with confirms.

    aiormq identifies a returned message by its id: of two in flight with one id, the lost one could
    count as confirmed. So no two are in flight at once, even after the first one's wait has timed
    out.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._in_flight: dict[str | None, _Sent] = {}

    async def publish(self, messages: Sequence[Outgoing]) -> list[PublishFailed | None]:
        """Publish all; None or a failure for each."""
        outcomes: dict[int, PublishFailed | None] = {}
        waiting: Sequence[int] = range(len(messages))
        while waiting:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    sent, waiting = await self._send(messages, waiting)
            except TimeoutError:
                reason = "the broker accepts no messages, or has not confirmed an earlier one"
                outcomes |= {at: _failed(messages[at], reason) for at in waiting}
                break
            # Neither a timeout nor a cancelled caller cancels what is sent.
            await asyncio.wait(sent.values(), timeout=TIMEOUT_S)
            outcomes |= {at: _outcome(messages[at], one) for at, one in sent.items()}
        return [outcomes[at] for at in range(len(messages))]

    async def _send(
        self, messages: Sequence[Outgoing], waiting: Sequence[int]
    ) -> tuple[dict[int, _Sent], Sequence[int]]:
        """Send a window once the broker accepts messages and an id is free; returns what is
        left."""
        await self._channel.connection.ready()
        while True:
            window, left = _next_window(messages, waiting, self._in_flight)
            if window:
                return {at: self._start(messages[at]) for at in window}, left
            earlier = [self._in_flight[messages[at].message_id] for at in waiting]
            await asyncio.wait(earlier, return_when=asyncio.FIRST_COMPLETED)

    def _start(self, message: Outgoing) -> _Sent:
        sent = asyncio.create_task(self._basic_publish(message))
        if message.message_id:
            self._in_flight[message.message_id] = sent
        sent.add_done_callback(partial(self._settled, message.message_id))
        return sent

    def _settled(self, message_id: str | None, sent: _Sent) -> None:
        self._in_flight.pop(message_id, None)
        if not sent.cancelled():
            sent.exception()  # retrieved, or asyncio logs it

    def _basic_publish(
        self, message: Outgoing
    ) -> Coroutine[Any, Any, ConfirmationFrameType | None]:
        return self._channel.basic_publish(
            message.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            mandatory=message.mandatory,
            properties=spec.Basic.Properties(
                content_type="application/json",
                headers=dict(message.headers) or None,
                delivery_mode=_PERSISTENT if message.persistent else None,
                message_id=message.message_id,
                message_type=message.type,
            ),
            # True would write and drain messages one by one.
            wait=False,
        )


def _next_window(
    messages: Sequence[Outgoing], waiting: Sequence[int], in_flight: Container[str | None]
) -> tuple[list[int], Sequence[int]]:
    """Indexes of messages that may be in flight together, no two with one id; and the rest."""
    window: list[int] = []
    postponed: list[int] = []
    ids: set[str] = set()
    size = 0
    for number, at in enumerate(waiting):
        message = messages[at]
        if message.message_id in ids or message.message_id in in_flight:
            postponed.append(at)
            continue
        size += len(message.body)
        if window and (len(window) == WINDOW or size > WINDOW_BYTES):
            return window, [*postponed, *waiting[number:]]
        window.append(at)
        if message.message_id:
            ids.add(message.message_id)
    return window, postponed


def _outcome(message: Outgoing, sent: _Sent) -> PublishFailed | None:
    if not sent.done() or sent.cancelled():
        return _failed(message, "no confirm in time")
    match sent.exception():
        case None:
            return None
        case PublishError(frame=spec.Basic.Return(reply_code=code, reply_text=text)):
            return _failed(message, f"{code} {text}")
        case DeliveryError():
            return _failed(message, "refused by the broker")
        case lost if isinstance(lost, LOST):
            return _failed(message, f"{type(lost).__name__}: {lost}")
        case bug:
            raise bug


def _failed(message: Outgoing, reason: str) -> PublishFailed:
    return PublishFailed(f"{message.exchange} {message.routing_key}: {reason}")
