"""Which orders of replays are to be sent next, and which are given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from dashboard.models import Replay, ReplayedOrder, ReplayState
from dashboard.observing.texts import storable
from dashboard.reviewing.replays import conclude
from kitchen_worker.amqp.broker import Outgoing
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import (
    ORDER_PLACED,
    MessageError,
    decode_order,
    encode_order,
)
from restaurant.models import Launch, Letter
from restaurant.write_lock import write_transaction

#: Orders that one version was sent again and has not answered yet, at most: live orders do not
#: stand behind a whole replay, and the deadline of one does not run while it waits for another.
IN_FLIGHT = 200
#: After how long orders that the broker does not take are given up.
GIVE_UP = timedelta(minutes=10)
_ENDED = "The launch ended before it was sent."
_NO_LETTER = "Its message is not stored any more."


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """An order that is to be sent again, and the message that does it."""

    id: int
    message: Outgoing


def next_to_send(now: datetime) -> list[Again]:
    """The oldest orders that wait and for which there is room; gives up what cannot be sent."""
    replays = {replay.pk: replay for replay in Replay.objects.filter(finished_at=None)}
    if not replays:
        return []
    of_these = ReplayedOrder.objects.filter(replay__in=replays)
    # What the broker did not take stands behind what was not tried yet.
    in_turn = of_these.filter(state=ReplayState.WAITING).order_by("error_message", "id")
    waiting = list(in_turn[:IN_FLIGHT])
    if not waiting:
        return []
    sent = of_these.filter(state=ReplayState.SENT).values_list("replay__version", flat=True)
    under_way = Counter(sent)
    letters = Letter.objects.filter(order__uuid__in=[row.order for row in waiting])
    bodies = {order: bytes(body) for order, body in letters.values_list("order__uuid", "body")}
    ready: list[Again] = []
    for row in waiting:
        replay = replays[row.replay_id]
        if under_way[replay.version] >= IN_FLIGHT:
            continue
        try:
            message = _message(replay, row, bodies.get(row.order))
        except MessageError as unreadable:
            _give_up(replay, [row.pk], str(unreadable), now)
        else:
            under_way[replay.version] += 1
            ready.append(Again(id=row.pk, message=message))
    return ready


def mark_sent(orders: Sequence[int], now: datetime) -> None:
    """Mark orders that the broker has taken; some may have been answered by now."""
    rows = ReplayedOrder.objects.filter(id__in=orders)
    rows.filter(state=ReplayState.WAITING).update(
        state=ReplayState.SENT, sent_at=now, error_message=""
    )
    rows.filter(sent_at=None).update(sent_at=now)


def note_refusal(orders: Sequence[int], reason: str) -> None:
    """Write down why the broker did not take orders, which wait on."""
    rows = ReplayedOrder.objects.filter(id__in=orders, state=ReplayState.WAITING)
    rows.update(error_message=storable(reason))


def give_up_overdue(now: datetime, deadline: timedelta) -> set[UUID]:
    """Mark as missing what was not answered in time, and what cannot be sent; gives the launches
    in which that changed something."""
    if not Replay.objects.filter(finished_at=None).exists():
        return set()
    changed = set()
    with write_transaction():
        for replay in Replay.objects.select_for_update().filter(finished_at=None).order_by("id"):
            rows = replay.replayed_orders
            silent = rows.filter(state=ReplayState.SENT, sent_at__lte=now - deadline)
            given_up = silent.update(state=ReplayState.MISSING, ended_at=now)
            waiting = rows.filter(state=ReplayState.WAITING)
            if not Launch.objects.filter(id=replay.launch, ended_at=None).exists():
                given_up += waiting.update(
                    state=ReplayState.MISSING, ended_at=now, error_message=_ENDED
                )
            elif replay.requested_at <= now - GIVE_UP:
                refused = waiting.exclude(error_message="")
                given_up += refused.update(state=ReplayState.MISSING, ended_at=now)
            if given_up:
                conclude(replay, now)
                changed.add(replay.launch)
    return changed


def _message(replay: Replay, row: ReplayedOrder, body: bytes | None) -> Outgoing:
    """An order with a new id, for one dark version and nobody else; raises MessageError."""
    if body is None:
        raise MessageError(_NO_LETTER, b"")
    order = msgspec.structs.replace(decode_order(body), id=str(row.uuid))
    return Outgoing(
        exchange=topology.ORDERS_DARK,
        body=encode_order(order),
        type=ORDER_PLACED,
        message_id=order.id,
        headers={
            topology.dark_header(replay.version): "1",
            topology.REPLAY_HEADER: str(row.order),
            topology.LAUNCH_HEADER: str(replay.launch),
        },
    )


def _give_up(replay: Replay, orders: Sequence[int], reason: str, now: datetime) -> None:
    with write_transaction():
        locked = Replay.objects.select_for_update().get(pk=replay.pk)
        ReplayedOrder.objects.filter(id__in=orders, state=ReplayState.WAITING).update(
            state=ReplayState.MISSING, ended_at=now, error_message=storable(reason)
        )
        conclude(locked, now)
