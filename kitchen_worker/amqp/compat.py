"""Makes the AMQP codec survive properties and headers that no client should send, but any can.

RabbitMQ passes on a message id, a routing key or a header's name that is not UTF-8, and times that
no calendar has. pamqp raises on them, the client ends its connection, the broker delivers the
message again: one such message would stop every reader of a queue for ever. Here what cannot be
read becomes something readable of the same length or less, and the message goes its normal way.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pamqp import decode


def survive_wild_properties() -> None:
    """Teach pamqp, for this process; to do it twice is to do it once."""
    decode.METHODS["shortstr"] = _short_str
    decode.METHODS["timestamp"] = decode.TABLE_MAPPING[b"T"] = _timestamp
    decode.METHODS["table"] = _field_table


def _short_str(value: bytes) -> tuple[int, str]:
    try:
        return decode.short_str(value)
    except UnicodeDecodeError:
        end = value[0] + 1
        return end, value[1:end].decode("utf-8", "replace").replace("\ufffd", "?")


def _timestamp(value: bytes) -> tuple[int, datetime]:
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, datetime.fromtimestamp(0, UTC)


def _field_table(value: bytes) -> tuple[int, dict[str, Any]]:
    try:
        return decode.field_table(value)
    except (ValueError, OverflowError, OSError, RecursionError, KeyError):
        return 4 + int.from_bytes(value[:4], "big"), {}
