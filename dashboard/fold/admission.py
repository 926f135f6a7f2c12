"""Decides which messages of a batch are folded, which wait for their order, and which are refused.

A report that arrives before its order waits in a stub and is checked when the order arrives, so the
result doesn't depend on the sequence in which messages arrive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from dashboard.fold.fold import LaunchBatch
from dashboard.fold.records import NextIds, OrderRecord, Report
from kitchen_worker.contract.messages import Role

#: Reports waiting for one order; a version sends two at most.
MAX_PENDING = 50
#: Total bytes of their results; the largest allowed result fits.
MAX_PENDING_BYTES = 1_000_000
MAX_STUBS = 10_000


class OrderMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An order as published, already described."""

    record: OrderRecord
    #: None if placed outside any launch.
    launch: UUID | None


class EventMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A report, with the launch and role that its sender claims."""

    report: Report
    launch: UUID | None
    role: Role


class Stub(msgspec.Struct, frozen=True, kw_only=True):
    """An order known only from reports, which wait for it."""

    order_id: str
    since: datetime
    pending: tuple[EventMessage, ...]


class Refused(msgspec.Struct, frozen=True):
    event: EventMessage
    reason: str


@dataclass(frozen=True, kw_only=True)
class Known:
    """Stored facts about the orders and launches of a batch."""

    orders: Mapping[str, OrderRecord] = field(default_factory=dict)
    stubs: Mapping[str, Stub] = field(default_factory=dict)
    #: Replayed orders: the launch, and the version they were sent to.
    replayed: Mapping[str, tuple[UUID, str]] = field(default_factory=dict)
    #: Recent orders placed outside any launch.
    outside: Collection[str] = ()
    roles: Mapping[UUID, Mapping[str, Role]] = field(default_factory=dict)
    stubs_in_all: int = 0


@dataclass(kw_only=True)
class Admitted:
    """The messages of a batch, sorted by what happens to them."""

    batches: dict[UUID, LaunchBatch] = field(default_factory=dict)
    #: New and changed stubs, and which of them are new.
    stubs: dict[str, Stub] = field(default_factory=dict)
    new_stubs: set[str] = field(default_factory=set)
    #: Stubs whose order has arrived.
    filled: list[str] = field(default_factory=list)
    replayed: list[EventMessage] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    #: Orders placed outside any launch, and the number of reports of such orders.
    outside: list[str] = field(default_factory=list)
    reports_outside: int = 0


def admit(
    known: Known,
    orders: Sequence[OrderMessage],
    events: Sequence[EventMessage],
    ids: NextIds,
    at: datetime,
) -> Admitted:
    """Sort the messages of a batch; repeated orders change nothing."""
    admitted = Admitted()
    new, waited = _new_orders(known, orders, ids, admitted)
    reports: defaultdict[UUID, list[Report]] = defaultdict(list)
    outside = {*known.outside, *admitted.outside}
    for event in (*waited, *events):
        order_id = event.report.order_id
        order = new.get(order_id) or known.orders.get(order_id)
        if order is not None:
            reason = _why_refused(event, order, known.roles)
            if reason:
                admitted.refused.append(Refused(event, reason))
            else:
                reports[order.launch].append(event.report)
        elif order_id in known.replayed:
            _take_replayed(event, known, admitted)
        elif order_id in outside:
            admitted.reports_outside += 1
        else:
            _keep_until_order(event, known, admitted, at)
    placed: defaultdict[UUID, list[OrderRecord]] = defaultdict(list)
    for order in new.values():
        placed[order.launch].append(order)
    for launch in {*placed, *reports}:
        admitted.batches[launch] = LaunchBatch(placed[launch], reports[launch])
    return admitted


class Overdue(NamedTuple):
    """Events whose orders never arrived: those that name a launch are refused; the others are only
    counted, as their orders may belong to no launch."""

    refused: list[Refused]
    outside: int


def overdue(stubs: Iterable[Stub]) -> Overdue:
    pending = [event for stub in stubs for event in stub.pending]
    refused = [
        Refused(event, f"no order {event.report.order_id} came")
        for event in pending
        if event.launch is not None
    ]
    return Overdue(refused, len(pending) - len(refused))


def _new_orders(
    known: Known, orders: Iterable[OrderMessage], ids: NextIds, admitted: Admitted
) -> tuple[dict[str, OrderRecord], list[EventMessage]]:
    """The new orders, each with an id, and the reports that waited for them."""
    new: dict[str, OrderRecord] = {}
    waited: list[EventMessage] = []
    for message in orders:
        order_id = message.record.order_id
        if order_id in new or order_id in known.orders:
            continue
        stub = known.stubs.get(order_id)
        if stub is not None and order_id not in admitted.filled:
            admitted.filled.append(order_id)
            waited += stub.pending
        if message.launch is None:
            admitted.outside.append(order_id)
            continue
        new[order_id] = msgspec.structs.replace(message.record, id=ids.order)
        ids.order += 1
    return new, waited


def _why_refused(
    event: EventMessage, order: OrderRecord, roles: Mapping[UUID, Mapping[str, Role]]
) -> str:
    """Why a report does not count; empty if it does."""
    version = event.report.version
    if (reason := _why_not_of(event, order.launch, roles)) or event.role is Role.CONTROL:
        return reason
    return "" if version in order.sample else f"order {order.order_id} was not sent to {version}"


def _why_not_of(event: EventMessage, launch: UUID, roles: Mapping[UUID, Mapping[str, Role]]) -> str:
    """Why a report does not belong to a launch; empty if it does."""
    version = event.report.version
    role = roles.get(launch, {}).get(version)
    if event.launch is not None and event.launch != launch:
        return f"order {event.report.order_id} was not placed in launch {event.launch}"
    if role is None:
        return f"version {version} has no part in launch {launch}"
    if role is not event.role:
        return f"version {version} is the {role}, and speaks as {event.role}"
    return ""


def _take_replayed(event: EventMessage, known: Known, admitted: Admitted) -> None:
    launch, sent_to = known.replayed[event.report.order_id]
    reason = _why_not_of(event, launch, known.roles)
    if not reason and event.report.version != sent_to:
        reason = f"order {event.report.order_id} was not sent to {event.report.version}"
    if reason:
        admitted.refused.append(Refused(event, reason))
    else:
        admitted.replayed.append(event)


def _keep_until_order(event: EventMessage, known: Known, admitted: Admitted, at: datetime) -> None:
    """Keep a report until its order arrives, within bounds."""
    order_id = event.report.order_id
    stub = admitted.stubs.get(order_id) or known.stubs.get(order_id)
    if stub is None:
        if known.stubs_in_all + len(admitted.new_stubs) >= MAX_STUBS:
            reason = f"no order {order_id} came, and {MAX_STUBS:,} others wait for theirs"
            admitted.refused.append(Refused(event, reason))
            return
        admitted.new_stubs.add(order_id)
        stub = Stub(order_id=order_id, since=at, pending=())
    if any(one.report.event_id == event.report.event_id for one in stub.pending):
        return
    size = sum(len(one.report.result) for one in (*stub.pending, event))
    if len(stub.pending) >= MAX_PENDING or size > MAX_PENDING_BYTES:
        admitted.refused.append(
            Refused(event, f"{len(stub.pending)} other reports wait for order {order_id}")
        )
        return
    admitted.stubs[order_id] = msgspec.structs.replace(stub, pending=(*stub.pending, event))
