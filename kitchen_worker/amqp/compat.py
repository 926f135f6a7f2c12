"""Shim: properties and headers that pamqp cannot decode do not end the connection.

RabbitMQ passes on short strings (a message id, a routing key, a header's name) that are not UTF-8,
timestamps that no calendar has, and tables nested too deep. pamqp raises on them, aiormq closes the
connection, and the broker delivers the message again: one such message would stop every reader of
its queue. There is no documented way round it. Here such a value is replaced by a readable one, and
the message takes its normal way.

Upstream: https://github.com/gmr/pamqp/pull/40 (decodes long strings that are not UTF-8, nothing
else) and https://github.com/mosquito/aiormq/issues/186 (timestamps; open). Checked with pamqp 4.0:
``tests/test_compat.py`` fails when pamqp is another one, or decodes these values itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pamqp import decode


def tolerate_undecodable_properties() -> None:
    """Replace three decoders of pamqp in this process; idempotent."""
    decode.METHODS["shortstr"] = _short_str
    decode.METHODS["timestamp"] = decode.TABLE_MAPPING[b"T"] = _timestamp
    decode.METHODS["table"] = _field_table


def _short_str(value: bytes) -> tuple[int, str]:
    try:
        return decode.short_str(value)
    except UnicodeDecodeError:
        end = value[0] + 1
        # A question mark takes one byte, so that the string can be written again.
        return end, value[1:end].decode("utf-8", "replace").replace("\ufffd", "?")


def _timestamp(value: bytes) -> tuple[int, datetime]:
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, datetime.fromtimestamp(0, UTC)


def _field_table(value: bytes) -> tuple[int, dict[str, Any]]:
    try:
        return decode.field_table(value)
    except (ValueError, RecursionError):
        return 4 + int.from_bytes(value[:4], "big"), {}
