"""Decodes the events of deliveries, one by one, and checks who sent them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.amqp.dead_letters import RefusedMessage
from kitchen_worker.contract.messages import (
    EVENTS,
    RAW_EVENTS,
    Event,
    EventReader,
    MessageError,
    RawEvent,
    split_events,
)
from kitchen_worker.contract.topology import events_key

_Event = TypeVar("_Event", Event, RawEvent)


class _Decoded(msgspec.Struct, Generic[_Event], frozen=True):
    """A decoded event, its delivery, and its position in the delivery."""

    event: _Event
    delivery: Delivery
    position: int

    def refused(self, reason: str) -> RefusedMessage:
        """This event as a refused message."""
        return RefusedMessage(
            self.delivery, split_events(self.delivery.body)[self.position], reason
        )


DecodedEvent = _Decoded[Event]
DecodedRawEvent = _Decoded[RawEvent]


def decode_raw_deliveries(
    deliveries: Iterable[Delivery],
) -> tuple[list[DecodedRawEvent], list[RefusedMessage]]:
    """The events that can be decoded, with undecoded results, and the messages refused.

    A bad event doesn't affect the others in its delivery.

    An event counts only under its own version's routing key. The broker's permissions decide who
    may use which key, so a dark version can't speak as the control.
    """
    return _decode(deliveries, RAW_EVENTS)


def decode_deliveries(
    deliveries: Iterable[Delivery],
) -> tuple[list[DecodedEvent], list[RefusedMessage]]:
    """The same, with each event's result decoded as well."""
    return _decode(deliveries, EVENTS)


def _decode(
    deliveries: Iterable[Delivery], reader: EventReader[_Event]
) -> tuple[list[_Decoded[_Event]], list[RefusedMessage]]:
    decoded: list[_Decoded[_Event]] = []
    refused: list[RefusedMessage] = []
    for delivery in deliveries:
        for one in _read(delivery, reader):
            if isinstance(one, RefusedMessage):
                refused.append(one)
            elif reason := _impersonation(one):
                refused.append(one.refused(reason))
            else:
                decoded.append(one)
    return decoded, refused


def _read(
    delivery: Delivery, reader: EventReader[_Event]
) -> list[_Decoded[_Event]] | list[_Decoded[_Event] | RefusedMessage]:
    """Decode all events of a delivery at once; if that fails, one by one."""
    try:
        events = reader.all(delivery.body)
    except MessageError:
        return _read_one_by_one(delivery, reader)
    return [_Decoded(event, delivery, position) for position, event in enumerate(events)]


def _read_one_by_one(
    delivery: Delivery, reader: EventReader[_Event]
) -> list[_Decoded[_Event] | RefusedMessage]:
    try:
        pieces = split_events(delivery.body)
    except MessageError as cause:
        return [RefusedMessage(delivery, delivery.body, cause.reason)]
    read: list[_Decoded[_Event] | RefusedMessage] = []
    for position, raw in enumerate(pieces):
        try:
            read.append(_Decoded(reader.one(raw), delivery, position))
        except MessageError as cause:
            read.append(RefusedMessage(delivery, raw, cause.reason))
    return read


def _impersonation(decoded: _Decoded[_Event]) -> str:
    """Why an event's routing key isn't that of its version; empty if it is."""
    event, key = decoded.event, decoded.delivery.routing_key
    if key == events_key(event.role, event.version):
        return ""
    return f"{event.role}.{event.version} does not speak under the routing key {key[:100]!r}"
