"""The stream is read: orders and events by their exchange, and nothing forged or broken."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.comparison.outcome import State
from dashboard.fold.admission import EventMessage, OrderMessage
from dashboard.ingest.stream import (
    MAX_ID,
    OVERRUNS,
    DecodedBatch,
    Describer,
    as_dead_letter,
    decode_batch,
)
from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.amqp.tests.making import LAUNCH, an_event, an_item, an_order
from kitchen_worker.amqp.tests.waiting import DEADLINE_S
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import (
    MAX_ORDER_BYTES,
    EventKind,
    Failure,
    Role,
    encode_event,
    encode_order,
    join_events,
    rfc3339,
)
from restaurant.description import Description, DescriptionFunction, describe
from restaurant.environment import DEFAULT_DESCRIPTION

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SENT_AT = AT - timedelta(seconds=2)
RELAY, OTHER_LAUNCH = "0" * 32, "0e1b8f3a-6f0c-4c7e-9b1d-0c5f6f1f2a3c"
OWN = Describer(DescriptionFunction(DEFAULT_DESCRIPTION))
ORDER = an_order(an_item(quantity=2), an_item("soup"), note="")


def an_order_message(order: Any = ORDER, **changes: Any) -> Delivery:
    headers = {
        topology.LAUNCH_HEADER: LAUNCH,
        topology.SENT_AT_HEADER: rfc3339(SENT_AT),
        topology.RELAY_HEADER: RELAY,
        topology.SEQ_HEADER: "1",
        topology.dark_header("vnext"): "1",
    }
    fields: dict[str, Any] = {
        "tag": 1,
        "queue": topology.STREAM_QUEUE,
        "exchange": topology.ORDERS,
        "routing_key": "vlatest",
        "body": encode_order(order),
        "message_id": order.id,
        "headers": headers,
    }
    return Delivery(**{**fields, **changes})


def with_headers(**changes: Any) -> Delivery:
    one = an_order_message()
    return an_order_message(headers={**one.headers, **changes})


def said(*events: Any, exchange: str = topology.KITCHEN_EVENTS, **changes: Any) -> Delivery:
    return Delivery(
        tag=2,
        queue=topology.STREAM_QUEUE,
        exchange=exchange,
        routing_key="candidate.vnext",
        body=join_events([encode_event(one) for one in events]),
        **changes,
    )


def found_in(*deliveries: Delivery) -> DecodedBatch:
    return decode_batch(deliveries, OWN, AT)


def test_an_order_message_says_all_that_is_kept_of_an_order() -> None:
    [message] = found_in(an_order_message()).orders
    assert message.launch == UUID(LAUNCH)
    order = message.record
    assert (order.order_id, order.launch) == (ORDER.id, UUID(LAUNCH))
    assert (order.arrived_at, order.sent_at, order.placed_at) == (AT, SENT_AT, ORDER.placed_at)
    assert (order.number, order.body) == (ORDER.number, encode_order(ORDER))
    assert (order.label, order.size) == ("2 burger, soup", 3)
    assert order.categories == ("note:no", "item:burger", "item:soup")
    assert order.sample == {"vnext"}


def test_an_event_says_all_that_is_kept_of_it_and_its_result_as_it_was_written() -> None:
    handled = an_event(result={"minutes": 5.5}, worker="w\x00", build="b1", delivery=3)
    failed = an_event(EventKind.FAILED, error=Failure(type="Burnt", message="so\x00 black"))
    found = found_in(said(handled, failed))
    first, second = found.events
    assert (first.launch, first.role) == (UUID(LAUNCH), Role.CANDIDATE)
    assert (first.report.state, first.report.result) == (State.HANDLED, b'{"minutes":5.5}')
    assert (first.report.worker, first.report.build, first.report.delivery) == ("w\ufffd", "b1", 3)
    assert (second.report.state, second.report.result) == (State.FAILED, b"")
    assert (second.report.error_type, second.report.error_message) == ("Burnt", "so\ufffd black")
    assert found.refused == []


def test_what_is_refused_later_is_put_aside_as_it_came() -> None:
    events = [an_event(result={"minutes": 5.50}), an_event()]
    order, delivery = an_order_message(), said(*events)
    found = found_in(order, delivery)
    messages: list[OrderMessage | EventMessage] = [*found.orders, *found.events]
    bodies = [order.body, *map(encode_event, events)]
    assert [(one.delivery, one.body, one.reason) for one in found.all_refused("no")] == [
        (source, body, "no")
        for source, body in zip([order, delivery, delivery], bodies, strict=True)
    ]
    assert [found.refused_as(one, "no").body for one in messages] == bodies


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 12))
def test_a_batch_in_parts_is_the_batch(orders: int, events: int, at_most: int) -> None:
    placed = [an_order_message(message_id=f"A-{number}") for number in range(orders)]
    found = found_in(*placed, *(said(an_event()) for _ in range(events)))
    parts = list(found.parts(at_most))
    assert [one for part in parts for one in part.orders] == found.orders
    assert [one for part in parts for one in part.events] == found.events
    assert all(part.size <= at_most for part in parts)
    assert [part.numbers for part in parts] == [found.numbers, *[{}] * (len(parts) - 1)]


@pytest.mark.parametrize("kind", EventKind)
def test_an_event_that_waited_in_the_database_is_put_aside_as_an_event(kind: EventKind) -> None:
    error = {"error": Failure(type="Burnt", message="black")} if kind is EventKind.FAILED else {}
    event = an_event(kind, build="b1", worker="w1", delivery=2, **error)
    [message] = found_in(said(event)).events
    refused = as_dead_letter(message, "no order came")
    assert (refused.delivery.queue, refused.delivery.routing_key, refused.reason) == (
        topology.STREAM_QUEUE,
        "candidate.vnext",
        "no order came",
    )
    again = msgspec.structs.replace(refused.delivery, exchange=topology.KITCHEN_EVENTS)
    assert found_in(again).events == [message]


@pytest.mark.parametrize("exchange", sorted(topology.ORDER_SOURCES))
def test_what_came_from_the_orders_is_an_order_whatever_it_looks_like(exchange: str) -> None:
    body = encode_event(an_event())
    found = found_in(an_order_message(exchange=exchange, body=body, routing_key="candidate.vnext"))
    assert [one.record.body for one in found.orders] == [body]
    assert (found.events, found.refused, found.undescribed) == ([], [], 1)


@pytest.mark.parametrize("exchange", sorted(topology.EVENT_SOURCES))
def test_what_came_from_the_kitchens_is_no_order_whatever_it_looks_like(exchange: str) -> None:
    found = found_in(an_order_message(exchange=exchange))
    assert (found.orders, found.events) == ([], [])
    [refused] = found.refused
    assert "not an event" in refused.reason


@pytest.mark.parametrize(
    "exchange",
    ["", topology.DASHBOARD_ORDERS, topology.ORDERS_DARK, topology.ORDERS_DEAD, "x" * 200],
)
@pytest.mark.parametrize("forged", [an_order_message(), said(an_event())], ids=["order", "event"])
def test_what_came_from_elsewhere_is_refused(exchange: str, forged: Delivery) -> None:
    delivery = Delivery(
        tag=forged.tag,
        queue=forged.queue,
        body=forged.body,
        exchange=exchange,
        routing_key=forged.routing_key,
        message_id=forged.message_id,
        headers=forged.headers,
    )
    found = found_in(delivery)
    assert (found.orders, found.events, found.numbers) == ([], [], {})
    [refused] = found.refused
    assert refused.body == forged.body
    assert refused.reason.startswith("nothing is taken from the exchange ")
    assert len(refused.reason) < 200


@pytest.mark.parametrize("order_id", ["1", "A-17", "é" * MAX_ID, "x" * MAX_ID, " "])
def test_an_orders_id_is_any_text_of_up_to_100_characters(order_id: str) -> None:
    [message] = found_in(an_order_message(message_id=order_id)).orders
    assert message.record.order_id == order_id


@pytest.mark.parametrize("order_id", [None, "", "x" * (MAX_ID + 1), "a\x00b", 7, b"x"])
def test_an_order_with_another_id_is_refused(order_id: Any) -> None:
    found = found_in(an_order_message(message_id=order_id))
    assert (found.orders, found.numbers) == ([], {})
    assert [one.reason for one in found.refused] == [
        "an order's id has from 1 to 100 characters, none of them NUL"
    ]


@pytest.mark.parametrize(
    "launch", ["", "first", LAUNCH.upper(), LAUNCH + "\n", "{" + LAUNCH + "}", 7, ["x"], True]
)
def test_an_order_whose_launch_is_no_id_is_refused(launch: Any) -> None:
    found = found_in(with_headers(launch=launch))
    assert found.orders == []
    assert [one.reason for one in found.refused] == ["its launch is not an id"]


def test_an_order_that_is_too_large_is_refused() -> None:
    found = found_in(an_order_message(body=b" " * (MAX_ORDER_BYTES + 1)))
    assert [one.reason for one in found.refused] == ["an order has at most 65,536 bytes"]


def test_an_order_outside_any_launch_is_one_without_a_label_and_without_a_number() -> None:
    headers = {**an_order_message().headers}
    del headers[topology.LAUNCH_HEADER]
    found = found_in(an_order_message(headers=headers))
    [message] = found.orders
    assert (message.launch, message.record.order_id) == (None, ORDER.id)
    assert (message.record.label, found.numbers, found.undescribed) == ("", {}, 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"soup", b"\xff\xfe", b"[]", b"{}", b'{"number": 1', b"\x00", b"[" * 60_000,
     b'{"number":"7","placed_at":"2026-11-23T10:00:00Z","items":[]}'],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_an_order_that_cannot_be_described_is_an_order_all_the_same(body: bytes) -> None:
    found = found_in(an_order_message(body=body), an_order_message())
    first, second = (one.record for one in found.orders)
    assert (first.body, first.label, first.size, first.categories) == (body, "", 0, ())
    assert (first.number, first.placed_at, first.sent_at) == (None, SENT_AT, SENT_AT)
    assert (second.label, found.undescribed) == ("2 burger, soup", 1)


@pytest.mark.parametrize(
    "sent_at",
    [None, "", "now", "1700000000", 1700000000, "2026-11-23", "2026-11-23T10:00:00",
     "1999-12-31T23:59:59Z", "2200-01-01T00:00:01Z", "9999-12-31T23:59:59-14:00", "\x00", SENT_AT],
)  # fmt: skip
def test_an_order_without_a_time_at_which_it_was_sent_was_sent_when_it_was_placed(
    sent_at: Any,
) -> None:
    [message] = found_in(with_headers(sent_at=sent_at)).orders
    assert message.record.sent_at == message.record.placed_at == ORDER.placed_at


def test_an_order_that_names_no_time_was_placed_and_sent_when_it_arrived() -> None:
    [message] = found_in(an_order_message(headers={"launch": LAUNCH}, body=b"{}")).orders
    assert message.record.sent_at == message.record.placed_at == AT


def test_the_sample_is_the_versions_that_the_headers_name() -> None:
    named = {
        "dark.vlatest-b": "1", "dark.vother": "0", "dark.vthird": 1, "dark.vfourth": True,
        "dark.": "1", "dark.NOT A VERSION": "1", "dark." + "v" * 41: "1", "Dark.vfifth": "1",
    }  # fmt: skip
    [message] = found_in(with_headers(**named)).orders
    assert message.record.sample == {"vnext", "vlatest-b"}


def test_numbers_are_kept_by_relay_and_launch() -> None:
    def numbered(seq: Any, relay: Any = RELAY, launch: str = LAUNCH) -> Delivery:
        return with_headers(seq=seq, relay=relay, launch=launch)

    other = "1" * 32
    again = [numbered(seq) for seq in ("1", "3", "2", "3")]
    found = found_in(*again, numbered("7", other, OTHER_LAUNCH))
    assert found.numbers == {
        (RELAY, UUID(LAUNCH)): [1, 3, 2, 3],
        (other, UUID(OTHER_LAUNCH)): [7],
    }


@pytest.mark.parametrize(
    ("relay", "seq"),
    [
        (RELAY, wrong)
        for wrong in (None, "", "0", "-1", "01", "1.0", "\u0661", " 1", "1\n", 1, "9" * 16)
    ]
    + [(wrong, "1") for wrong in (None, "", "first", "A" * 32, "0" * 33, 7, "0" * 31 + "\x00")],
)
def test_a_number_that_no_relay_gives_is_none(relay: Any, seq: Any) -> None:
    found = found_in(with_headers(relay=relay, seq=seq))
    assert (found.numbers, len(found.orders)) == ({}, 1)


def test_a_relays_id_with_two_launches_numbers_the_first_one_alone() -> None:
    found = found_in(with_headers(), with_headers(launch=OTHER_LAUNCH, seq="2"))
    assert found.numbers == {(RELAY, UUID(LAUNCH)): [1]}
    assert len(found.orders) == 2


headers = st.dictionaries(
    st.sampled_from(["launch", "sent_at", "relay", "seq", "dark.vnext", "dark.", "x-death"])
    | st.text(max_size=10),
    st.none() | st.integers() | st.booleans() | st.text(max_size=40) | st.binary(max_size=9),
    max_size=8,
)
deliveries = st.builds(
    Delivery,
    tag=st.integers(1, 2**63),
    queue=st.just(topology.STREAM_QUEUE),
    body=st.binary(max_size=50)
    | st.sampled_from([encode_order(ORDER), encode_event(an_event()), b"[]", b"[{},{}]"]),
    exchange=st.sampled_from(
        ["", topology.DASHBOARD_ORDERS, *topology.ORDER_SOURCES, *topology.EVENT_SOURCES]
    ),
    routing_key=st.sampled_from(["candidate.vnext", "vlatest", ""]),
    message_id=st.none() | st.text(max_size=120),
    headers=headers,
)


@given(st.lists(deliveries, max_size=8))
def test_whatever_comes_is_read_or_refused_each_on_its_own(came: Sequence[Delivery]) -> None:
    together = found_in(*came)
    apart = [found_in(one) for one in came]
    for one in apart:
        assert one.orders or one.events or one.refused
    assert together.orders == [order for one in apart for order in one.orders]
    assert together.events == [event for one in apart for event in one.events]
    assert together.undescribed == sum(one.undescribed for one in apart)
    assert len(together.refused) == sum(len(one.refused) for one in apart)
    for order in together.orders:
        record = order.record
        assert record.arrived_at == AT
        record.label.encode()
        assert "\x00" not in record.label + record.order_id


def a_describer(monkeypatch: pytest.MonkeyPatch, function: Any, **options: Any) -> Describer:
    """As a setting that names a function of this module would make it."""
    monkeypatch.setattr(f"{__name__}.described", function, raising=False)
    return Describer(DescriptionFunction(f"{__name__}:described"), **options)


_NO_DESCRIPTIONS: list[dict[str, Any]] = [
    {"label": None}, {"label": 7}, {"size": -1}, {"size": "many"}, {"size": 2**31}, {"number": -1},
    {"number": 2**63}, {"number": "x"}, {"categories": (7,)}, {"categories": None},
    {"placed_at": datetime(2026, 1, 1)}, {"placed_at": datetime(1999, 1, 1, tzinfo=UTC)},  # noqa: DTZ001
    {"placed_at": "now"},
]  # fmt: skip


@pytest.mark.parametrize(
    "given_", [None, "soup", *(Description(**fields) for fields in _NO_DESCRIPTIONS)]
)
def test_what_is_no_description_costs_the_label_alone(
    monkeypatch: pytest.MonkeyPatch, given_: Any
) -> None:
    describer = a_describer(monkeypatch, lambda body: given_)
    found = decode_batch([an_order_message()], describer, AT)
    [message] = found.orders
    assert (message.record.label, message.record.order_id) == ("", ORDER.id)
    assert found.undescribed == 1


def test_a_description_is_cut_to_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Description(
        label="a\x00\ud800" + "x" * 1000,
        size=3,
        categories=("one", "one", *(f"{n}\x00" + "y" * 200 for n in range(100))),
    )
    [message] = decode_batch(
        [an_order_message()], a_describer(monkeypatch, lambda body: long), AT
    ).orders
    assert message.record.label == "a\ufffd?" + "x" * 497
    assert len(message.record.categories) == 50
    assert message.record.categories[:2] == ("one", "0\ufffd" + "y" * 98)


@pytest.mark.parametrize("error", [ValueError, RecursionError, SystemExit, KeyboardInterrupt])
def test_a_function_that_raises_costs_that_label_alone(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def picky(body: bytes) -> Description:
        if b"soup" in body:
            raise error
        return Description(label=json.loads(body)["note"])

    describer = a_describer(monkeypatch, picky)
    salad = an_order(an_item("salad"), note="now")
    found = decode_batch(
        [an_order_message(), an_order_message(salad), an_order_message()], describer, AT
    )
    assert [one.record.label for one in found.orders] == ["", "now", ""]
    assert found.undescribed == 2


def test_a_function_that_takes_too_long_costs_that_label_and_is_given_up_after_a_few(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hold = threading.Event()
    called: list[bytes] = []

    def slow(body: bytes) -> Description:
        called.append(body)
        if body == b"slow":
            hold.wait(DEADLINE_S)
        return Description(label=body.decode())

    describer = a_describer(monkeypatch, slow, limit_s=0.05)
    try:
        found = describer([b"a", b"slow", b"b", b"slow", b"c"])
        assert [one and one.label for one in found] == ["a", None, "b", None, "c"]
        assert describer([b"d"]) == [Description(label="d")]
        assert [one and one.label for one in describer([b"slow", b"e"])] == [None, None]
        assert len(called) == 7
        assert describer([b"f"]) == [None]
        assert len(called) == 7
    finally:
        hold.set()
    said_ = [one.message for one in caplog.records]
    assert len(said_) == OVERRUNS
    assert said_[-1].endswith("; it is disabled until a restart")


def test_a_long_batch_of_a_quick_function_is_described_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = time.monotonic()

    def steady(body: bytes) -> Description:
        end = time.monotonic() + 0.002
        while time.monotonic() < end:
            pass
        return Description(label=body.decode())

    describer = a_describer(monkeypatch, steady, limit_s=0.1)
    found = describer([str(number).encode() for number in range(150)])
    assert time.monotonic() - begun > 0.1
    assert [one and one.label for one in found] == [str(number) for number in range(150)]


def test_the_restaurants_own_function_is_called_without_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "Thread", None)
    assert OWN([encode_order(ORDER)]) == [describe(encode_order(ORDER))]
