"""Decodes a batch of the stream: orders and events, told apart by their exchange.

Also reads the rosters of launches: the only production tables that the observer reads.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

import msgspec

from dashboard.comparison.foreign_text import storable
from dashboard.comparison.outcome import State
from dashboard.fold.admission import EventMessage, OrderMessage
from dashboard.fold.records import OrderRecord, Report
from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.amqp.dead_letters import RefusedMessage
from kitchen_worker.amqp.decoding import decode_raw_deliveries
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import (
    EARLIEST,
    ID_PATTERN,
    LATEST,
    MAX_ORDER_BYTES,
    VERSION_PATTERN,
    RawEvent,
    Role,
    as_uuid,
)
from kitchen_worker.contract.topology import events_key
from restaurant.description import Description, DescriptionFunction
from restaurant.environment import DEFAULT_DESCRIPTION
from restaurant.models import Launch

logger = logging.getLogger(__name__)

#: Characters of an order's id.
MAX_ID = 100
#: Time limit for describing one order, and the number of overruns that disable the function.
DESCRIBED_S, OVERRUNS = 1.0, 3
_MAX_LABEL = 500
_MAX_CATEGORIES = 50
_MAX_CATEGORY = 100
_MAX_SIZE = 2**31 - 1
_MAX_NUMBER = 2**63 - 1
_DARK = topology.dark_header("")
_NO_LAUNCH = UUID(int=0)

_is_id = re.compile(ID_PATTERN).search
_is_version = re.compile(VERSION_PATTERN).search
_is_relay = re.compile(r"[0-9a-f]{32}").fullmatch
_is_number = re.compile(r"[1-9][0-9]{0,14}").fullmatch

#: Describes orders; None for one that could not be described.
Describe = Callable[[Sequence[bytes]], Sequence[Description | None]]


@dataclass(kw_only=True)
class DecodedBatch:
    """The orders and events of a batch of deliveries, and the messages refused."""

    orders: list[OrderMessage] = field(default_factory=list)
    #: Sequence numbers, by relay id and launch.
    numbers: dict[tuple[str, UUID], list[int]] = field(default_factory=dict)
    events: list[EventMessage] = field(default_factory=list)
    refused: list[RefusedMessage] = field(default_factory=list)
    #: How many of a launch's orders the description function failed on.
    undescribed: int = 0
    #: By ``id()`` of a message: turns a reason into its refused message.
    sources: dict[int, Callable[[str], RefusedMessage]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.orders) + len(self.events)

    def refused_as(self, message: OrderMessage | EventMessage, reason: str) -> RefusedMessage:
        """Refuse a message of the batch, or an event that waited for its order."""
        source = self.sources.get(id(message))
        return source(reason) if source is not None else as_dead_letter(message, reason)

    def all_refused(self, reason: str) -> list[RefusedMessage]:
        messages: list[OrderMessage | EventMessage] = [*self.orders, *self.events]
        return [self.refused_as(one, reason) for one in messages]

    def parts(self, at_most: int) -> Iterator[DecodedBatch]:
        """Split into parts of ``at_most`` orders and events; the first one holds the counts."""
        for start in range(0, max(self.size, 1), at_most):
            end, orders = start + at_most, len(self.orders)
            yield replace(
                self,
                orders=self.orders[start:end],
                events=self.events[max(0, start - orders) : max(0, end - orders)],
                numbers=self.numbers if start == 0 else {},
                undescribed=self.undescribed if start == 0 else 0,
                refused=[],
            )


class _Head(NamedTuple):
    """The properties of an order's message."""

    order_id: str
    launch: UUID | None
    sent_at: datetime | None


def decode_batch(deliveries: Iterable[Delivery], describe: Describe, at: datetime) -> DecodedBatch:
    """Decode a batch. An order that cannot be described has no label."""
    found = DecodedBatch()
    placed: list[tuple[Delivery, _Head]] = []
    reported: list[Delivery] = []
    for delivery in deliveries:
        if delivery.exchange in topology.ORDER_SOURCES:
            head = _head(delivery)
            if isinstance(head, str):
                found.refused.append(RefusedMessage(delivery, delivery.body, head))
            else:
                placed.append((delivery, head))
        elif delivery.exchange in topology.EVENT_SOURCES:
            reported.append(delivery)
        else:
            name = repr(delivery.exchange[:100]) if delivery.exchange else "without a name"
            reason = f"nothing is taken from the exchange {name}"
            found.refused.append(RefusedMessage(delivery, delivery.body, reason))
    _read_orders(placed, describe, at, found)
    decoded, refused = decode_raw_deliveries(reported)
    found.refused += refused
    for one in decoded:
        event = as_message(one.event)
        found.events.append(event)
        found.sources[id(event)] = one.refused
    return found


