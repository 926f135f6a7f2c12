"""The frames that one message is made of, read and written as bytes.

The library makes an object of each frame and of each of its fields, which together cost more than
all else that a message does. Here are the few frames that every message needs, and no others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from pamqp import commands, decode, encode
from pamqp.frame import marshal

from kitchen_worker.amqp.broker import Outgoing
from kitchen_worker.amqp.compat import survive_wild_properties

survive_wild_properties()

#: Kinds of frames.
METHOD, HEADER, BODY = 1, 2, 3
#: Every frame begins with its kind, its channel and the length of its payload ...
START = struct.Struct(">BHI")
#: ... and ends with one octet.
END = 0xCE
_END = bytes([END])

#: The methods of messages, as a method's payload begins with them.
RETURN, DELIVER, ACK, NACK = (
    method.index.to_bytes(4, "big")
    for method in (
        commands.Basic.Return,
        commands.Basic.Deliver,
        commands.Basic.Ack,
        commands.Basic.Nack,
    )
)

_TAG_AND_FLAG = struct.Struct(">QB")
_CONTENT = struct.Struct(">HHQH")

#: Which properties a header has, in the order in which they follow.
_CONTENT_TYPE, _ENCODING, _HEADERS, _MODE, _PRIORITY, _CORRELATION, _REPLY_TO, _EXPIRATION = (
    1 << bit for bit in range(15, 7, -1)
)
_MESSAGE_ID, _TYPE = 1 << 7, 1 << 5
_MORE_FLAGS = 1

_PERSISTENT = 2
#: A table of headers longer than this is read anew each time; like ones are mostly short.
_REMEMBERED_BYTES = 1024


class Delivered(NamedTuple):
    """What Basic.Deliver says of the message that follows it."""

    tag: int
    redelivered: bool
    routing_key: str


class Content(NamedTuple):
    """What a content header says of the body that follows it."""

    size: int
    headers: Mapping[str, Any]
    message_id: str | None


class Confirmed(NamedTuple):
    """What Basic.Ack and Basic.Nack say: of one message, or of all up to it."""

    tag: int
    several: bool


class Returned(NamedTuple):
    """What Basic.Return says of the message that follows it: why it came back, and from where."""

    reason: str
    exchange: str
    routing_key: str


class Parcel:
    """What follows a method that brings a message: a header, and the body in pieces."""

    __slots__ = ("_missing", "_pieces", "content")

    content: Content

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._missing = 0

    def add(self, kind: int, payload: bytes) -> bool:
        """Add the next frame; says whether it was the last."""
        if kind == HEADER:
            self.content = read_content(payload)
            self._missing = self.content.size
        else:
            self._pieces.append(payload)
            self._missing -= len(payload)
        return self._missing <= 0

    @property
    def body(self) -> bytes:
        """The whole body."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


def read_deliver(payload: bytes) -> Delivered:
    """Read Basic.Deliver."""
    at = 5 + payload[4]
    tag, redelivered = _TAG_AND_FLAG.unpack_from(payload, at)
    at += _TAG_AND_FLAG.size
    return Delivered(tag, bool(redelivered), _text(payload, at + 1 + payload[at]))


def read_confirm(payload: bytes) -> Confirmed:
    """Read Basic.Ack, and what Basic.Nack says alike."""
    tag, flags = _TAG_AND_FLAG.unpack_from(payload, 4)
    return Confirmed(tag, bool(flags & 1))


def read_return(payload: bytes) -> Returned:
    """Read Basic.Return."""
    code, at = int.from_bytes(payload[4:6], "big"), 6
    texts = []
    for _ in range(3):
        texts.append(_text(payload, at))
        at += 1 + payload[at]
    text, exchange, routing_key = texts
    return Returned(f"{code} {text}", exchange, routing_key)


def read_content(payload: bytes) -> Content:
    """Read a content header; properties that cannot be read are taken for absent.

    The broker passes on whatever properties a client sends. To raise on them would end the session
    of every reader of the queue, again and again.
    """
    _, _, size, flags = _CONTENT.unpack_from(payload)
    try:
        return Content(size, *_properties(payload, flags))
    except (IndexError, struct.error, ValueError):
        return Content(size, _NO_HEADERS, None)


