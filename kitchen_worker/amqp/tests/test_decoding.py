"""Events are read at once where all are good, and each on its own where one is not."""

from __future__ import annotations

from typing import Any

from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.amqp.decoding import decode_deliveries
from kitchen_worker.amqp.tests.making import an_event
from kitchen_worker.contract.messages import MAX_EVENT_BYTES, encode_event, join_events


def _delivery(*events: bytes) -> Delivery:
    body = join_events(events)
    return Delivery(tag=1, queue="dashboard.stream", body=body, routing_key="candidate.vnext")


def _encoded(**changes: Any) -> bytes:
    return encode_event(an_event(**changes))


def test_the_events_of_a_message_are_read_in_their_order() -> None:
    events = [an_event() for _ in range(3)]
    delivery = _delivery(*map(encode_event, events))
    heard, refused = decode_deliveries([delivery, delivery])
    assert [one.event for one in heard] == events * 2
    assert not refused


def test_one_bad_event_costs_itself_alone() -> None:
    good, bad = _encoded(), b'{"kind":"handled"}'
    heard, refused = decode_deliveries([_delivery(good, bad, good)])
    assert len(heard) == 2
    assert [one.body for one in refused] == [bad]


def test_one_event_that_is_too_large_costs_itself_alone() -> None:
    good, large = _encoded(), b'{"event_id":"%s"}' % (b"x" * MAX_EVENT_BYTES)
    heard, refused = decode_deliveries([_delivery(good, large)])
    assert len(heard) == 1
    assert [one.body for one in refused] == [large]


def test_many_events_that_are_large_together_are_all_read() -> None:
    several = [_encoded(result={"note": "x" * (MAX_EVENT_BYTES // 3)}) for _ in range(6)]
    heard, refused = decode_deliveries([_delivery(*several)])
    assert len(heard) == 6
    assert not refused


def test_who_speaks_as_another_is_refused_with_its_own_words() -> None:
    own, others = _encoded(), _encoded(version="vother")
    heard, refused = decode_deliveries([_delivery(own, others)])
    assert len(heard) == 1
    assert [one.body for one in refused] == [others]
    assert "does not speak" in refused[0].reason