def _head(delivery: Delivery) -> _Head | str:
    """An order's properties, or why it is refused."""
    headers, order_id = delivery.headers, delivery.message_id
    launch = headers.get(topology.LAUNCH_HEADER)
    if launch is not None and not (isinstance(launch, str) and _is_id(launch)):
        return "its launch is not an id"
    if not isinstance(order_id, str) or not 1 <= len(order_id) <= MAX_ID or "\x00" in order_id:
        return f"an order's id has from 1 to {MAX_ID} characters, none of them NUL"
    if len(delivery.body) > MAX_ORDER_BYTES:
        return f"an order has at most {MAX_ORDER_BYTES:,} bytes"
    return _Head(
        order_id,
        as_uuid(launch) if launch is not None else None,
        _instant(headers.get(topology.SENT_AT_HEADER)),
    )


def _read_orders(
    placed: Sequence[tuple[Delivery, _Head]], describe: Describe, at: datetime, found: DecodedBatch
) -> None:
    of_a_launch = [delivery.body for delivery, head in placed if head.launch is not None]
    descriptions = iter(describe(of_a_launch) if of_a_launch else ())
    launches: dict[str, UUID] = {}
    for delivery, head in placed:
        description = None
        if head.launch is not None:
            description = next(descriptions)
            found.undescribed += description is None
            _note_number(delivery, head.launch, launches, found)
        record = _record(delivery, head, description or Description(), at)
        message = OrderMessage(record=record, launch=head.launch)
        found.orders.append(message)
        found.sources[id(message)] = partial(RefusedMessage, delivery, delivery.body)


def _record(delivery: Delivery, head: _Head, description: Description, at: datetime) -> OrderRecord:
    placed_at = description.placed_at or head.sent_at or at
    return OrderRecord(
        id=0,
        order_id=head.order_id,
        launch=head.launch or _NO_LAUNCH,
        arrived_at=at,
        sent_at=head.sent_at or placed_at,
        placed_at=placed_at,
        number=description.number,
        body=delivery.body,
        label=description.label,
        size=description.size,
        categories=description.categories,
        sample=frozenset(
            version
            for name, value in delivery.headers.items()
            if value == "1"
            and name.startswith(_DARK)
            and _is_version(version := name.removeprefix(_DARK))
        ),
    )


def _note_number(
    delivery: Delivery, launch: UUID, launches: dict[str, UUID], found: DecodedBatch
) -> None:
    """Note an order's sequence number, unless its relay id belongs to another launch."""
    relay = delivery.headers.get(topology.RELAY_HEADER)
    seq = delivery.headers.get(topology.SEQ_HEADER)
    if not (isinstance(relay, str) and _is_relay(relay)):
        return
    if not (isinstance(seq, str) and _is_number(seq)):
        return
    if launches.setdefault(relay, launch) == launch:
        found.numbers.setdefault((relay, launch), []).append(int(seq))


def _instant(text: object) -> datetime | None:
    """Parse a time in a header; None if it is absent or the database cannot store it."""
    if not isinstance(text, str):
        return None
    try:
        at = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return at if _is_storable(at) else None


def _is_storable(at: datetime) -> bool:
    return at.tzinfo is not None and EARLIEST <= at <= LATEST


def as_message(event: RawEvent) -> EventMessage:
    """Convert an event for the fold."""
    error = event.error
    return EventMessage(
        launch=as_uuid(event.launch) if event.launch is not None else None,
        role=event.role,
        report=Report(
            event_id=event.event_id,
            order_id=event.order_id,
            version=event.version,
            state=State(event.kind.value),
            received_at=event.received_at,
            finished_at=event.finished_at,
            build=storable(event.build),
            worker=storable(event.worker),
            delivery=event.delivery,
            queue_ms=event.queue_ms,
            handling_ms=event.handling_ms,
            result=event.result_json,
            error_type=storable(error.type) if error else "",
            error_message=storable(error.message) if error else "",
        ),
    )


def as_dead_letter(message: OrderMessage | EventMessage, reason: str) -> RefusedMessage:
    """Refuse a message whose delivery is gone: it is known only from the database."""
    key, body = "", b""
    if isinstance(message, EventMessage):
        key, body = events_key(message.role, message.report.version), _body(message)
    delivery = Delivery(tag=0, queue=topology.STREAM_QUEUE, body=body, routing_key=key)
    return RefusedMessage(delivery, body, reason)


def _body(message: EventMessage) -> bytes:
    """Encode an event as its kitchen sent it, as far as it is stored."""
    report = message.report
    failed = report.state is State.FAILED
    return msgspec.json.encode(
        {
            "event_id": report.event_id,
            "kind": report.state,
            "order_id": report.order_id,
            "launch": message.launch,
            "version": report.version,
            "role": message.role,
            "build": report.build,
            "worker": report.worker,
            "delivery": report.delivery,
            "received_at": report.received_at,
            "finished_at": report.finished_at,
            "queue_ms": report.queue_ms,
            "handling_ms": report.handling_ms,
            "result": msgspec.Raw(report.result or b"null"),
            "error": {"type": report.error_type, "message": report.error_message}
            if failed
            else None,
        }
    )


