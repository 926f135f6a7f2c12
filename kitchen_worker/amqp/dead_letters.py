"""Publishes messages that couldn't be read or handled to the dead letters, with the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kitchen_worker.amqp.broker import Broker, Deliveries, Delivery, Outgoing, publish_all
from kitchen_worker.contract.messages import ID_PATTERN, names_in
from kitchen_worker.contract.topology import (
    ORDER_HEADER,
    ORDERS_DEAD,
    REASON_HEADER,
    REPLAY_HEADER,
    VERSION_HEADER,
    kitchen_queue,
)

_ID = re.compile(ID_PATTERN)
#: Longer reasons are truncated.
MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A delivery, or a part of its body, that is refused, and why."""

    delivery: Delivery
    body: bytes
    reason: str


async def dead_letter(
    broker: Broker, deliveries: Deliveries, delivery: Delivery, reason: str
) -> None:
    """Publish a delivery to the dead letters and, once confirmed, acknowledge it."""
    await publish_dead_letters(broker, [RefusedMessage(delivery, delivery.body, reason)])
    await deliveries.ack([delivery])


async def publish_dead_letters(broker: Broker, refused: Sequence[RefusedMessage]) -> None:
    """Publish refused messages to the dead letters, pipelined, all confirmed."""
    if refused:
        await publish_all(broker, [_dead_letter(one) for one in refused])


def _dead_letter(refused: RefusedMessage) -> Outgoing:
    delivery = refused.delivery
    is_whole = refused.body == delivery.body
    return Outgoing(
        exchange=ORDERS_DEAD,
        routing_key=delivery.queue,
        body=refused.body,
        # Messages with one id are published one by one, and a delivery may have 500 parts.
        message_id=delivery.message_id if is_whole else None,
        headers={
            **_plain(delivery),
            **_names(delivery, refused.body),
            REASON_HEADER: refused.reason[:MAX_REASON],
        },
    )


def concerns(queue: str, delivery: Delivery, body: bytes) -> tuple[str, str]:
    """The version and order that a dead letter from ``queue`` is about; empty if unknown."""
    version, order = names_in(body)
    if not queue.startswith(kitchen_queue("")):
        return version, order
    # A replayed order has its own id, and names the live order in a header.
    for given in (delivery.headers.get(REPLAY_HEADER), delivery.message_id):
        if isinstance(given, str) and _ID.fullmatch(given):
            order = given
            break
    return queue.removeprefix(kitchen_queue("")), order


def _names(delivery: Delivery, body: bytes) -> dict[str, str]:
    version, order = concerns(delivery.queue, delivery, body)
    names = {VERSION_HEADER: version, ORDER_HEADER: order}
    return {header: name for header, name in names.items() if name}


def _plain(delivery: Delivery) -> dict[str, object]:
    """The text and number headers, without those that the broker interprets.

    Others could change the dead letter's routing, or be impossible to encode again.
    """
    return {
        name: value
        for name, value in delivery.headers.items()
        if isinstance(value, str | int) and not name.startswith("x-") and name not in ("CC", "BCC")
    }
