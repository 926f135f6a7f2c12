"""Runs replays: chooses the orders to send, gives up overdue ones, and judges the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from django.db.models import F

from dashboard.comparison.folding import still_shows
from dashboard.comparison.foreign_text import storable
from dashboard.comparison.judgement import Ending, judge
from dashboard.comparison.outcome import Outcome, State
from dashboard.comparison.rules import Rules
from dashboard.database import atomic
from dashboard.fold.admission import EventMessage
from dashboard.fold.records import Report
from dashboard.ingest.rulebook import rules_in_force
from dashboard.models import (
    Discrepancy,
    Observation,
    ObservedOrder,
    Replay,
    ReplayedOrder,
    ReplayState,
)
from dashboard.review.replays import conclude
from kitchen_worker.amqp.broker import Outgoing
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import (
    ORDER_PLACED,
    MessageError,
    decode_order,
    encode_order,
)
from restaurant.models import Launch

#: Replayed orders in flight per version: live orders must not queue behind a whole replay, and an
#: order's deadline must not pass while it waits for others.
IN_FLIGHT = 200
#: How long to retry orders that the broker refuses.
GIVE_UP = timedelta(minutes=10)
_ENDED = "The launch ended before it was sent."
_NO_MESSAGE = "Its message is not stored anymore."


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderToSend:
    """A replayed order and its message."""

    id: int
    message: Outgoing


def next_to_send(now: datetime) -> list[OrderToSend]:
    """The oldest waiting orders, up to IN_FLIGHT; gives up those that cannot be sent."""
    replays = {replay.pk: replay for replay in Replay.objects.filter(finished_at=None)}
    if not replays:
        return []
    of_these = ReplayedOrder.objects.filter(replay__in=replays)
    # Orders that the broker refused come after those not tried yet.
    in_turn = of_these.filter(state=ReplayState.WAITING).order_by("error_message", "id")
    waiting = list(in_turn[:IN_FLIGHT])
    if not waiting:
        return []
    sent = of_these.filter(state=ReplayState.SENT).values_list("replay__version", flat=True)
    in_flight = Counter(sent)
    orders = ObservedOrder.objects.filter(order_id__in=[row.order for row in waiting])
    bodies = {order: bytes(body) for order, body in orders.values_list("order_id", "body")}
    ready: list[OrderToSend] = []
    for row in waiting:
        replay = replays[row.replay_id]
        if in_flight[replay.version] >= IN_FLIGHT:
            continue
        try:
            message = _message(replay, row, bodies.get(row.order, b""))
        except MessageError as unreadable:
            _give_up(replay, [row.pk], str(unreadable), now)
        else:
            in_flight[replay.version] += 1
            ready.append(OrderToSend(id=row.pk, message=message))
    return ready


def mark_sent(orders: Sequence[int], now: datetime) -> None:
    """Mark orders that the broker confirmed; some may have been answered already."""
    rows = ReplayedOrder.objects.filter(id__in=orders)
    rows.filter(state=ReplayState.WAITING).update(
        state=ReplayState.SENT, sent_at=now, error_message=""
    )
    rows.filter(sent_at=None).update(sent_at=now)


def record_refusal(orders: Sequence[int], reason: str) -> None:
    """Record why the broker refused orders, which keep waiting."""
    rows = ReplayedOrder.objects.filter(id__in=orders, state=ReplayState.WAITING)
    rows.update(error_message=storable(reason))


def give_up_overdue(now: datetime, deadline: timedelta) -> set[UUID]:
    """Mark orders as missing that were not answered in time or cannot be sent; returns the
    launches that this changed."""
    if not Replay.objects.filter(finished_at=None).exists():
        return set()
    changed = set()
    with atomic():
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


def _message(replay: Replay, row: ReplayedOrder, body: bytes) -> Outgoing:
    """The order with a new id, for one dark version only; raises MessageError."""
    if not body:
        raise MessageError(_NO_MESSAGE, b"")
    order = msgspec.structs.replace(decode_order(body), id=str(row.uuid))
    return Outgoing(
        exchange=topology.ORDERS_DARK,
        body=encode_order(order),
        type=ORDER_PLACED,
        message_id=order.id,
        headers={
            topology.dark_header(replay.version): "1",
            topology.REPLAY_HEADER: row.order,
            topology.LAUNCH_HEADER: str(replay.launch),
        },
    )


def _give_up(replay: Replay, orders: Sequence[int], reason: str, now: datetime) -> None:
    with atomic():
        locked = Replay.objects.select_for_update().get(pk=replay.pk)
        ReplayedOrder.objects.filter(id__in=orders, state=ReplayState.WAITING).update(
            state=ReplayState.MISSING, ended_at=now, error_message=storable(reason)
        )
        conclude(locked, now)


#: States that an answer changes; one may come after its order was given up.
_UNANSWERED = (ReplayState.WAITING, ReplayState.SENT, ReplayState.MISSING)
_ANSWERED = (
    "state", "sent_at", "ended_at", "build", "handling_ms", "result", "error_type",
    "error_message", "outcome", "shows",
)  # fmt: skip


def record_answers(events: Iterable[EventMessage], now: datetime) -> None:
    """Record and judge answers to replayed orders in one transaction; the first answer counts.

    Raises django.db.Error.
    """
    ends: dict[UUID, Report] = {}
    for report in (one.report for one in events):
        if report.state is not State.RECEIVED:
            ends.setdefault(UUID(report.order_id), report)
    if not ends:
        return
    with atomic():
        touched = ReplayedOrder.objects.filter(uuid__in=ends).values("replay")
        locked = Replay.objects.select_for_update().filter(pk__in=touched).order_by("id")
        replays = {replay.pk: replay for replay in locked}
        rows = list(ReplayedOrder.objects.filter(uuid__in=ends, state__in=_UNANSWERED))
        if not rows:
            return
        judging = _Judging.of(replays.values(), rows, now)
        for row in rows:
            judging.judge(row, ends[row.uuid], now)
        ReplayedOrder.objects.bulk_update(rows, _ANSWERED, batch_size=100)
        for replay in replays.values():
            conclude(replay, now)


@dataclass(frozen=True)
class _Judging:
    """What is needed to compare answers with the control's."""

    replays: Mapping[int, Replay]
    discrepancies: Mapping[int, Discrepancy]
    #: The control by launch.
    controls: Mapping[UUID, str]
    #: Answers to the live orders, by order and version.
    answers: Mapping[tuple[str, str], Observation]
    rules: Mapping[str, Rules]

    @classmethod
    def of(
        cls, replays: Iterable[Replay], rows: Iterable[ReplayedOrder], now: datetime
    ) -> _Judging:
        several = {replay.pk: replay for replay in replays}
        about = Discrepancy.objects.in_bulk({one.discrepancy_id for one in several.values()})
        launches = Launch.objects.filter(id__in={one.launch for one in about.values()})
        return cls(
            replays=several,
            discrepancies=about,
            controls=dict(launches.values_list("id", "control")),
            answers=live_answers({row.order for row in rows}),
            rules=rules_in_force({one.version for one in several.values()}, now),
        )

    def judge(self, row: ReplayedOrder, report: Report, now: datetime) -> None:
        """Write an answer and its judgement into its row."""
        replay = self.replays[row.replay_id]
        about = self.discrepancies[replay.discrepancy_id]
        _answer(row, report, now)
        control = self.answers.get((row.order, self.controls.get(about.launch, "")))
        judgement = judge(ending_of(control), ending_of(row), self.rules[replay.version])
        row.outcome = judgement.outcome
        # Without the control's answer, agreement is not proved.
        row.shows = judgement.outcome is Outcome.MISSING or still_shows(about.group, judgement)