class Describer:
    """Calls the configured description function; if it raises, the order only lacks a label.

    Foreign code runs in its own thread, with a time limit per order. Threads cannot be stopped: one
    that overruns continues in the background, and after a few overruns the function isn't called
    again until the observer restarts. If it blocks the interpreter, the health check fails and the
    process is restarted.
    """

    def __init__(self, function: DescriptionFunction, *, limit_s: float = DESCRIBED_S) -> None:
        self._function = function
        self._limit_s = limit_s
        self._overruns = 0

    def __call__(self, bodies: Sequence[bytes]) -> list[Description | None]:
        """A description per order; None where the function failed."""
        if self._function.path == DEFAULT_DESCRIPTION:
            return [_described(self._function, body) for body in bodies]
        found: list[Description | None] = []
        while len(found) < len(bodies) and self._overruns < OVERRUNS:
            found += self._attempt(bodies[len(found) :])
        return found + [None] * (len(bodies) - len(found))

    def _attempt(self, bodies: Sequence[bytes]) -> list[Description | None]:
        """Describe orders up to the first one that takes too long."""
        work = _DescriptionJob(self._function, bodies)
        threading.Thread(target=work.run, name="description", daemon=True).start()
        known = 0
        while not work.ended.wait(self._limit_s):
            if len(work.found) > known:
                known = len(work.found)
                continue
            work.is_wanted = False
            self._overruns += 1
            logger.error(
                "%s takes longer than %g s to describe an order%s",
                self._function.path,
                self._limit_s,
                "; it is disabled until a restart" if self._overruns == OVERRUNS else "",
                extra={"action": "undescribed"},
            )
            return [*work.found[:known], None]
        return work.found


class _DescriptionJob:
    """Describes orders one by one, in a thread."""

    def __init__(self, function: DescriptionFunction, bodies: Sequence[bytes]) -> None:
        self._function = function
        self._bodies = bodies
        self.found: list[Description | None] = []
        self.ended = threading.Event()
        self.is_wanted = True

    def run(self) -> None:
        for body in self._bodies:
            if not self.is_wanted:
                return
            try:
                self.found.append(_described(self._function, body))
            except BaseException:  # noqa: BLE001 - foreign code may raise anything
                self.found.append(None)
        self.ended.set()


def _described(function: DescriptionFunction, body: bytes) -> Description | None:
    try:
        return _checked(function(body))
    except Exception:  # noqa: BLE001 - the order only lacks a label
        return None


def _checked(description: Description) -> Description:
    """A description that a database can store; raises TypeError and ValueError."""
    placed_at, number, size = description.placed_at, description.number, description.size
    if placed_at is not None and not _is_storable(placed_at):
        raise ValueError(placed_at)
    if number is not None and not 0 <= int(number) <= _MAX_NUMBER:
        raise ValueError(number)
    if not 0 <= int(size) <= _MAX_SIZE:
        raise ValueError(size)
    categories = dict.fromkeys(_cut(one, _MAX_CATEGORY) for one in description.categories)
    return Description(
        label=_cut(description.label, _MAX_LABEL),
        number=int(number) if number is not None else None,
        placed_at=placed_at,
        size=int(size),
        categories=tuple(categories)[:_MAX_CATEGORIES],
    )


def _cut(text: str, longest: int) -> str:
    """Cut text, and drop characters that UTF-8 or a database cannot store."""
    if text.isascii() and len(text) <= longest and "\x00" not in text:
        return text
    return storable(text[:longest]).encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Roster:
    """The roles of a launch's versions, the control included."""

    launch: UUID
    control: str
    roles: Mapping[str, Role]


def read_roster(launch: Launch) -> Roster:
    """A launch's roster, from its (prefetched) dark versions."""
    roles = {launch.control: Role.CONTROL}
    roles |= {dark.version: Role(dark.role) for dark in launch.dark_versions.all()}
    return Roster(launch.id, launch.control, roles)


@dataclass
class Rosters:
    """The rosters of launches, read on first use and when they may be out of date."""

    _known: dict[UUID, Roster] = field(default_factory=dict)

    @property
    def known(self) -> set[UUID]:
        return {*self._known}

    def of(self, launch: UUID) -> Roster | None:
        """The roster of a launch; None if there is no such launch."""
        if launch not in self._known:
            self._read({launch})
        return self._known.get(launch)

    def with_versions(self, named: Mapping[UUID, Collection[str]]) -> None:
        """Read launches again that don't have these versions yet: they may have joined."""
        stale = {
            launch
            for launch, versions in named.items()
            if (roster := self.of(launch)) is not None and not set(versions) <= roster.roles.keys()
        }
        if stale:
            self._read(stale)

    def _read(self, launches: Iterable[UUID]) -> None:
        found = Launch.objects.filter(id__in=list(launches)).prefetch_related("dark_versions")
        self._known |= {launch.id: read_roster(launch) for launch in found}
