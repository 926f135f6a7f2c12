"""The messages on the broker, as frozen records that encode and decode themselves.

All problems with incoming bytes are one error::

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
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec.structs import force_setattr

_Event = TypeVar("_Event", bound="_EventFields")

#: Largest order, in bytes.
MAX_ORDER_BYTES = 64 * 1024
#: Largest single event, in bytes.
MAX_EVENT_BYTES = 256 * 1024
#: Largest message with several events, in bytes.
MAX_EVENTS_BYTES = 1024 * 1024
#: Maximum number of events in a message.
MAX_EVENTS = 500
#: Maximum nesting of a result, which itself counts as 1. All code that reads, compares or shows
#: results may recurse this deep.
MAX_DEPTH = 64

#: Bounds of all times in messages: every database can store and show what lies between.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

ORDER_PLACED = "order.placed"
ORDER_EVENTS = "order.events"

#: End of a pattern: Python's ``$`` alone also matches before a final newline.
PATTERN_END = r"$(?!\n)"

VERSION_NAME = r"[a-z0-9-]{1,40}"
VERSION_PATTERN = "^" + VERSION_NAME + PATTERN_END

ID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}" + PATTERN_END

#: Money in messages: not negative, no exponent, a bounded number of digits.
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
    """``received`` when work starts; ``handled`` or ``failed`` when it ends."""

    RECEIVED = "received"
    HANDLED = "handled"
    FAILED = "failed"


#: Bound once: enum attribute lookup is slow and runs for every event.
_RECEIVED, _HANDLED, _FAILED = EventKind


class MessageError(ValueError):
    """A message that can't be processed; holds the raw bytes and the reason."""

    def __init__(self, reason: str, raw: bytes) -> None:
        super().__init__(reason)
        self.reason = reason
        self.raw = raw


class UnreadableMessage(MessageError):
    """Raised when bytes are not a message of the contract."""


class OversizedMessage(MessageError):
    """Raised when a message is larger than the contract allows."""


class OrderItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order: ``quantity`` portions of an item."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    title: ShortText
    quantity: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    preparation_time: Minutes
    unit_price: Decimal

    def __post_init__(self) -> None:
        force_setattr(self, "unit_price", _money(self.unit_price))


class PlacedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as kitchens receive it. Money is exact; times are minutes."""

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


#: Failure type of an order that exceeded its kitchen's time limit.
TIMED_OUT = "TimedOut"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The exception of a kitchen: its type's name and its message."""

    type: ShortText
    message: Annotated[str, msgspec.Meta(max_length=4000)]


class _EventFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that both forms of an event share."""

    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    kind: EventKind
    order_id: OrderId
    launch: LaunchId | None = None
    version: VersionName
    role: Role
    build: ShortText = ""
    worker: ShortText = ""
    delivery: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 1
    redelivered: bool = False
    placed_at: Instant | None = None
    received_at: Instant
    finished_at: Instant | None = None
    queue_ms: Milliseconds | None = None
    handling_ms: Milliseconds | None = None

    @property
    def order(self) -> UUID:
        """The order's id as databases take it."""
        return as_uuid(self.order_id)

    def _check(self, result: dict[str, Any] | None, error: Failure | None) -> None:
        kind, finished_at = self.kind, self.finished_at
        _check_instant(self.received_at)
        if result is not None and _is_too_deep(result):
            raise ValueError(f"the result is nested more than {MAX_DEPTH} deep")
        if self.placed_at is not None:
            _check_instant(self.placed_at)
        if finished_at is not None:
            _check_instant(finished_at)
        if kind is not _RECEIVED and (finished_at is None or self.handling_ms is None):
            raise ValueError(f"a {kind} event needs finished_at and handling_ms")
        if (result is not None) != (kind is _HANDLED):
            raise ValueError("result goes with handled, and with nothing else")
        if (error is not None) != (kind is _FAILED):
            raise ValueError("error goes with failed, and with nothing else")


class Event(_EventFields, frozen=True, kw_only=True):
    """What one version did with one order. Durations are milliseconds of a monotonic clock.

    ``result`` is set only for ``handled``, ``error`` only for ``failed``. ``launch`` may be null:
    the observer knows the launch of each order.
    """

    result: dict[str, Any] | None = None
    error: Failure | None = None

    def __post_init__(self) -> None:
        self._check(self.result, self.error)


