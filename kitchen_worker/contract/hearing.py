"""Reads the events of a batch of deliveries, each on its own, and each as its speaker's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kitchen_worker.contract.dead_letters import Refused
from kitchen_worker.contract.messages import Event, MessageError, decode_event, split_events
from kitchen_worker.contract.topology import events_key
from kitchen_worker.contract.wire import Delivery


@dataclass(frozen=True, slots=True)
class Heard:
    """One event that could be read: its bytes, and the delivery that brought it."""

    event: Event
    raw: bytes
    delivery: Delivery

    def refused(self, reason: str) -> Refused:
        """This event as one that is not taken."""
        return Refused(self.delivery, self.raw, reason)


def hear(deliveries: Iterable[Delivery]) -> tuple[list[Heard], list[Refused]]:
    """The events that can be read, and what cannot: one bad event costs itself alone.

    A kitchen may speak under its own routing key only: the broker's permissions decide who may
    use which key, so that a dark version cannot speak as the control.
    """
    heard: list[Heard] = []
    refused: list[Refused] = []
    for delivery in deliveries:
        try:
            pieces = split_events(delivery.body)
        except MessageError as cause:
            refused.append(Refused(delivery, delivery.body, cause.reason))
            continue
        for raw in pieces:
            try:
                one = Heard(decode_event(raw), raw, delivery)
            except MessageError as cause:
                refused.append(Refused(delivery, raw, cause.reason))
                continue
            if reason := _impersonation(one):
                refused.append(one.refused(reason))
            else:
                heard.append(one)
    return heard, refused


def _impersonation(heard: Heard) -> str:
    event, key = heard.event, heard.delivery.routing_key
    if key == events_key(event.role, event.version):
        return ""
    return f"{event.role}.{event.version} does not speak under the routing key {key[:100]!r}"
