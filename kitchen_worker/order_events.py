"""Builds the events that a kitchen publishes about one order."""

from __future__ import annotations

import math
import re
from datetime import datetime
from itertools import count
from typing import Any
from uuid import uuid4

import msgspec

from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.config import WorkerConfig
from kitchen_worker.contract.messages import (
    ID_PATTERN,
    MAX_DEPTH,
    MAX_EVENT_BYTES,
    Event,
    EventKind,
    Failure,
    OversizedMessage,
    PlacedOrder,
    UnreadableMessage,
    decode_order,
    encode_event,
)
from kitchen_worker.contract.topology import LAUNCH_HEADER
from kitchen_worker.event_publisher import EncodedEvent
from kitchen_worker.handling import Handling, failure_of

#: Longest duration that the contract allows.
_MAX_MS = 1e12
_ID = re.compile(ID_PATTERN)
#: An event's id is the process's id and a sequence number.
_PROCESS = uuid4().hex
_numbers = count(1)
#: A value's place in a result: its parent's place, and its key there.
_Place = tuple[Any, Any]
_MAX_PATH = 200


class BadResult(ValueError):
    """Raised when a kitchen's result isn't a JSON object, or is too large."""


class OrderEvents(msgspec.Struct, frozen=True):
    """Builds the events of one delivered order."""

    order: PlacedOrder
    delivery: Delivery
    launch: str | None
    config: WorkerConfig
    worker: str

    @classmethod
    def read(cls, delivery: Delivery, *, config: WorkerConfig, worker: str) -> OrderEvents:
        """Read an order and its launch from a delivery; raises MessageError."""
        launch = delivery.headers.get(LAUNCH_HEADER)
        if launch is not None and not (isinstance(launch, str) and _ID.fullmatch(launch)):
            raise UnreadableMessage("not an order: the launch header is not an id", delivery.body)
        return cls(decode_order(delivery.body), delivery, launch, config, worker)

    @property
    def is_redelivered(self) -> bool:
        return _delivery_number(self.delivery) > 1

    def received(self, at: datetime) -> EncodedEvent:
        """The `received` event; best effort."""
        event = self._event(EventKind.RECEIVED, received_at=at)
        return EncodedEvent(EventKind.RECEIVED, encode_event(event), None)

    def ended(self, handling: Handling) -> EncodedEvent:
        """The `handled` event, or `failed` if the kitchen raised or its result is invalid."""
        failure = handling.failure
        if failure is None:
            try:
                return EncodedEvent(EventKind.HANDLED, self._handled(handling), self.delivery)
            except BadResult as bad:
                failure = failure_of(bad)
        event = self._ended(EventKind.FAILED, handling, failure=failure)
        return EncodedEvent(EventKind.FAILED, encode_event(event), self.delivery)

    def _handled(self, handling: Handling) -> bytes:
        _check_result(handling.result)
        try:
            return encode_event(self._ended(EventKind.HANDLED, handling, result=handling.result))
        except OversizedMessage as large:
            raise BadResult(f"the result is too large: {large}") from large
        except Exception as cause:
            raise BadResult(f"the result is not JSON: {type(cause).__name__}: {cause}") from cause

    def _ended(
        self,
        kind: EventKind,
        handling: Handling,
        *,
        result: dict[str, Any] | None = None,
        failure: Failure | None = None,
    ) -> Event:
        waited = handling.received_at - self.order.placed_at
        return self._event(
            kind,
            received_at=handling.received_at,
            finished_at=handling.finished_at,
            queue_ms=_within(waited.total_seconds() * 1000),
            handling_ms=_within(handling.handling_ms),
            result=result,
            error=failure,
        )

    def _event(self, kind: EventKind, *, received_at: datetime, **more: Any) -> Event:
        return Event(
            event_id=f"{_PROCESS}-{next(_numbers)}",
            kind=kind,
            order_id=self.order.id,
            launch=self.launch,
            version=self.config.version,
            role=self.config.role,
            build=self.config.build,
            worker=self.worker,
            delivery=_delivery_number(self.delivery),
            redelivered=self.delivery.redelivered,
            placed_at=self.order.placed_at,
            received_at=received_at,
            **more,
        )


def _check_result(result: Any) -> None:
    """Raise BadResult for values that JSON doesn't have, rather than guess a conversion."""
    if not isinstance(result, dict):
        raise BadResult(f"the result is a {type(result).__name__}, not a JSON object")
    left: list[tuple[Any, _Place | None, int]] = [(result, None, 1)]
    size = 0
    while left:
        value, place, depth = left.pop()
        if depth > MAX_DEPTH:
            raise BadResult(f"the result is nested more than {MAX_DEPTH} deep")
        members = value.items() if isinstance(value, dict) else enumerate(value)
        size += len(value)
        if size > MAX_EVENT_BYTES:
            raise BadResult(f"the result is too large: it has more than {MAX_EVENT_BYTES} values")
        for key, inner in members:
            if isinstance(value, dict) and not isinstance(key, str):
                raise _not_json(f"the key {key!r} is a {type(key).__name__}", place)
            if isinstance(inner, dict | list | tuple):
                left.append((inner, (place, key), depth + 1))
            elif wrong := _wrong_with(inner):
                raise _not_json(wrong, (place, key))


def _wrong_with(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isfinite(value) else "NaN or an infinity"
    return "" if value is None or isinstance(value, str | int) else f"a {type(value).__name__}"


def _not_json(what: str, place: _Place | None) -> BadResult:
    path = ""
    while place is not None:
        place, key = place
        path = (f".{key}" if isinstance(key, str) else f"[{key}]") + path
    return BadResult(f"the result is not JSON: {what} at ${path[:_MAX_PATH]}")


def _delivery_number(delivery: Delivery) -> int:
    """Which delivery of the order this is. A classic queue knows only "redelivered"."""
    counted = delivery.headers.get("x-delivery-count")
    if isinstance(counted, int) and 0 <= counted < 2**31:
        return counted + 1
    return 2 if delivery.redelivered else 1


def _within(milliseconds: float) -> float:
    return min(max(milliseconds, 0.0), _MAX_MS)
