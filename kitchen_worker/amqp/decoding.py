"""Reads the events of a batch of deliveries, each on its own, and each as its speaker's."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.amqp.dead_letters import Refused
from kitchen_worker.contract.messages import (
    Event,
    MessageError,
    decode_event,
    decode_events,
    split_events,
)
from kitchen_worker.contract.topology import events_key


class Heard(msgspec.Struct, frozen=True):
    """One event that could be read: the delivery that brought it, and its place in there."""

    event: Event
    delivery: Delivery
    position: int

    def refused(self, reason: str) -> Refused:
        """This event as one that is not taken."""
        return Refused(self.delivery, split_events(self.delivery.body)[self.position], reason)


def hear(deliveries: Iterable[Delivery]) -> tuple[list[Heard], list[Refused]]:
    """The events that can be read, and what cannot: one bad event costs itself alone.

    A kitchen may speak under its own routing key only: the broker's permissions decide who may
    use which key, so that a dark version cannot speak as the control.
    """
    heard: list[Heard] = []
    refused: list[Refused] = []
    for delivery in deliveries:
        for one in _read(delivery):
            if isinstance(one, Refused):
                refused.append(one)
            elif reason := _impersonation(one):
                refused.append(one.refused(reason))
            else:
                heard.append(one)
    return heard, refused


def _read(delivery: Delivery) -> list[Heard] | list[Heard | Refused]:
    """All events at once, which is nearly always possible, or else each on its own."""
    try:
        events = decode_events(delivery.body)
    except MessageError:
        return _read_apart(delivery)
    return [Heard(event, delivery, position) for position, event in enumerate(events)]


def _read_apart(delivery: Delivery) -> list[Heard | Refused]:
    try:
        pieces = split_events(delivery.body)
    except MessageError as cause:
        return [Refused(delivery, delivery.body, cause.reason)]
    read: list[Heard | Refused] = []
    for position, raw in enumerate(pieces):
        try:
            read.append(Heard(decode_event(raw), delivery, position))
        except MessageError as cause:
            read.append(Refused(delivery, raw, cause.reason))
    return read


def _impersonation(heard: Heard) -> str:
    event, key = heard.event, heard.delivery.routing_key
    if key == events_key(event.role, event.version):
        return ""
    return f"{event.role}.{event.version} does not speak under the routing key {key[:100]!r}"
