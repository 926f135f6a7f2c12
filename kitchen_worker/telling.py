"""What a kitchen says of one order: its events, written so that every reader can read them."""

from __future__ import annotations

import math
import re
from datetime import datetime
from itertools import count
from typing import Any
from uuid import uuid4

import msgspec

from kitchen_worker.config import WorkerConfig
from kitchen_worker.contract.messages import (
    ID_PATTERN,
    Event,
    EventKind,
    Failure,
    Order,
    OversizedMessage,
    UnreadableMessage,
    decode_order,
    encode_event,
    utc_now,
)
from kitchen_worker.contract.topology import LAUNCH_HEADER
from kitchen_worker.contract.wire import Delivery
from kitchen_worker.cooking import Cooked, failure_of
from kitchen_worker.reporter import Report

#: Longest duration that the contract takes.
_MAX_MS = 1e12
_ID = re.compile(ID_PATTERN)
#: An event's id: this process, and the how many-th of it.
_PROCESS = uuid4().hex
_numbers = count(1)
_NO_ERROR = b'"error":null}'


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

    def received(self) -> Report:
        """That work starts; may be lost."""
        event = self._event(EventKind.RECEIVED, received_at=utc_now())
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
        if not isinstance(cooked.result, dict):
            kind = type(cooked.result).__name__
            raise BadResult(f"the result is a {kind}, not a JSON object")
        try:
            event = encode_event(self._ended(EventKind.HANDLED, cooked, result=cooked.result))
        except OversizedMessage as large:
            raise BadResult(f"the result is too large: {large}") from large
        except Exception as cause:
            raise BadResult(f"the result is not JSON: {type(cause).__name__}: {cause}") from cause
        # What is not finite was written as null: most results have none, and are not looked at.
        if b"null" in event.removesuffix(_NO_ERROR) and not _is_finite(cooked.result):
            raise BadResult("the result is not JSON: it holds NaN or an infinity")
        return event

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


def _is_finite(result: dict[str, Any]) -> bool:
    """Whether every number is one that JSON has."""
    left = [msgspec.to_builtins(result, str_keys=True)]
    while left:
        value = left.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
    return True


def _delivery_number(delivery: Delivery) -> int:
    """Which delivery of the order it is: a quorum queue counts, a classic one knows only again."""
    counted = delivery.headers.get("x-delivery-count")
    if isinstance(counted, int) and 0 <= counted < 2**31:
        return counted + 1
    return 2 if delivery.redelivered else 1


def _within(milliseconds: float) -> float:
    return min(max(milliseconds, 0.0), _MAX_MS)
