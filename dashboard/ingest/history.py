"""Copies the last release's observations into this release's tables, newest orders first.

Orders and observations keep their ids. Copied rows are deleted from the former tables in the same
transaction. This is the only reader of production's orders, once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from dashboard import models
from dashboard.database import connection
from dashboard.models.sql import upsert
from restaurant.description import Description, describe

#: Columns of the restaurant's orders.
SENT = ("id", "uuid", "launch", "placed_at", "sent_at", "body", "sample")
_ORDER = (
    "id", "order_id", "launch", "number", "placed_at", "sent_at", "arrived_at", "body", "label",
    "size", "categories", "sample",
)  # fmt: skip
_MAX_LABEL = 500

_AS_IT_WAS = {
    "sqlite": ("replace(o.order_id, '-', '')", "CAST(f.result AS BLOB)"),
    "postgresql": ("o.order_id::uuid", "convert_to(f.result, 'UTF8')"),
}
_COPY = """
INSERT INTO dashboard_observation (
    id, order_id, participant_id, state, late, build, worker, delivery, received_at, finished_at,
    queue_ms, handling_ms, result, error_type, error_message, event_ids,
    judged_at, exception, signature, members, slower
)
SELECT f.id, o.id, p.id, f.state, f.late, f.build, f.worker, f.delivery, f.received_at,
    f.finished_at, f.queue_ms, f.handling_ms, {result}, f.error_type, f.error_message, f.event_ids,
    c.compared_at, CASE WHEN c.outcome = 'agree' THEN NULL ELSE c.outcome END, c.signature,
    COALESCE(c.members, ''), c.slower
FROM dashboard_observedorder o
JOIN dashboard_formerobservation f ON f."order" = {order}
JOIN dashboard_participant p ON p.launch = f.launch AND p.version = f.version
LEFT JOIN dashboard_formercomparison c ON c."order" = f."order" AND c.version = f.version
WHERE o.id BETWEEN %s AND %s
ON CONFLICT DO NOTHING
"""
_DELETE = """
DELETE FROM {table} WHERE "order" IN (
    SELECT {order} FROM dashboard_observedorder o WHERE o.id BETWEEN %s AND %s
)
"""


class Copied(NamedTuple):
    orders: int = 0
    observations: int = 0


def copy(orders: Iterable[tuple[Any, ...]], first: int, last: int) -> Copied:
    """Copy orders, with the columns in SENT, and their observations, in the open transaction.

    They must be all orders with ids from ``first`` to ``last`` that have observations.
    """
    rows = [_row(*one) for one in orders]
    upsert(models.ObservedOrder, _ORDER, rows, key=("order_id",), updated=("label",))
    order, result = _AS_IT_WAS[connection().vendor]
    with connection().cursor() as cursor:
        cursor.execute(_COPY.format(order=order, result=result), [first, last])
        observations = cursor.rowcount
        for table in ("dashboard_formercomparison", "dashboard_formerobservation"):
            cursor.execute(_DELETE.format(table=table, order=order), [first, last])
    return Copied(len(rows), observations)


def _row(
    pk: int, uuid: Any, launch: Any, placed_at: Any, sent_at: Any, body: Any, sample: list[str]
) -> tuple[Any, ...]:
    body = bytes(body)
    try:
        found = describe(body)
    except msgspec.MsgspecError:
        found = Description()
    return (
        *(pk, str(uuid), launch, pk, placed_at, sent_at, sent_at, body),
        *(found.label[:_MAX_LABEL], found.size, list(found.categories), sorted(sample)),
    )