def write_message(outgoing: Outgoing, message_id: str, *, channel: int, most: int) -> bytes:
    """All frames of a message; none holds more than ``most`` bytes of its body."""
    body = outgoing.body
    flags, before_id, after_id = _about(
        outgoing.type, outgoing.persistent, _written_table(outgoing.headers)
    )
    name = message_id.encode()
    header = b"%b%b%c%b%b" % (
        _CONTENT.pack(commands.Basic.frame_id, 0, len(body), flags),
        before_id,
        len(name),
        name,
        after_id,
    )
    return b"".join(
        (
            _publish(outgoing.exchange, outgoing.routing_key, outgoing.mandatory, channel),
            _frame(HEADER, channel, header),
            *(_frame(BODY, channel, piece) for piece in _pieces(body, most)),
        )
    )


def write_ack(tag: int, *, several: bool, channel: int) -> bytes:
    """Basic.Ack of one delivery, or of all up to it."""
    return _frame(METHOD, channel, ACK + _TAG_AND_FLAG.pack(tag, several))


def _properties(payload: bytes, flags: int) -> tuple[Mapping[str, Any], str | None]:
    """The headers and the message id; what lies between is passed over."""
    at, more, headers = _CONTENT.size, flags, _NO_HEADERS
    while more & _MORE_FLAGS:
        more = int.from_bytes(payload[at : at + 2], "big")
        at += 2
    for property_ in (_CONTENT_TYPE, _ENCODING):
        if flags & property_:
            at += 1 + payload[at]
    if flags & _HEADERS:
        end = at + 4 + int.from_bytes(payload[at : at + 4], "big")
        headers, at = _table(payload[at:end]), end
    at += bool(flags & _MODE) + bool(flags & _PRIORITY)
    for property_ in (_CORRELATION, _REPLY_TO, _EXPIRATION):
        if flags & property_:
            at += 1 + payload[at]
    return headers, _text(payload, at) if flags & _MESSAGE_ID else None


def _text(payload: bytes, at: int) -> str:
    """A short text; what is not UTF-8 in it becomes question marks, and no longer than it was."""
    end = at + 1 + payload[at]
    return payload[at + 1 : end].decode("utf-8", "replace").replace("\ufffd", "?")


def _table(raw: bytes) -> Mapping[str, Any]:
    return _remembered_table(raw) if len(raw) <= _REMEMBERED_BYTES else _read_table(raw)


def _read_table(raw: bytes) -> Mapping[str, Any]:
    _, table = decode.by_type(raw, "table")
    return MappingProxyType(cast(dict[str, Any], table))


_remembered_table = lru_cache(maxsize=256)(_read_table)
_NO_HEADERS: Mapping[str, Any] = MappingProxyType({})


def _written_table(headers: Mapping[str, Any]) -> bytes:
    if all(type(value) is str for value in headers.values()):
        return _text_table(tuple(headers.items()))
    return encode.field_table(dict(headers))


@lru_cache(maxsize=256)
def _text_table(headers: tuple[tuple[str, str], ...]) -> bytes:
    return encode.field_table(dict(headers)) if headers else b""


@lru_cache(maxsize=256)
def _about(kind: str | None, persistent: bool, table: bytes) -> tuple[int, bytes, bytes]:
    """A header's flags, and its properties before and after the message id."""
    flags, before, after = _CONTENT_TYPE | _MESSAGE_ID, _short("application/json"), b""
    if table:
        flags, before = flags | _HEADERS, before + table
    if persistent:
        flags, before = flags | _MODE, before + bytes([_PERSISTENT])
    if kind:
        flags, after = flags | _TYPE, _short(kind)
    return flags, before, after


def _short(text: str) -> bytes:
    raw = text.encode()
    return bytes([len(raw)]) + raw


@lru_cache(maxsize=256)
def _publish(exchange: str, routing_key: str, mandatory: bool, channel: int) -> bytes:
    frame = commands.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return marshal(frame, channel)


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return b"%b%b%b" % (START.pack(kind, channel, len(payload)), payload, _END)


def _pieces(body: bytes, most: int) -> Iterator[bytes]:
    return (body[start : start + most] for start in range(0, len(body), most))
