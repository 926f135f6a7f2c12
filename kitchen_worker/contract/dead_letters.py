"""Dead-lettering: putting aside, with the reason, what nobody could read."""

from __future__ import annotations

from kitchen_worker.contract.topology import ORDERS_DEAD, REASON_HEADER
from kitchen_worker.contract.wire import Broker, Deliveries, Delivery, Outgoing, publish_all

#: A reason longer than this is cut.
_MAX_REASON = 1000


async def dead_letter(
    broker: Broker, deliveries: Deliveries, delivery: Delivery, reason: str
) -> None:
    """Publish a delivery to the dead letters with its reason, confirmed, and only then ack it."""
    await put_aside(broker, delivery, delivery.body, reason)
    await deliveries.ack([delivery])


async def put_aside(broker: Broker, delivery: Delivery, body: bytes, reason: str) -> None:
    """Publish ``body``, all or a part of a delivery, to the dead letters, confirmed."""
    letter = Outgoing(
        exchange=ORDERS_DEAD,
        routing_key=delivery.queue,
        body=body,
        message_id=delivery.message_id,
        headers={**_plain(delivery), REASON_HEADER: reason[:_MAX_REASON]},
    )
    await publish_all(broker, [letter])


def _plain(delivery: Delivery) -> dict[str, object]:
    """The headers of text and numbers, without those that the broker reads.

    Others would steer the dead letter; or, sent by who knows whom, could not be written again.
    """
    return {
        name: value
        for name, value in delivery.headers.items()
        if isinstance(value, str | int) and not name.startswith("x-") and name not in ("CC", "BCC")
    }
