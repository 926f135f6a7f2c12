"""Properties that no client should send end no connection."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest
from pamqp import decode

from kitchen_worker.amqp.compat import survive_wild_properties

survive_wild_properties()


def _short(raw: bytes) -> bytes:
    return bytes([len(raw)]) + raw


def _table(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


def test_a_short_text_that_is_not_utf8_is_read_and_grows_no_longer() -> None:
    raw = _short(b"order-" + b"\xff" * 240)
    consumed, text = decode.by_type(raw + b"rest", "shortstr")
    assert consumed == len(raw)
    assert text == "order-" + "?" * 240


@pytest.mark.parametrize(
    "raw",
    [
        _short(b"\xff") + b"S" + struct.pack(">I", 1) + b"x",
        _short(b"what") + b"?" + b"x",
        b"\xff",
    ],
    ids=["a name that is not UTF-8", "an unknown type", "a length too far"],
)
def test_a_table_that_cannot_be_read_is_empty_and_what_follows_is_found(raw: bytes) -> None:
    consumed, table = decode.by_type(_table(raw) + b"rest", "table")
    assert (consumed, table) == (len(raw) + 4, {})


def test_a_time_that_no_calendar_has_is_read() -> None:
    assert decode.by_type(b"\xff" * 8, "timestamp") == (8, datetime.fromtimestamp(0, UTC))
    inner = _short(b"t") + b"T" + b"\xff" * 8
    _, table = decode.by_type(_table(inner), "table")
    assert table == {"t": datetime.fromtimestamp(0, UTC)}


def test_what_can_be_read_reads_as_before() -> None:
    inner = _short("größe".encode()) + b"S" + struct.pack(">I", 2) + b"xl"
    assert decode.by_type(_table(inner), "table") == (len(inner) + 4, {"größe": "xl"})
    assert decode.by_type(_short("é".encode()), "shortstr") == (3, "é")
