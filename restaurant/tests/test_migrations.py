"""A database that was filled by an earlier release."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)

PLACED = datetime(2026, 11, 30, 9, tzinfo=UTC)
SENT = PLACED + timedelta(seconds=1)
#: The tables of the release before an order was one row.
BEFORE_ONE_ROW = [
    ("dashboard", "0017_requirements_that_passed"),
    ("restaurant", "0007_version_names"),
]
#: What a letter held, and an order holds now.
COLUMNS = (
    "body", "sample", "launch_change", "sent_at", "times_again", "again_at", "again_reason",
)  # fmt: skip


def test_the_letters_of_earlier_orders_move_into_the_orders_and_the_outbox() -> None:
    apps = _migrated(BEFORE_ONE_ROW)
    launch = apps.get_model("restaurant", "Launch").objects.create(
        name="first", control="vlatest", started_at=PLACED
    )
    waiting = _order(apps, launch, body=b"{}", sample=["vnext"], launch_change=7, sent_at=None)
    sent = _order(apps, launch, body=b"\x00\xff", sample=["vnext", "vlatest-b"], sent_at=SENT)
    outside = _order(apps, None, body=b"[]", sample=[], sent_at=SENT)
    again = {"times_again": 3, "again_at": SENT, "again_reason": "unanswered"}
    resent = _order(apps, launch, body=b"{}", sample=[], launch_change=8, sent_at=SENT, **again)
    pruned = _order(apps, launch)
    letters = _rows(apps, "Letter", "order_id", "launch_id")

    apps = _migrated(_latest())

    assert _rows(apps, "Order", "id", "launch_id") == {
        **letters,
        pruned: (launch.pk, b"", [], 0, None, 0, None, ""),
    }
    assert set(letters) == {waiting, sent, outside, resent}
    outbox = apps.get_model("restaurant", "OutboxMessage").objects
    assert list(outbox.values_list("order", flat=True)) == [waiting]

    apps = _migrated(BEFORE_ONE_ROW)

    assert _rows(apps, "Letter", "order_id", "launch_id") == letters
    _migrated(_latest())


def test_the_numbers_of_orders_go_on_after_a_migration() -> None:
    apps = _migrated(BEFORE_ONE_ROW)
    last = _order(apps, None, body=b"{}", sample=[], sent_at=SENT)

    apps = _migrated(_latest())

    assert _order(apps, None) == last + 1


def _migrated(targets: list[tuple[str, str]]) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps


def _latest() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = MigrationExecutor(connection).loader.graph.leaf_nodes()
    return found


def _order(apps: Any, launch: Any, **letter: Any) -> int:
    order = apps.get_model("restaurant", "Order").objects.create(
        launch=launch, control="vlatest", placed_at=PLACED, total_price=Decimal(7),
        total_prep_time=10,
    )  # fmt: skip
    if letter:
        apps.get_model("restaurant", "Letter").objects.create(order=order, launch=launch, **letter)
    return int(order.pk)


def _rows(apps: Any, model: str, *names: str) -> dict[int, tuple[Any, ...]]:
    rows = apps.get_model("restaurant", model).objects.values_list(*names, *COLUMNS)
    return {key: (launch, bytes(body), *more) for key, launch, body, *more in rows}
