"""An order's messages as a person reads them, and the commands that send it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from dashboard.domain.outcome import State
from dashboard.models import Observation
from kitchen_worker.contract.messages import ORDER_PLACED
from kitchen_worker.contract.topology import LAUNCH_HEADER, ORDERS, ORDERS_DARK, dark_header
from restaurant.menu import BY_NAME

_NEXT = " \\\n  "


class Portion(Protocol):
    """A line of an order, as far as ordering it again needs it."""

    name: str
    quantity: int


def curl(lines: Sequence[Portion], note: str, *, url: str) -> str:
    """The order through the restaurant's API; empty when the menu does not have all of it."""
    if any(line.name not in BY_NAME for line in lines):
        return ""
    names = [line.name for line in lines for _ in range(line.quantity)]
    body = json.dumps({"menuItems": names} | ({"note": note} if note else {}))
    parts = [f"curl -X POST {shlex.quote(url)}", "-H 'Content-Type: application/json'"]
    return _NEXT.join([*parts, f"--data {shlex.quote(body)}"])


def amqp_publish(body: str, headers: dict[str, str], *, exchange: str = ORDERS) -> str:
    """The same message once more, with amqp-tools."""
    said = [f"--header {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    # To amqp-tools, a last slash would name the virtual host "".
    parts = [f'amqp-publish --url "${{AMQP_URL%/}}" --exchange {exchange} --persistent']
    parts += ["--content-type application/json", *said, f"--body {shlex.quote(body)}"]
    return _NEXT.join(parts)


def headers(launch: str, sample: Sequence[str]) -> dict[str, str]:
    """The order message's headers."""
    said = {LAUNCH_HEADER: launch} if launch else {}
    return said | {dark_header(name): "1" for name in sample}


def to_dark(body: str, launch: str, sample: Sequence[str]) -> list[tuple[str, str]]:
    """Each dark version that had the order, and the command that sends it to this one alone."""
    return [
        (version, amqp_publish(body, headers(launch, [version]), exchange=ORDERS_DARK))
        for version in sample
    ]


def sent_message(order: str, body: str, headers: dict[str, str]) -> str:
    """The order's message as the relay posts it; empty when its letter was pruned."""
    if not body:
        return ""
    properties = {
        "exchange": ORDERS,
        "type": ORDER_PLACED,
        "message_id": order,
        "headers": headers,
        "body": json.loads(body),
    }
    return json.dumps(properties, indent=2, ensure_ascii=False)


def result(one: Observation) -> Any:
    """What a version made of the order; None when it did not handle it."""
    return json.loads(one.result) if one.result else None


def event(one: Observation) -> str:
    """A version's event as it was recorded."""
    failed = one.state == State.FAILED
    said = {
        "kind": one.state,
        "order_id": str(one.order),
        "launch": str(one.launch),
        "version": one.version,
        "role": one.role,
        "build": one.build,
        "worker": one.worker,
        "delivery": one.delivery,
        "placed_at": _moment(one.placed_at),
        "received_at": _moment(one.received_at),
        "finished_at": _moment(one.finished_at),
        "queue_ms": one.queue_ms,
        "handling_ms": one.handling_ms,
        "result": result(one),
        "error": {"type": one.error_type, "message": one.error_message} if failed else None,
    }
    return json.dumps(said, indent=2, ensure_ascii=False)


def _moment(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat().replace("+00:00", "Z")
