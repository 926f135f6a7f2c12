"""Holds docs/asyncapi.yaml to the code: what a stranger reads there is what our processes do."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis.strategies import randoms
from jsonschema import Draft202012Validator

from kitchen_worker.contract import messages, topology
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.tests.test_messages import (
    BAD_EVENTS,
    BAD_ORDERS,
    EVENT,
    FAILED,
    ORDER,
    RECEIVED,
    events,
    orders,
)
from kitchen_worker.contract.topology import QueueTypes, Topology, kitchen_queue
from kitchen_worker.kitchens import vlatest
from restaurant.outbox import SequenceNumbers, UnsentMessage

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[1] / "docs" / "asyncapi.yaml").read_text()
)
CHANNELS: dict[str, Any] = DOCUMENT["channels"]
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
WHOLE = (
    topology.live("vlatest", QueueTypes())
    + topology.dark("vnext", QueueTypes())
    + topology.stream(QueueTypes())
    + topology.announcements()
)


def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    )


ORDERS, EVENTS = _validator("Order"), _validator("Event")


def _filled(value: Any, **names: str) -> Any:
    """A part of the document with its {parameters} filled in."""
    text = json.dumps(value)
    for name, filling in names.items():
        text = text.replace(f"{{{name}}}", filling)
    return json.loads(text)


def _documented() -> Topology:
    """The queues, exchanges and bindings that the document describes, for vlatest and vnext."""
    filled = [
        _filled(CHANNELS["controlOrders"], version="vlatest"),
        _filled(CHANNELS["darkOrders"], version="vnext"),
        *(
            one
            for name, one in CHANNELS.items()
            if name not in ("controlOrders", "darkOrders", "dead")
        ),
    ]
    dead_lettered = [
        one["address"] for one in filled if "x-dead-letter-exchange" in _arguments(one)
    ]
    # What this one drops is gone; what the observer refuses of it is a dead letter.
    dead_lettered.append(CHANNELS["stream"]["address"])
    filled += [_filled(CHANNELS["dead"], queue=queue) for queue in dead_lettered]
    whole = Topology()
    for channel in filled:
        whole += _channel(channel)
    return whole


def _arguments(channel: dict[str, Any]) -> dict[str, Any]:
    return dict(channel.get("x-arguments", {}))


def _channel(channel: dict[str, Any]) -> Topology:
    bound = channel["bindings"]["amqp"]
    is_queue = bound["is"] == "queue"
    described = bound["queue" if is_queue else "exchange"]
    assert described["name"] == channel["address"]
    assert described["durable"]
    assert not described["autoDelete"]
    bindings = tuple(
        topology.Binding(
            source=one["exchange"],
            destination=described["name"],
            routing_key=one["routingKey"],
            arguments=one["arguments"],
            to_exchange=not is_queue,
        )
        for one in channel.get("x-bound-to", [])
    )
    if is_queue:
        queue = topology.Queue(name=described["name"], arguments=_arguments(channel))
        return Topology(queues=(queue,), bindings=bindings)
    exchange = topology.Exchange(
        name=described["name"], type=described["type"], arguments=_arguments(channel)
    )
    return Topology(exchanges=(exchange,), bindings=bindings)


@pytest.mark.parametrize("part", ["exchanges", "queues", "bindings"])
def test_the_document_and_the_topology_name_the_same(part: str) -> None:
    described = {_comparable(one) for one in getattr(_documented(), part)}
    assert described == {_comparable(one) for one in getattr(WHOLE, part)}


def _comparable(part: topology.Exchange | topology.Queue | topology.Binding) -> str:
    return json.dumps(asdict(part), sort_keys=True)


def test_every_reference_leads_somewhere() -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if "$ref" in part else []
            return own + [one for value in part.values() for one in references(value)]
        return (
            [one for value in part for one in references(value)] if isinstance(part, list) else []
        )

    found = references(DOCUMENT)
    assert len(found) > 20
    for reference in found:
        target: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


@given(orders)
def test_every_order_that_we_write_is_one_of_the_document(order: messages.PlacedOrder) -> None:
    ORDERS.validate(json.loads(messages.encode_order(order)))


@given(events)
def test_every_event_that_we_write_is_one_of_the_document(event: messages.Event) -> None:
    EVENTS.validate(json.loads(messages.encode_event(event)))


def test_what_both_take_is_taken_by_both() -> None:
    assert ORDERS.is_valid(ORDER)
    for event in (EVENT, FAILED, RECEIVED):
        assert EVENTS.is_valid(event)
        assert _validator("Events").is_valid([event, EVENT])
    assert not _validator("Events").is_valid([])


@given(orders, randoms())
def test_what_vlatest_gives_is_the_restaurants_result(
    order: messages.PlacedOrder, rng: Random
) -> None:
    result = json.loads(json.dumps(vlatest.cook(order, rng)))
    _validator("RestaurantResult").validate(result)
    [handled] = map(json.loads, _examples("orderHandled"))
    _validator("RestaurantResult").validate(handled["result"])


@pytest.mark.parametrize("what", BAD_ORDERS)
def test_an_order_that_we_refuse_is_none_of_the_document(what: str) -> None:
    assert not ORDERS.is_valid(BAD_ORDERS[what])


@pytest.mark.parametrize("what", BAD_EVENTS)
def test_an_event_that_we_refuse_is_none_of_the_document(what: str) -> None:
    assert not EVENTS.is_valid(BAD_EVENTS[what])


def _examples(message: str) -> list[bytes]:
    return [json.dumps(one["payload"]).encode() for one in MESSAGES[message]["examples"]]


def test_the_documents_examples_can_be_read() -> None:
    [order] = map(messages.decode_order, _examples("orderPlaced"))
    for kind in messages.EventKind:
        [event] = map(messages.decode_event, _examples(f"order{kind.title()}"))
        assert (event.kind, event.order_id) == (kind, order.id)
    headers = MESSAGES["orderPlaced"]["examples"][0]["headers"]
    assert _validator("OrderHeaders").is_valid(headers)
    assert set(headers) == {
        topology.LAUNCH_HEADER,
        topology.dark_header("vnext"),
        topology.SENT_AT_HEADER,
        topology.RELAY_HEADER,
        topology.SEQ_HEADER,
    }


def test_what_the_relay_publishes_has_the_headers_of_the_document() -> None:
    numbers = SequenceNumbers()
    order = UnsentMessage(
        id=1,
        order=ORDER["id"],
        launch=ORDER["id"],
        launch_change=0,
        control="vlatest",
        sample=("vnext",),
        body=b"",
    )
    at = messages.rfc3339(messages.utc_now())
    headers = dict(order.message(sent_at=at, number=numbers.take(ORDER["id"])).headers)
    assert set(headers) == set(MESSAGES["orderPlaced"]["examples"][0]["headers"])
    valid = _validator("OrderHeaders").is_valid
    assert valid(headers)
    for name, wrong in (("seq", "0"), ("seq", 7), ("relay", "first"), ("sent_at", "now")):
        assert not valid({**headers, name: wrong})


def test_an_order_that_is_sent_again_has_the_headers_of_the_document() -> None:
    headers = {
        topology.LAUNCH_HEADER: ORDER["id"],
        topology.REPLAY_HEADER: ORDER["id"],
        topology.dark_header("vshell"): "1",
    }
    assert _validator("OrderHeaders").is_valid(headers)
    assert not _validator("OrderHeaders").is_valid({**headers, topology.REPLAY_HEADER: "1"})
    assert CHANNELS["ordersDark"]["address"] == topology.ORDERS_DARK


def test_fields_limits_and_words_are_those_of_the_code() -> None:
    for name, struct in {
        "Order": messages.PlacedOrder,
        "OrderItem": messages.OrderItem,
        "Failure": messages.Failure,
        "Event": messages.Event,
    }.items():
        assert list(SCHEMAS[name]["properties"]) == list(struct.__struct_fields__)
    event = SCHEMAS["Event"]["properties"]
    assert event["kind"]["enum"] == list(messages.EventKind)
    assert event["role"]["enum"] == list(Role)
    for name, pattern in (
        ("Id", messages.ID_PATTERN),
        ("VersionName", messages.VERSION_PATTERN),
        ("Money", messages.MONEY_PATTERN),
    ):
        # In JSON Schema, $ is the end.
        assert SCHEMAS[name]["pattern"] == pattern.replace(messages.PATTERN_END, "$")
    assert SCHEMAS["Events"]["maxItems"] == messages.MAX_EVENTS
    said = json.dumps(DOCUMENT)
    for limit in (messages.MAX_ORDER_BYTES, messages.MAX_EVENT_BYTES, messages.MAX_EVENTS_BYTES):
        assert str(limit) in said
    assert topology.REASON_HEADER in MESSAGES["deadLetter"]["headers"]["properties"]


def test_message_types_are_those_of_the_code() -> None:
    types = {
        one["bindings"]["amqp"]["messageType"] for one in MESSAGES.values() if "bindings" in one
    }
    kinds = {f"order.{kind}" for kind in messages.EventKind}
    assert types == {messages.ORDER_PLACED, messages.ORDER_EVENTS, *kinds}


def test_the_walk_through_names_the_queue_and_the_key_of_its_kitchen() -> None:
    said = DOCUMENT["info"]["description"]
    assert kitchen_queue("vshell") in said
    assert topology.events_key(Role.CANDIDATE, "vshell") in said
