"""Frames are written and read as the library's own codec does it, and wild ones end no session."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader

from kitchen_worker.amqp import frames
from kitchen_worker.amqp.broker import Outgoing
from kitchen_worker.amqp.frames import BODY, HEADER, METHOD, START, Parcel

CHANNEL, MOST = 7, 131_064


def _payload(frame: Any) -> bytes:
    return marshal(frame, CHANNEL)[START.size : -1]


def _header(**properties: Any) -> bytes:
    return _payload(ContentHeader(body_size=3, properties=commands.Basic.Properties(**properties)))


def _written(outgoing: Outgoing, most: int = MOST) -> list[Any]:
    """The frames of a message, as the library reads them."""
    raw = frames.write_message(outgoing, "an-id", channel=CHANNEL, most=most)
    read = []
    while raw:
        length, channel, frame = unmarshal(raw)
        assert channel == CHANNEL
        read.append(frame)
        raw = raw[length:]
    return read


@pytest.mark.parametrize("headers", [{}, {"launch": "größe", "b": ""}, {"n": 1, "m": True}])
@pytest.mark.parametrize("kind", [None, "order.placed"])
@pytest.mark.parametrize("persistent", [True, False])
def test_the_library_reads_what_is_written(
    headers: dict[str, Any], kind: str | None, persistent: bool
) -> None:
    outgoing = Outgoing(
        exchange="orders",
        routing_key="control.vlatest",
        body=b"abc",
        headers=headers,
        type=kind,
        persistent=persistent,
    )
    publish, header, body = _written(outgoing)
    assert (publish.exchange, publish.routing_key) == ("orders", "control.vlatest")
    assert publish.mandatory
    assert header.body_size == 3
    assert header.properties == commands.Basic.Properties(
        content_type="application/json",
        headers=headers or None,
        delivery_mode=2 if persistent else None,
        message_id="an-id",
        message_type=kind,
    )
    assert body.value == b"abc"


def test_a_body_is_cut_to_the_length_that_a_frame_may_have() -> None:
    _, _, *bodies = _written(Outgoing(exchange="", body=b"abcdefg"), most=3)
    assert [body.value for body in bodies] == [b"abc", b"def", b"g"]
    assert len(_written(Outgoing(exchange="", body=b""))) == 2


@pytest.mark.parametrize("several", [True, False])
def test_the_library_reads_an_ack(several: bool) -> None:
    _, channel, ack = unmarshal(frames.write_ack(2**40, several=several, channel=CHANNEL))
    assert channel == CHANNEL
    assert isinstance(ack, commands.Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (2**40, several)


@pytest.mark.parametrize("redelivered", [True, False])
def test_a_delivery_is_read(redelivered: bool) -> None:
    payload = _payload(
        commands.Basic.Deliver(
            consumer_tag="ctag1.ab",
            delivery_tag=2**40,
            redelivered=redelivered,
            exchange="kitchen.events",
            routing_key="control.größe",
        )
    )
    assert payload.startswith(frames.DELIVER)
    assert frames.read_deliver(payload) == (2**40, redelivered, "control.größe")


def test_confirms_are_read() -> None:
    ack = _payload(commands.Basic.Ack(delivery_tag=2**40, multiple=True))
    assert ack.startswith(frames.ACK)
    assert frames.read_confirm(ack) == (2**40, True)
    nack = _payload(commands.Basic.Nack(delivery_tag=5, multiple=False, requeue=True))
    assert nack.startswith(frames.NACK)
    assert frames.read_confirm(nack) == (5, False)


def test_a_return_is_read() -> None:
    payload = _payload(commands.Basic.Return(312, "NO_ROUTE", "orders.dead", "nobody"))
    assert payload.startswith(frames.RETURN)
    assert frames.read_return(payload) == ("312 NO_ROUTE", "orders.dead", "nobody")


def test_headers_and_id_are_found_among_all_properties() -> None:
    payload = _header(
        content_type="application/json",
        content_encoding="utf-8",
        headers={"launch": "l", "count": 3},
        delivery_mode=2,
        priority=4,
        correlation_id="c",
        reply_to="r",
        expiration="1000",
        message_id="größe",
        timestamp=datetime(2026, 11, 23, tzinfo=UTC),
        message_type="order.placed",
        app_id="a",
    )
    assert frames.read_content(payload) == (3, {"launch": "l", "count": 3}, "größe")
    assert frames.read_content(_header()) == (3, {}, None)


def test_an_id_that_is_not_utf8_is_read_and_grows_no_longer() -> None:
    payload = _header(message_id="?" * 255).replace(b"?" * 240, b"\xff" * 240)
    assert frames.read_content(payload).message_id == "?" * 255


@pytest.mark.parametrize("length", range(14, 30))
def test_properties_that_end_too_soon_are_taken_for_absent(length: int) -> None:
    payload = _header(headers={"launch": "l"}, message_id="an-id")[:length]
    content = frames.read_content(payload)
    assert content.size == 3
    assert content.message_id is None


def test_a_parcel_is_whole_with_the_last_of_its_body() -> None:
    parcel = Parcel()
    assert not parcel.add(HEADER, _payload(ContentHeader(body_size=5)))
    assert not parcel.add(BODY, _payload(ContentBody(b"ab")))
    assert parcel.add(BODY, _payload(ContentBody(b"cde")))
    assert parcel.body == b"abcde"
    empty = Parcel()
    assert empty.add(HEADER, _payload(ContentHeader(body_size=0)))
    assert empty.body == b""


def test_headers_that_many_deliveries_share_cannot_be_changed() -> None:
    headers = frames.read_content(_header(headers={"launch": "l"})).headers
    with pytest.raises(TypeError):
        headers["launch"] = "m"  # type: ignore[index]


def test_kinds_of_frames_are_the_librarys() -> None:
    kinds = [
        marshal(one, 1)[0] for one in (commands.Basic.Ack(), ContentHeader(), ContentBody(b""))
    ]
    assert kinds == [METHOD, HEADER, BODY]
