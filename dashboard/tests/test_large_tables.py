"""Pages over a million pairs: few statements, and none whose work grows with the table.

Every statement of every page is explained. SQLite says which tables it walks through, and counts
the steps that it takes; PostgreSQL says how many rows it really touched.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.test import Client

from dashboard.board.filters import Filter
from dashboard.database import connection
from dashboard.ingest.recorder import Recorder
from dashboard.models import (
    Discrepancy,
    Observation,
    ObservedOrder,
    Participant,
    Rejudging,
    Signature,
)
from dashboard.review.listing import orders_of
from dashboard.review.proposals import request_rejudging
from dashboard.tests.factories import a_launch
from dashboard.tests.making import NOW, a_discrepancy, a_draft, preview
from restaurant.models import Launch
from restaurant.tests.making import all_statements

#: Orders, with three observations each, two of which are held against the control's.
ORDERS = 500_000
BIG = ("dashboard_observation", "dashboard_observedorder", "restaurant_order")
MAX_STATEMENTS = 15
#: What one statement may touch of a big table: bounded numbers of rows that are looked through.
MAX_ROWS = 25_000
#: SQLite takes several steps for each row: a walk through a big table takes millions.
MAX_STEPS = 1_000_000

_NUMBERS = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {orders})
"""
#: What differs differs among the oldest alone: who expects it everywhere walks far.
_DIFFERS = f"n % 2 = 0 AND n <= {ORDERS // 5}"
_BY_VENDOR = {
    "sqlite": {
        "uuid": "printf('%08x-0000-7000-8000-000000000000', n)",
        "at": "strftime('%Y-%m-%d %H:%M:%f', '2026-01-05 10:00:00', (n * 5) || ' seconds')",
        "launch": "'{launch.hex}'",
        "bytes": "CAST({text} AS blob)",
        "json": "",
    },
    "postgresql": {
        "uuid": "lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000'",
        "at": "timestamptz '2026-01-05 10:00:00+00' + n * interval '5 seconds'",
        "launch": "'{launch}'::uuid",
        "bytes": "convert_to({text}, 'UTF8')",
        "json": "::jsonb",
    },
}
_ORDERS = """
INSERT INTO dashboard_observedorder (id, order_id, launch, number, placed_at, sent_at, arrived_at,
    body, label, size, categories, sample)
{numbers} SELECT n, {uuid}, {launch}, n, {at}, {at}, {at}, {body}, '2 burgers', 2,
    '["note:no"]'{json}, '["vnext"]'{json} FROM numbers ORDER BY n
"""
#: The rarest of all stand at the far end.
_OBSERVATIONS = """
INSERT INTO dashboard_observation (id, order_id, participant_id, state, late, build, worker,
    delivery, handling_ms, result, error_type, error_message, judged_at, exception, signature,
    members, slower)
{numbers} SELECT 3 * n + nth, n, participant, 'handled', FALSE, 'git:1', 'w', 1, 150,
    CASE WHEN nth = 1 AND {differs} THEN {other} ELSE {result} END, '', '',
    CASE WHEN nth > 0 THEN {at} END,
    CASE WHEN nth > 0 AND n <= 3 THEN 'control_failed' WHEN nth = 1 AND {differs} THEN 'differ' END,
    CASE WHEN nth = 1 AND {differs} THEN {signature} END, '',
    CASE WHEN nth > 0 THEN FALSE END
FROM numbers CROSS JOIN (
    SELECT 0 AS nth, {vlatest} AS participant
    UNION ALL SELECT 1, {vnext} UNION ALL SELECT 2, {baseline}
) AS versions ORDER BY n
"""


@dataclass(frozen=True)
class Large:
    """What stands in the large tables."""

    launch: UUID
    discrepancy: int
    order: str
    order_number: int