class RawEvent(_EventFields, frozen=True, kw_only=True):
    """An event as read, with its result as JSON; the result is checked all the same."""

    result: msgspec.Raw = msgspec.Raw()
    error: Failure | None = None

    @property
    def result_json(self) -> bytes:
        """The result as JSON, copied so that the message can be freed; empty if there is none."""
        text = bytes(self.result)
        return b"" if text == b"null" else text

    def __post_init__(self) -> None:
        try:
            result = _result_decoder.decode(self.result) if len(self.result) else None
        except ValueError as cause:
            raise ValueError(f"{cause} - in the result") from cause
        self._check(result, self.error)


class _WrittenItem(msgspec.Struct):
    unit_price: Annotated[str, msgspec.Meta(pattern=MONEY_PATTERN)]


class _WrittenOrder(msgspec.Struct):
    """An order's money as written: a Decimal would accept more than the contract does."""

    total_price: Annotated[str, msgspec.Meta(pattern=MONEY_PATTERN)]
    items: list[_WrittenItem]


_encoder = msgspec.json.Encoder(decimal_format="string")
_order_decoder = msgspec.json.Decoder(PlacedOrder)
_written_order_decoder = msgspec.json.Decoder(_WrittenOrder)
_result_decoder = msgspec.json.Decoder(dict[str, Any] | None)
_MONEY = re.compile(MONEY_PATTERN)
#: A string, even unterminated, or a structural character.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{},:]', re.DOTALL)
#: Some encoders start every text with it.
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def encode_order(order: PlacedOrder) -> bytes:
    """Raises OversizedMessage above MAX_ORDER_BYTES."""
    return _bounded(_encoder.encode(order), MAX_ORDER_BYTES, "order")


def decode_order(raw: bytes) -> PlacedOrder:
    """Raises UnreadableMessage or OversizedMessage."""
    _bounded(raw, MAX_ORDER_BYTES, "order")
    text = raw.removeprefix(_BYTE_ORDER_MARK)
    try:
        _written_order_decoder.decode(text)
        return _order_decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
        raise UnreadableMessage(f"not an order: {cause}", raw) from cause


def encode_event(event: Event) -> bytes:
    """Raises OversizedMessage above MAX_EVENT_BYTES."""
    return _bounded(_encoder.encode(event), MAX_EVENT_BYTES, "event")


def join_events(encoded: Sequence[bytes]) -> bytes:
    """One message body of encoded events: an object for one, an array for several."""
    return encoded[0] if len(encoded) == 1 else b"[" + b",".join(encoded) + b"]"


def split_events(raw: bytes) -> list[bytes]:
    """Split a message into its events without decoding them: a bad one must not cost the others.

    Raises UnreadableMessage or OversizedMessage if the message as a whole is invalid.
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
    """The version and order that a message names, as far as they can be read; the message may be
    malformed."""
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


class EventReader(Generic[_Event]):
    """Decodes events into one of their forms."""

    def __init__(self, form: type[_Event]) -> None:
        self._one = msgspec.json.Decoder(form)
        several = Annotated[list[form], msgspec.Meta(min_length=1, max_length=MAX_EVENTS)]  # type: ignore[valid-type]
        self._several = msgspec.json.Decoder(several)

    def all(self, raw: bytes) -> list[_Event]:
        """Decode all events of a message at once; raises MessageError if any is invalid.

        Use split_events and ``one`` to find out which.
        """
        text = raw.removeprefix(_BYTE_ORDER_MARK)
        if text.lstrip()[:1] != b"[":
            return [self.one(raw)]
        _bounded(raw, MAX_EVENT_BYTES, "events")
        try:
            events: list[_Event] = self._several.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
            raise UnreadableMessage(f"not events: {cause}", raw) from cause
        return events

    def one(self, raw: bytes) -> _Event:
        """Decode one event; raises UnreadableMessage or OversizedMessage."""
        _bounded(raw, MAX_EVENT_BYTES, "event")
        try:
            return self._one.decode(raw.removeprefix(_BYTE_ORDER_MARK))
        except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
            raise UnreadableMessage(f"not an event: {cause}", raw) from cause


EVENTS, RAW_EVENTS = EventReader(Event), EventReader(RawEvent)
decode_event, decode_events = EVENTS.one, EVENTS.all


@lru_cache(maxsize=10_000)
def as_uuid(text: str) -> UUID:
    """An id as databases take it; cached, because several versions report on an order in short
    succession. Raises ValueError."""
    return UUID(text)


def utc_now() -> datetime:
    return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """The contract's format of a time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _check_instant(at: datetime) -> None:
    if not EARLIEST <= at <= LATEST:
        raise ValueError(f"a time from {EARLIEST.year} to {LATEST.year} is wanted, not {at}")


def _money(value: Decimal) -> Decimal:
    """Money normalized to the contract's format; raises ValueError."""
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
