"""Dead-lettering: putting aside, with the reason, what nobody could read or take."""

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
#: A reason longer than this is cut.
MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class Refused:
    """What of a delivery is not taken, all or a part of its body, and why."""

    delivery: Delivery
    body: bytes
    reason: str


async def dead_letter(
    broker: Broker, deliveries: Deliveries, delivery: Delivery, reason: str
) -> None:
    """Publish a delivery to the dead letters with its reason, confirmed, and only then ack it."""
    await put_aside(broker, [Refused(delivery, delivery.body, reason)])
    await deliveries.ack([delivery])


async def put_aside(broker: Broker, refused: Sequence[Refused]) -> None:
    """Publish what was refused to the dead letters, pipelined, all confirmed."""
    if refused:
        await publish_all(broker, [_letter(one) for one in refused])


def _letter(refused: Refused) -> Outgoing:
    delivery = refused.delivery
    is_whole = refused.body == delivery.body
    return Outgoing(
        exchange=ORDERS_DEAD,
        routing_key=delivery.queue,
        body=refused.body,
        # Messages of one id are published one after the other; a delivery may have 500 parts.
        message_id=delivery.message_id if is_whole else None,
        headers={
            **_plain(delivery),
            **_names(delivery, refused.body),
            REASON_HEADER: refused.reason[:MAX_REASON],
        },
    )


def concerns(queue: str, delivery: Delivery, body: bytes) -> tuple[str, str]:
    """The version and the order that a dead letter from ``queue`` concerns; empty if unknown."""
    version, order = names_in(body)
    if not queue.startswith(kitchen_queue("")):
        return version, order
    # An order that is sent again has an id of its own, and names the live order.
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
    """The headers of text and numbers, without those that the broker reads.

    Others would steer the dead letter; or, sent by who knows whom, could not be written again.
    """
    return {
        name: value
        for name, value in delivery.headers.items()
        if isinstance(value, str | int) and not name.startswith("x-") and name not in ("CC", "BCC")
    }