@pytest.fixture(scope="module")
def large(django_db_setup: None, django_db_blocker: Any) -> Iterator[Large]:
    """A million pairs, made once for all tests of this module."""
    with django_db_blocker.unblock():
        launch = a_launch()
        made = _counted(launch)
        signature = Signature.objects.get().pk
        vendor = _BY_VENDOR[connection().vendor]
        participants = dict(Participant.objects.values_list("version", "pk"))
        with connection().cursor() as cursor:
            for statement in (_ORDERS, _OBSERVATIONS):
                cursor.execute(
                    statement.format(
                        numbers=_NUMBERS.format(orders=ORDERS),
                        uuid=vendor["uuid"],
                        at=vendor["at"],
                        json=vendor["json"],
                        launch=vendor["launch"].format(launch=launch.pk),
                        body=vendor["bytes"].format(text="'{}'"),
                        result=vendor["bytes"].format(text="""'{"total_price":"7.00"}'"""),
                        other=vendor["bytes"].format(text="""'{"total_price":"6.99"}'"""),
                        signature=signature,
                        differs=_DIFFERS,
                        vlatest=participants["vlatest"],
                        vnext=participants["vnext"],
                        baseline=participants["vlatest-b"],
                    )
                )
            cursor.execute(
                "ANALYZE" if connection().vendor == "postgresql" else "PRAGMA user_version"
            )
        newest = ObservedOrder.objects.order_by("-pk")[0]
        made.examples = [[1, ObservedOrder.objects.get(pk=ORDERS // 5).order_id]]
        made.save()
        yield Large(launch.pk, made.pk, newest.order_id, newest.pk)
        for alias in connections:
            with connections[alias].constraint_checks_disabled():
                call_command("flush", database=alias, interactive=False, verbosity=0)


def _counted(launch: Launch) -> Discrepancy:
    """What the tables that do not grow with the orders hold of them."""
    for version, role in (
        ("vlatest", "control"),
        ("vnext", "candidate"),
        ("vlatest-b", "baseline"),
    ):
        pairs = 0 if role == "control" else ORDERS
        Participant.objects.create(
            launch=launch.pk,
            version=version,
            role=role,
            pairs=pairs,
            orders=ORDERS,
            matrix={"differ": pairs // 10},
        )
    found = a_discrepancy(launch.pk, count=ORDERS // 10)
    for number in range(199):
        a_discrepancy(launch.pk, f"field_{number}", count=number)
    Signature.objects.create(
        launch=launch.pk, version="vnext", key="a", counted=[found.pk], pairs=ORDERS // 10
    )
    return found


def explained(sql: str) -> list[str]:
    """What is wrong with a statement: where its work grows with a big table."""
    database = connection() if "dashboard_" in sql else connections[DEFAULT_DB_ALIAS]
    with database.cursor() as cursor:
        if database.vendor == "postgresql":
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}")
            plan = cursor.fetchone()[0]
            plan = json.loads(plan) if isinstance(plan, str) else plan
            return [f"{wrong}: {sql[:400]}" for wrong in _touching_much(plan[0]["Plan"])]
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        plan = [row[3] for row in cursor.fetchall()]
    scans = [one for one in plan if one.startswith("SCAN") and _is_big(one.split()[1], sql)]
    stops_early = " LIMIT " in sql and " WHERE " not in sql and "TEMP B-TREE" not in str(plan)
    return [] if stops_early else [f"{one}: {sql[:400]}" for one in scans]


def _is_big(name: str, sql: str) -> bool:
    called = {
        table for table, alias in re.findall(r'"(\w+)" (?:AS )?"?(\w+)', sql) if alias == name
    }
    return not called.isdisjoint(BIG) or name in BIG


def _touching_much(node: dict[str, Any]) -> Iterator[str]:
    if node.get("Relation Name") in BIG:
        each = sum(
            node.get(name, 0)
            for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        )
        if (rows := each * node["Actual Loops"]) > MAX_ROWS:
            yield f"{node['Node Type']} of {rows} rows of {node['Relation Name']}"
    for inner in node.get("Plans", ()):
        yield from _touching_much(inner)


@contextmanager
def steps_counted() -> Iterator[list[int]]:
    """The thousands of steps that SQLite takes; none are counted elsewhere."""
    steps = [0]
    databases: list[Any] = [one for one in connections.all() if one.vendor == "sqlite"]

    def count() -> int:
        steps[0] += 1000
        return 0

    for database in databases:
        database.ensure_connection()
        database.connection.set_progress_handler(count, 1000)
    try:
        yield steps
    finally:
        for database in databases:
            database.connection.set_progress_handler(None, 1000)


def _is_read(sql: str) -> bool:
    return sql.lstrip(" (").startswith(("SELECT", "WITH"))


def assert_bounded(captured: list[str], steps: list[int]) -> None:
    statements = [sql for sql in captured if _is_read(sql)]
    assert statements
    assert [wrong for sql in statements for wrong in explained(sql)] == []
    assert steps[0] < MAX_STEPS


def seen(client: Client, url: str, *, most: int = MAX_STATEMENTS, **asked: str) -> Any:
    """Get a page, and hold it to what a page may cost."""
    with all_statements() as captured, steps_counted() as steps:
        started = time.perf_counter()
        response = client.get(url, asked)
        took_ms = 1000 * (time.perf_counter() - started)
    print(f"{url} {asked}: {took_ms:.0f} ms, {len(captured)} statements, {steps[0]:,} steps")
    assert response.status_code == 200
    assert len(captured) < most
    assert_bounded(captured, steps)
    return response


@pytest.mark.django_db
def test_the_tables_are_large(large: Large) -> None:
    assert ObservedOrder.objects.count() == ORDERS
    assert Observation.objects.count() == 3 * ORDERS


@pytest.mark.django_db
def test_a_statement_that_walks_through_a_table_is_found(large: Large) -> None:
    slow = [
        Observation.objects.filter(judged_at=NOW),
        Observation.objects.filter(error_type="x").order_by("-pk")[:10],
        Observation.objects.filter(state="missing").order_by("-pk")[:10],
        ObservedOrder.objects.filter(label="x").order_by("placed_at")[:10],
    ]
    for rows in slow:
        with all_statements() as captured, steps_counted() as steps:
            assert list(rows) == []
        assert explained(captured[0])
        assert connection().vendor != "sqlite" or steps[0] > MAX_STEPS


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    [
        "/admin/dashboard/discrepancy/",
        "/admin/dashboard/discrepancy/?state=open&version=vnext&kind=value&q=field",
        "/admin/dashboard/discrepancy/{discrepancy}/change/",
        "/admin/dashboard/participant/",
        "/dashboard/discrepancies/",
        "/dashboard/discrepancies/?launch={launch}&version=vnext&state=open",
        "/dashboard/discrepancies/{discrepancy}/",
        "/dashboard/rules/",
        "/dashboard/orders/{order}/",
    ],
)
def test_a_page_is_bounded(large: Large, admin_client: Client, url: str) -> None:
    values = {"launch": large.launch, "discrepancy": large.discrepancy, "order": large.order}
    seen(admin_client, url.format(**values))


@pytest.mark.django_db
def test_the_board_reads_no_history(large: Large, admin_client: Client) -> None:
    # The newest changes of the launch, what was sent again, queues that were refused, what guards
    # did, the newest launches, and the marks of the charts: builds, thresholds and reviews.
    seen(admin_client, "/dashboard/", most=2 * MAX_STATEMENTS + 8)


@pytest.mark.django_db
@pytest.mark.parametrize("version", ["vnext", "vlatest-b"])
@pytest.mark.parametrize("by", [one for one in Filter if one is not Filter.ALL])
def test_a_filter_on_the_board_is_bounded(
    large: Large, admin_client: Client, by: Filter, version: str
) -> None:
    response = seen(
        admin_client, "/dashboard/", most=3 * MAX_STATEMENTS, filter=by, version=version
    )
    newest = {Filter.FAILED: 3, Filter.DIFFERING: ORDERS // 5 if version == "vnext" else None}
    rows = response.context["frame"]["rows"]
    assert (int(rows[0]["name"][1:]) if rows else None) == newest.get(by)


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["fedc", "0000", "00000001-0000", "#1", "#99999999"])
def test_a_search_on_the_board_is_bounded(large: Large, admin_client: Client, text: str) -> None:
    seen(admin_client, "/dashboard/", most=3 * MAX_STATEMENTS, q=text)


@pytest.mark.django_db
def test_the_orders_of_a_discrepancy_are_found_by_the_index(large: Large) -> None:
    found = Discrepancy.objects.get(pk=large.discrepancy)
    with all_statements() as captured, steps_counted() as steps:
        orders = orders_of(found, 1000)
    assert len(orders) == 1000
    assert orders[0] == ORDERS // 5
    assert len(captured) <= 3
    assert_bounded(captured, steps)


@pytest.mark.django_db
def test_a_preview_and_a_step_of_a_judgement_read_bounded_numbers_of_rows(large: Large) -> None:
    with all_statements() as captured, steps_counted() as steps:
        found = preview(large.launch, a_draft("total_price"), NOW)
    assert (found.evaluated, found.of, found.hidden) == (1000, ORDERS // 10, 1000)
    assert not found.complete
    assert_bounded(captured, steps)
    with all_statements() as captured, steps_counted() as steps:
        request_rejudging(large.launch, author="ada", now=NOW)
        Recorder.take_over().rejudge(NOW, 50)
    # Every second of these orders differs.
    assert Rejudging.objects.get().judged == 25
    assert_bounded(captured, steps)
