"""Properties that no client should send end no connection; the shim for them is still needed."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from importlib.metadata import version

import pytest
from pamqp import decode

from kitchen_worker.amqp.compat import tolerate_undecodable_properties

tolerate_undecodable_properties()


def _short(raw: bytes) -> bytes:
    return bytes([len(raw)]) + raw


def _table(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


def _lists(depth: int) -> bytes:
    return b"".join(b"A" + struct.pack(">I", 5 * left) for left in range(depth, -1, -1))


UNREADABLE = {
    "a name that is not UTF-8": _short(b"\xff") + b"S" + struct.pack(">I", 1) + b"x",
    "an unknown type": _short(b"what") + b"?" + b"x",
    "a length too far": b"\xff",
    "lists in lists, too deep": _short(b"deep") + _lists(2000),
}


def test_the_shim_was_checked_with_this_pamqp_and_is_still_needed() -> None:
    assert version("pamqp").startswith("4.0.")
    with pytest.raises(UnicodeDecodeError):
        decode.short_str(_short(b"\xff"))
    with pytest.raises(ValueError, match="year"):
        decode.timestamp(b"\xff" * 8)
    for raw in UNREADABLE.values():
        with pytest.raises((ValueError, RecursionError)):
            decode.field_table(_table(raw))


def test_a_short_text_that_is_not_utf8_is_read_and_grows_no_longer() -> None:
    raw = _short(b"order-" + b"\xff" * 240)
    consumed, text = decode.by_type(raw + b"rest", "shortstr")
    assert consumed == len(raw)
    assert text == "order-" + "?" * 240


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
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
