"""The messages that cross the broker: frozen records that read and write themselves.

Everything that can be wrong with incoming bytes becomes one error::

    MessageError
      UnreadableMessage   Raised when bytes are not a message of the contract.
      OversizedMessage    Raised when a message is larger than the contract allows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec.structs import force_setattr

#: Largest order on the wire, in bytes.
MAX_ORDER_BYTES = 64 * 1024
#: Largest single event on the wire, in bytes.
MAX_EVENT_BYTES = 256 * 1024
#: Largest message that carries several events, in bytes.
MAX_EVENTS_BYTES = 1024 * 1024
#: Most events that one message may carry.
MAX_EVENTS = 500
#: How deep lists and objects may lie in each other in a result, which is itself the first of them:
#: everything that reads, compares or shows results can go so deep.
MAX_DEPTH = 64

#: No time in a message lies before or after these: a database keeps them all, and shows them.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

ORDER_PLACED = "order.placed"
ORDER_EVENTS = "order.events"

#: The end of a pattern: Python's ``$`` alone lets a newline follow.
PATTERN_END = r"$(?!\n)"

VERSION_NAME = r"[a-z0-9-]{1,40}"
VERSION_PATTERN = "^" + VERSION_NAME + PATTERN_END

ID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}" + PATTERN_END

#: Money as it is written: never negative, no exponent, no more digits than these.
MONEY_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,6})?" + PATTERN_END

OrderId = Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]
LaunchId = OrderId
VersionName = Annotated[str, msgspec.Meta(pattern=VERSION_PATTERN)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
ShortText = Annotated[str, msgspec.Meta(max_length=200)]
#: Minutes of one portion, as on the menu.
Minutes = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Role(StrEnum):
    """A version's part in a launch."""

    CONTROL = "control"
    CANDIDATE = "candidate"
    BASELINE = "baseline"


class EventKind(StrEnum):
    """What a kitchen says of an order: ``received`` at the start, one of the others at the end."""

    RECEIVED = "received"
    HANDLED = "handled"
    FAILED = "failed"


#: Every event is held against them, and a name of an enum is dear to look up.
_RECEIVED, _HANDLED, _FAILED = EventKind


class MessageError(ValueError):
    """A message that must not go on; holds the raw bytes and the reason."""

    def __init__(self, reason: str, raw: bytes) -> None:
        super().__init__(reason)
        self.reason = reason
        self.raw = raw


class UnreadableMessage(MessageError):
    """Raised when bytes are not a message of the contract."""


class OversizedMessage(MessageError):
    """Raised when a message is larger than the contract allows."""


class OrderItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order: ``quantity`` portions of one thing on the menu."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    title: ShortText
    quantity: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    preparation_time: Minutes
    unit_price: Decimal

    def __post_init__(self) -> None:
        force_setattr(self, "unit_price", _money(self.unit_price))


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as every kitchen receives it. Money is exact; times on the menu are minutes."""

    id: OrderId
    number: Annotated[int, msgspec.Meta(ge=0)]
    placed_at: Instant
    items: Annotated[tuple[OrderItem, ...], msgspec.Meta(min_length=1, max_length=1000)]
    note: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    total_price: Decimal
    total_prep_time: Annotated[int, msgspec.Meta(ge=0)]

    def __post_init__(self) -> None:
        _check_instant(self.placed_at)
        force_setattr(self, "total_price", _money(self.total_price))


#: Type of the failure of an order that took longer than its kitchen allows.
TIMED_OUT = "TimedOut"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The error of a kitchen that raised: its type's name and its message."""

    type: ShortText
    message: Annotated[str, msgspec.Meta(max_length=4000)]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What one version says of one order. Durations are milliseconds of a monotonic clock.

    ``result`` is set for ``handled`` alone, ``error`` for ``failed`` alone. ``launch`` may be null:
    whoever reads it knows in which launch the order was placed, if in any.
    """

    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    kind: EventKind
    order_id: OrderId
    launch: LaunchId | None = None
    version: VersionName
    role: Role
    build: ShortText = ""
    worker: ShortText = ""
    delivery: Annotated[int, msgspec.Meta(ge=1)] = 1
    redelivered: bool = False
    placed_at: Instant | None = None
    received_at: Instant
    finished_at: Instant | None = None
    queue_ms: Milliseconds | None = None
    handling_ms: Milliseconds | None = None
    result: dict[str, Any] | None = None
    error: Failure | None = None

    @property
    def order(self) -> UUID:
        """The id of its order, as databases take it."""
        return as_uuid(self.order_id)

    def __post_init__(self) -> None:
        kind, finished_at = self.kind, self.finished_at
        _check_instant(self.received_at)
        if self.result is not None and _is_too_deep(self.result):
            raise ValueError(f"the result is nested more than {MAX_DEPTH} deep")
        if self.placed_at is not None:
            _check_instant(self.placed_at)
        if finished_at is not None:
            _check_instant(finished_at)
        if kind is not _RECEIVED and (finished_at is None or self.handling_ms is None):
            raise ValueError(f"a {kind} event needs finished_at and handling_ms")
        if (self.result is not None) != (kind is _HANDLED):
            raise ValueError("result goes with handled, and with nothing else")
        if (self.error is not None) != (kind is _FAILED):
            raise ValueError("error goes with failed, and with nothing else")


class _WrittenItem(msgspec.Struct):
    unit_price: Annotated[str, msgspec.Meta(pattern=MONEY_PATTERN)]


class _WrittenOrder(msgspec.Struct):
    """The money of an order, as it was written: a Decimal takes more than the contract does."""

    total_price: Annotated[str, msgspec.Meta(pattern=MONEY_PATTERN)]
    items: list[_WrittenItem]


_encoder = msgspec.json.Encoder(decimal_format="string")
_order_decoder = msgspec.json.Decoder(Order)
_written_order_decoder = msgspec.json.Decoder(_WrittenOrder)
_event_decoder = msgspec.json.Decoder(Event)
_events_decoder = msgspec.json.Decoder(
    Annotated[list[Event], msgspec.Meta(min_length=1, max_length=MAX_EVENTS)]
)
_MONEY = re.compile(MONEY_PATTERN)
#: A string, or one that does not end; or what parts values from each other.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{},:]', re.DOTALL)
#: Some writers begin each text with it; it says nothing.
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def encode_order(order: Order) -> bytes:
    """Write an order; raises OversizedMessage above MAX_ORDER_BYTES."""
    return _bounded(_encoder.encode(order), MAX_ORDER_BYTES, "order")


def decode_order(raw: bytes) -> Order:
    """Read an order; raises UnreadableMessage or OversizedMessage."""
    _bounded(raw, MAX_ORDER_BYTES, "order")
    text = raw.removeprefix(_BYTE_ORDER_MARK)
    try:
        _written_order_decoder.decode(text)
        return _order_decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
        raise UnreadableMessage(f"not an order: {cause}", raw) from cause


def encode_event(event: Event) -> bytes:
    """Write one event; raises OversizedMessage above MAX_EVENT_BYTES."""
    return _bounded(_encoder.encode(event), MAX_EVENT_BYTES, "event")


def join_events(encoded: Sequence[bytes]) -> bytes:
    """Make one message body of events already written: an object for one, an array for several."""
    return encoded[0] if len(encoded) == 1 else b"[" + b",".join(encoded) + b"]"


def split_events(raw: bytes) -> list[bytes]:
    """The events of a message, each still to be read: one bad event must not cost its neighbours.

    They are parted where JSON parts them, whatever is in them. Raises UnreadableMessage or
    OversizedMessage when the message as a whole is none.
    """
    text = raw.removeprefix(_BYTE_ORDER_MARK).strip()
    if text[:1] != b"[":
        return [raw]
    _bounded(raw, MAX_EVENTS_BYTES, "events")
    inner = text[1:].removesuffix(b"]")
    pieces, start, depth = [], 0, 0
    for token in _TOKEN.finditer(inner):
        kind = token[0]
        if kind in b"[{":
            depth += 1
        elif kind in b"]}":
            depth = max(depth - 1, 0)
        elif kind == b"," and not depth:
            pieces.append(inner[start : token.start()].strip())
            start = token.end()
    pieces.append(inner[start:].strip())
    if pieces == [b""] or len(pieces) > MAX_EVENTS:
        raise UnreadableMessage(f"not events: a message has from 1 to {MAX_EVENTS}", raw)
    return pieces


def names_in(raw: bytes) -> tuple[str, str]:
    """The version and the order that an event names, or the order that it is, if they can be read:
    also of one that cannot be read as a whole."""
    found: dict[bytes, bytes] = {}
    depth, key, last = 0, b"", b""
    for token in _TOKEN.finditer(raw):
        kind = token[0]
        if kind in b"[{":
            depth += 1
        elif kind in b"]}":
            depth -= 1
        elif depth == 1 and kind == b":":
            key = last
        elif depth == 1 and kind == b",":
            key = b""
        elif depth == 1 and kind[:1] == b'"':
            if key:
                found.setdefault(key, kind)
            last = kind
    version = _matching(VERSION_PATTERN, found.get(b'"version"', b""))
    order = found.get(b'"order_id"') or found.get(b'"id"', b"")
    return version, _matching(ID_PATTERN, order)


def _matching(pattern: str, written: bytes) -> str:
    text = written.decode("ascii", "replace").strip('"')
    return text if re.fullmatch(pattern, text) else ""


def decode_events(raw: bytes) -> list[Event]:
    """Read all events of a message at once; raises MessageError when anything may be wrong.

    What is wrong with which of them, split_events and decode_event tell.
    """
    text = raw.removeprefix(_BYTE_ORDER_MARK)
    if text.lstrip()[:1] != b"[":
        return [decode_event(raw)]
    _bounded(raw, MAX_EVENT_BYTES, "events")
    try:
        events: list[Event] = _events_decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
        raise UnreadableMessage(f"not events: {cause}", raw) from cause
    return events


def decode_event(raw: bytes) -> Event:
    """Read one event; raises UnreadableMessage or OversizedMessage."""
    _bounded(raw, MAX_EVENT_BYTES, "event")
    try:
        return _event_decoder.decode(raw.removeprefix(_BYTE_ORDER_MARK))
    except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
        raise UnreadableMessage(f"not an event: {cause}", raw) from cause


@lru_cache(maxsize=10_000)
def as_uuid(text: str) -> UUID:
    """An id as databases take it: what is told of an order is told by several, one after another.

    Raises ValueError."""
    return UUID(text)


def utc_now() -> datetime:
    """The time of day, aware and UTC."""
    return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """A time as messages have it."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _check_instant(at: datetime) -> None:
    if not EARLIEST <= at <= LATEST:
        raise ValueError(f"a time from {EARLIEST.year} to {LATEST.year} is wanted, not {at}")


def _money(value: Decimal) -> Decimal:
    """Money that is written as the contract wants it; raises ValueError."""
    text = f"{value:f}" if value else f"{abs(value):f}"
    if not _MONEY.search(text):
        raise ValueError(f"money is from 0 to below 10^9 with at most 6 decimals, not {value}")
    return Decimal(text)


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for one in level
            for inner in (one.values() if type(one) is dict else one)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def _bounded(raw: bytes, limit: int, what: str) -> bytes:
    if len(raw) > limit:
        raise OversizedMessage(f"{what} of {len(raw)} bytes; at most {limit} are allowed", raw)
    return raw