def live_answers(orders: Collection[str]) -> dict[tuple[str, str], Observation]:
    """The stored answers to these orders, by order and version."""
    rows = Observation.objects.filter(order__order_id__in=orders).select_related("participant")
    named = rows.annotate(order_name=F("order__order_id"))
    return {(one.order_name, one.participant.version): one for one in named}


def ending_of(answer: Observation | ReplayedOrder | None) -> Ending:
    """How an order ended, live or replayed; missing if no answer is stored."""
    if answer is None:
        return Ending(state=State.MISSING)
    return Ending(
        state=State(answer.state),
        result=msgspec.json.decode(answer.result) if answer.result else None,
        error_type=answer.error_type,
        error_message=answer.error_message,
    )


def _answer(row: ReplayedOrder, report: Report, now: datetime) -> None:
    """Record an answer with the live order's id in place of the replayed order's."""
    row.state = ReplayState(report.state.value)
    row.sent_at = row.sent_at or now
    row.ended_at = now
    row.build = report.build
    row.handling_ms = report.handling_ms
    as_json = msgspec.json.encode(row.order).decode()[1:-1]
    row.result = report.result.decode().replace(str(row.uuid), as_json)
    row.error_type = report.error_type
    row.error_message = report.error_message.replace(str(row.uuid), row.order)
