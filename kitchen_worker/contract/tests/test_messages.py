"""Messages: what is written can be read, and nothing else ends in anything but MessageError."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.amqp.decoding import decode_deliveries
from kitchen_worker.amqp.tests.making import an_event, an_item, an_order, decode_events
from kitchen_worker.contract.messages import (
    EARLIEST,
    EVENTS,
    LATEST,
    MAX_DEPTH,
    MAX_EVENT_BYTES,
    MAX_EVENTS,
    MAX_ORDER_BYTES,
    RAW_EVENTS,
    Event,
    EventKind,
    EventReader,
    Failure,
    MessageError,
    OversizedMessage,
    UnreadableMessage,
    decode_event,
    decode_order,
    encode_event,
    encode_order,
    join_events,
    names_in,
    split_events,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
moments = st.datetimes(
    min_value=EARLIEST.replace(tzinfo=None),
    max_value=LATEST.replace(tzinfo=None),
    timezones=st.just(UTC),
)
money = st.decimals(min_value=0, max_value=10**9 - 1, places=2, allow_nan=False)
durations = st.floats(min_value=0, max_value=1e12)
items = st.builds(
    an_item,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100),
    st.integers(1, 10_000),
    title=texts,
    preparation_time=st.integers(0, 100_000),
    unit_price=money,
)
orders = st.lists(items, min_size=1, max_size=6).flatmap(
    lambda lines: st.builds(
        lambda **fields: an_order(*lines, **fields),
        note=texts,
        number=st.integers(0, 2**63 - 1),
        placed_at=moments,
        total_price=money,
    )
)
documents = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=5,
)
events = st.one_of(
    st.builds(an_event, st.just(EventKind.RECEIVED), received_at=moments),
    st.builds(
        an_event,
        st.just(EventKind.HANDLED),
        result=documents,
        received_at=moments,
        handling_ms=durations,
        queue_ms=st.none() | durations,
        launch=st.none(),
    ),
    st.builds(
        an_event,
        st.just(EventKind.FAILED),
        error=st.builds(Failure, type=texts, message=texts),
        finished_at=moments,
    ),
)


@given(orders)
def test_an_order_that_was_written_reads_the_same(order: Any) -> None:
    assert decode_order(encode_order(order)) == order


@given(st.lists(events, min_size=1, max_size=5))
def test_events_that_were_written_read_the_same_alone_and_together(told: list[Any]) -> None:
    assert list(decode_events(join_events([encode_event(event) for event in told]))) == told


def _broken(document: Any, draw: Callable[..., Any]) -> Any:
    """The document with one of its fields gone, or something else."""
    changed = json.loads(json.dumps(document))
    key = draw(st.sampled_from(sorted(changed)))
    if draw(st.booleans()):
        del changed[key]
    else:
        changed[key] = draw(
            st.none() | st.floats() | st.integers() | texts | documents | st.lists(documents)
        )
    return changed


def _refusal(read: Callable[[bytes], object], raw: bytes) -> MessageError | None:
    try:
        read(raw)
    except MessageError as refused:
        return refused
    return None


@given(st.data())
def test_a_document_with_a_wild_field_reads_or_is_a_message_error(data: st.DataObject) -> None:
    for written, read in (
        (encode_order(an_order()), decode_order),
        (encode_event(an_event()), decode_events),
    ):
        raw = json.dumps(_broken(json.loads(written), data.draw)).encode()
        refused = _refusal(read, raw)
        assert refused is None or (refused.raw == raw and refused.reason)


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: json.dumps(text).encode()))
def test_wild_bytes_are_a_message_error_that_keeps_them(raw: bytes) -> None:
    for read in (decode_order, decode_events):
        with pytest.raises(MessageError) as caught:
            read(raw)
        # What is parted into events is kept in parts.
        assert caught.value.raw == raw or (raw.strip()[:1] == b"[" and caught.value.raw in raw)


def _without(document: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != key}


ORDER: dict[str, Any] = json.loads(encode_order(an_order()))
ITEM: dict[str, Any] = ORDER["items"][0]

BAD_ORDERS: dict[str, Any] = {
    "an array": [ORDER],
    "no id": _without(ORDER, "id"),
    "an id that is none": {**ORDER, "id": "1042"},
    "a day that is none": {**ORDER, "placed_at": "yesterday"},
    "a time without a zone": {**ORDER, "placed_at": "2026-11-23T10:00:00"},
    "no items": {**ORDER, "items": []},
    "items that are none": {**ORDER, "items": "burger"},
    "an item without a name": {**ORDER, "items": [_without(ITEM, "name")]},
    "an item with an empty name": {**ORDER, "items": [{**ITEM, "name": ""}]},
    "nothing of an item": {**ORDER, "items": [{**ITEM, "quantity": 0}]},
    "half an item": {**ORDER, "items": [{**ITEM, "quantity": 0.5}]},
    "time that runs back": {**ORDER, "items": [{**ITEM, "preparation_time": -1}]},
    "a price that is none": {**ORDER, "items": [{**ITEM, "unit_price": "cheap"}]},
    "a price that is not a number": {**ORDER, "items": [{**ITEM, "unit_price": "NaN"}]},
    "a price below nothing": {**ORDER, "items": [{**ITEM, "unit_price": "-0.01"}]},
    "a price without an end": {**ORDER, "total_price": "1e999999"},
    "a price too fine": {**ORDER, "total_price": "0.0000001"},
    "a long note": {**ORDER, "note": "n" * 2001},
}


@pytest.mark.parametrize("what", BAD_ORDERS)
def test_a_bad_order_is_unreadable_with_a_reason(what: str) -> None:
    with pytest.raises(UnreadableMessage, match=r"not an order: .+"):
        decode_order(json.dumps(BAD_ORDERS[what]).encode())


EVENT: dict[str, Any] = json.loads(encode_event(an_event()))
FAILED: dict[str, Any] = json.loads(
    encode_event(an_event(EventKind.FAILED, error=Failure(type="ValueError", message="no")))
)
RECEIVED: dict[str, Any] = json.loads(encode_event(an_event(EventKind.RECEIVED)))

BAD_EVENTS: dict[str, Any] = {
    "no order": _without(EVENT, "order_id"),
    "an unknown kind": {**EVENT, "kind": "burnt"},
    "an unknown role": {**EVENT, "role": "chef"},
    "a version of capitals": {**EVENT, "version": "VNext"},
    "a version with a dot": {**EVENT, "version": "v.next"},
    "a launch that is none": {**EVENT, "launch": "first"},
    "handled without a result": {**EVENT, "result": None},
    "a result that is no object": {**EVENT, "result": [1]},
    "handled with an error": {**EVENT, "error": {"type": "E", "message": "m"}},
    "handled without a time": {**EVENT, "handling_ms": None},
    "handled without an end": {**EVENT, "finished_at": None},
    "time that runs back": {**EVENT, "handling_ms": -1},
    "failed without an error": {**FAILED, "error": None},
    "failed with a result": {**FAILED, "result": {}},
    "received with a result": {**RECEIVED, "result": {}},
    "received at no time": _without(RECEIVED, "received_at"),
    "delivery 0": {**EVENT, "delivery": 0},
}


@pytest.mark.parametrize("what", BAD_EVENTS)
def test_a_bad_event_is_unreadable_alone_and_among_good_ones(what: str) -> None:
    for document in (BAD_EVENTS[what], [EVENT, BAD_EVENTS[what]]):
        with pytest.raises(UnreadableMessage, match=r"not an event: .+"):
            decode_events(json.dumps(document).encode())


@pytest.mark.parametrize("what", BAD_EVENTS)
def test_a_bad_event_is_unreadable_also_where_its_result_is_kept_as_it_was_written(
    what: str,
) -> None:
    with pytest.raises(UnreadableMessage, match=r"not an event: .+"):
        RAW_EVENTS.one(json.dumps(BAD_EVENTS[what]).encode())


@given(st.lists(events, min_size=1, max_size=5))
def test_both_forms_of_an_event_say_the_same(told: list[Event]) -> None:
    body = join_events([encode_event(event) for event in told])
    for event, raw in zip(EVENTS.all(body), RAW_EVENTS.all(body), strict=True):
        result = msgspec.json.decode(raw.result_json) if raw.result_json else None
        assert result == event.result
        for field in set(Event.__struct_fields__) - {"result"}:
            assert getattr(raw, field) == getattr(event, field)


def test_a_result_is_kept_as_it_was_written_and_does_not_keep_its_message() -> None:
    written = b'{ "price" : 1.10, "cook": "\\u0045si", "cook": "Mo" }'
    body = encode_event(an_event(result={"@": 1})).replace(b'{"@":1}', written)
    event = RAW_EVENTS.one(body)
    assert event.result_json == written
    assert type(event.result_json) is bytes
    assert EVENTS.one(body).result == {"price": 1.1, "cook": "Mo"}


@pytest.mark.parametrize(
    "written",
    [
        b'{"a": "\xff"}', b'{"a": "\\ud800"}', b'{"a": "\\udc00"}', b'{"a": NaN}', b'{"a": 1e999}',
        b'{"a": }', b"{'a': 1}", b'{"a": 1', b"[1]", b'"text"', b"7", b"null",
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    ],
    ids=lambda written: repr(written[:12]),
)  # fmt: skip
@pytest.mark.parametrize("reader", [EVENTS, RAW_EVENTS], ids=["read", "raw"])
def test_a_result_that_cannot_be_shown_is_refused(reader: EventReader[Any], written: bytes) -> None:
    body = encode_event(an_event(result={"@": 1})).replace(b'{"@":1}', written)
    with pytest.raises(UnreadableMessage, match=r"not an event: .+"):
        reader.one(body)
    with pytest.raises(UnreadableMessage):
        reader.all(b"[" + body + b"]")


@pytest.mark.parametrize("field", ["order_id", "launch", "version"])
def test_an_id_or_a_version_with_a_newline_at_its_end_is_none(field: str) -> None:
    event = {**EVENT, "launch": EVENT["order_id"]}
    assert decode_events(json.dumps(event).encode())
    with pytest.raises(UnreadableMessage, match=rf"regex.*\.{field}"):
        decode_events(json.dumps({**event, field: event[field] + "\n"}).encode())


def test_fields_that_nobody_knows_are_ignored() -> None:
    assert decode_order(json.dumps({**ORDER, "table": 7}).encode()) == decode_order(
        json.dumps(ORDER).encode()
    )


@pytest.mark.parametrize(
    "written", ["-0.0", "-0", "1e3", "1E-2", "+1", " 1", "1 ", "1\n", ".5", "5.", "\u0661", 7, 7.5]
)
def test_money_in_another_format_than_the_contracts_is_refused(written: Any) -> None:
    item = {**ITEM, "unit_price": written}
    for order in ({**ORDER, "total_price": written}, {**ORDER, "items": [ITEM, item]}):
        with pytest.raises(UnreadableMessage, match=r"not an order: .*(total|unit)_price"):
            decode_order(json.dumps(order).encode())


@pytest.mark.parametrize(
    ("money_", "written"),
    [("-0.0", "0.0"), ("1E+3", "1000"), ("0E-6", "0.000000"), ("1E-6", "0.000001")],
)
def test_money_is_written_without_a_sign_and_without_an_exponent(money_: str, written: str) -> None:
    order = an_order(an_item(unit_price=Decimal(money_)), total_price=Decimal(money_))
    found = json.loads(encode_order(order))
    assert (found["total_price"], found["items"][0]["unit_price"]) == (written, written)
    assert decode_order(encode_order(order)) == order


@pytest.mark.parametrize("money_", ["-0.01", "1E+9", "1E-7", "NaN", "Infinity"])
def test_an_order_with_money_out_of_bounds_cannot_be_made(money_: str) -> None:
    with pytest.raises(ValueError, match="money is from 0"):
        an_order(total_price=Decimal(money_))


def test_money_is_written_as_an_exact_decimal_string() -> None:
    order = an_order(an_item(unit_price=Decimal("4.35"), quantity=3))
    assert json.loads(encode_order(order))["total_price"] == "13.05"


def test_an_order_above_the_size_is_refused_by_both_sides() -> None:
    large = an_order(*[an_item("x" * 100) for _ in range(1000)])
    with pytest.raises(OversizedMessage):
        encode_order(large)
    with pytest.raises(OversizedMessage):
        decode_order(b" " * (MAX_ORDER_BYTES + 1))


def test_one_event_above_the_size_is_refused_by_both_sides() -> None:
    large = an_event(result={"soup": "x" * MAX_EVENT_BYTES})
    with pytest.raises(OversizedMessage):
        encode_event(large)
    with pytest.raises(OversizedMessage):
        decode_events(b"{" + b" " * MAX_EVENT_BYTES)


def test_more_events_than_allowed_in_one_message_are_unreadable() -> None:
    one = encode_event(an_event(EventKind.RECEIVED))
    with pytest.raises(UnreadableMessage):
        decode_events(b"[" + b",".join([one] * (MAX_EVENTS + 1)) + b"]")


def test_a_bottomless_document_is_a_message_error() -> None:
    for read in (decode_order, decode_events):
        with pytest.raises(MessageError):
            read(b'{"id": ' + b"[" * 30_000)


@pytest.mark.parametrize(
    "far", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "1999-12-31T23:59:59Z"]
)
def test_a_time_that_no_clock_shows_is_refused(far: str) -> None:
    event = encode_event(an_event()).decode()
    received_at = json.loads(event)["received_at"]
    with pytest.raises(UnreadableMessage, match="a time from 2000 to 2200 is wanted"):
        decode_events(event.replace(received_at, far).encode())


def _as_written(event: Any, old: str, new: bytes) -> bytes:
    raw = encode_event(event)
    assert old.encode() in raw
    return raw.replace(old.encode(), new)


#: Events that cannot be read, each in a way that is no JSON, or none of every reader.
BROKEN: dict[str, Callable[[Any], bytes]] = {
    "NaN": lambda event: _as_written(event, '"Esi"', b"NaN"),
    "an infinity": lambda event: _as_written(event, '"Esi"', b"[1, -Infinity]"),
    "half a surrogate pair": lambda event: _as_written(event, "Esi", rb"\ud800, [\""),
    "what is not UTF-8": lambda event: _as_written(event, "Esi", b"\xff], {"),
    "a number that is none": lambda event: _as_written(event, '"Esi"', b"01"),
    "a comma too many": lambda event: _as_written(event, '"Esi"', b'"Esi",,{}'),
    "brackets that do not match": lambda event: _as_written(event, '"Esi"', b"[1}"),
    "a bracket too many": lambda event: encode_event(event) + b"}",
    "a result that is too deep": lambda event: _as_written(
        event, '"Esi"', b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    ),
    "no version": lambda event: _as_written(event, '"vnext"', b"null"),
    "something else": lambda event: b"42",
}
UNHARMED: dict[str, Callable[[Any], bytes]] = {
    "as written": encode_event,
    "behind a byte-order mark": lambda event: b"\xef\xbb\xbf" + encode_event(event),
    "among blanks": lambda event: b" \n" + encode_event(event) + b"\r\n ",
    "with wild text": lambda event: _as_written(event, "Esi", rb"\\\", ]}, [{"),
}


@given(
    st.lists(st.sampled_from([*BROKEN, *UNHARMED]), min_size=1, max_size=12),
    st.sampled_from([b"", b"\xef\xbb\xbf", b" \n"]),
)
def test_of_any_mix_of_events_only_those_that_are_broken_are_lost(
    ways: list[str], before: bytes
) -> None:
    told = [(way, an_event()) for way in ways]
    pieces = [(BROKEN | UNHARMED)[way](event) for way, event in told]
    body = before + b"[" + b",".join(pieces) + b"]"
    delivery = Delivery(tag=1, queue="dashboard.stream", body=body, routing_key="candidate.vnext")
    heard, refused = decode_deliveries([delivery])
    assert [one.event.event_id for one in heard] == [
        event.event_id for way, event in told if way in UNHARMED
    ]
    broken = [event for way, event in told if way in BROKEN]
    assert len(refused) == len(broken)
    for one, event in zip(refused, broken, strict=True):
        assert one.reason.startswith("not an event: ")
        if one.body != b"42":
            assert names_in(one.body) == (
                "" if b'"version":null' in one.body else "vnext",
                event.order_id,
            )


@pytest.mark.parametrize("way", BROKEN)
def test_99_good_events_survive_a_broken_one(way: str) -> None:
    good = [encode_event(an_event()) for _ in range(99)]
    body = join_events([*good[:50], BROKEN[way](an_event()), *good[50:]])
    delivery = Delivery(tag=1, queue="q", body=body, routing_key="candidate.vnext")
    heard, refused = decode_deliveries([delivery])
    assert (len(heard), len(refused)) == (99, 1)


def test_a_message_that_was_cut_off_loses_the_event_that_was_cut() -> None:
    good = [encode_event(an_event()) for _ in range(3)]
    pieces = split_events(join_events(good)[:-100])
    assert pieces[:2] == good[:2]
    assert len(pieces) == 3


@pytest.mark.parametrize("body", [b"[]", b"[ ]", b"\xef\xbb\xbf[]"])
def test_a_message_of_no_events_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableMessage, match="from 1 to 500"):
        split_events(body)


def test_names_are_read_from_an_events_own_fields_alone() -> None:
    other = {"version": "vother", "order_id": "00000000-0000-0000-0000-000000000000"}
    raw = b'{"result": %s, "order_id": "x", "version": "vnext", "version": "v2"}' % (
        json.dumps(other).encode()
    )
    assert names_in(raw) == ("vnext", "")
    assert names_in(encode_order(an_order(id=other["order_id"]))) == ("", other["order_id"])


def test_the_events_of_a_message_are_split_without_reading_them() -> None:
    good = encode_event(an_event())
    pieces = split_events(join_events([good, b'{"kind": "burnt"}', good]))
    assert pieces == [good, b'{"kind": "burnt"}', good]
    with pytest.raises(UnreadableMessage, match="not an event"):
        decode_event(pieces[1])
    with pytest.raises(OversizedMessage):
        decode_event(b" " * (MAX_EVENT_BYTES + 1))
