"""What a kitchen says of one order: its events, written so that every reader can read them."""

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
    Order,
    OversizedMessage,
    UnreadableMessage,
    decode_order,
    encode_event,
)
from kitchen_worker.contract.topology import LAUNCH_HEADER
from kitchen_worker.cooking import Cooked, failure_of
from kitchen_worker.reporter import Report

#: Longest duration that the contract takes.
_MAX_MS = 1e12
_ID = re.compile(ID_PATTERN)
#: An event's id: this process, and the how many-th of it.
_PROCESS = uuid4().hex
_numbers = count(1)
#: Where in a result a value is: in what, and under which key there.
_Place = tuple[Any, Any]
_MAX_PATH = 200


class BadResult(ValueError):
    """Raised when what a kitchen returned cannot be told: no JSON object, or too large a one."""


class OrderTold(msgspec.Struct, frozen=True):
    """One delivered order, and what is told of it."""

    order: Order
    delivery: Delivery
    launch: str | None
    config: WorkerConfig
    worker: str

    @classmethod
    def read(cls, delivery: Delivery, *, config: WorkerConfig, worker: str) -> OrderTold:
        """Read an order and its launch from a delivery; raises MessageError."""
        launch = delivery.headers.get(LAUNCH_HEADER)
        if launch is not None and not (isinstance(launch, str) and _ID.fullmatch(launch)):
            raise UnreadableMessage("not an order: the launch header is no id", delivery.body)
        return cls(decode_order(delivery.body), delivery, launch, config, worker)

    @property
    def is_redelivered(self) -> bool:
        """Whether the order was delivered before."""
        return _delivery_number(self.delivery) > 1

    def received(self, at: datetime) -> Report:
        """That work on the order started; may be lost."""
        event = self._event(EventKind.RECEIVED, received_at=at)
        return Report(EventKind.RECEIVED, encode_event(event), None)

    def ended(self, cooked: Cooked) -> Report:
        """What came of it: handled, or failed when the kitchen raised or its result is none."""
        failure = cooked.failure
        if failure is None:
            try:
                return Report(EventKind.HANDLED, self._handled(cooked), self.delivery)
            except BadResult as bad:
                failure = failure_of(bad)
        event = self._ended(EventKind.FAILED, cooked, failure=failure)
        return Report(EventKind.FAILED, encode_event(event), self.delivery)

    def _handled(self, cooked: Cooked) -> bytes:
        _check_result(cooked.result)
        try:
            return encode_event(self._ended(EventKind.HANDLED, cooked, result=cooked.result))
        except OversizedMessage as large:
            raise BadResult(f"the result is too large: {large}") from large
        except Exception as cause:
            raise BadResult(f"the result is not JSON: {type(cause).__name__}: {cause}") from cause

    def _ended(
        self,
        kind: EventKind,
        cooked: Cooked,
        *,
        result: dict[str, Any] | None = None,
        failure: Failure | None = None,
    ) -> Event:
        waited = cooked.received_at - self.order.placed_at
        return self._event(
            kind,
            received_at=cooked.received_at,
            finished_at=cooked.finished_at,
            queue_ms=_within(waited.total_seconds() * 1000),
            handling_ms=_within(cooked.handling_ms),
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
    """Refuse what JSON does not have, rather than guess how it is meant; raises BadResult."""
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
    """Which delivery of the order it is: a quorum queue counts, a classic one knows only again."""
    counted = delivery.headers.get("x-delivery-count")
    if isinstance(counted, int) and 0 <= counted < 2**31:
        return counted + 1
    return 2 if delivery.redelivered else 1


def _within(milliseconds: float) -> float:
    return min(max(milliseconds, 0.0), _MAX_MS)
