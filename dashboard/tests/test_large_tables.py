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
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.models import (
    Comparison,
    Discrepancy,
    Example,
    Observation,
    Rejudging,
    Signature,
    Tally,
)
from dashboard.reviewing.discrepancies import orders_of
from dashboard.reviewing.rejudging import request, step
from dashboard.tests.factories import a_launch
from dashboard.tests.making import NOW, a_discrepancy, a_draft, preview
from restaurant.models import Launch, Letter, Order

#: Orders, with two observations and two pairs each.
ORDERS = 500_000
BIG = ("dashboard_comparison", "dashboard_observation", "restaurant_order")
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
        "uuid": "printf('%032x', n)",
        "at": "strftime('%Y-%m-%d %H:%M:%f', '2026-01-05 10:00:00', (n * 5) || ' seconds')",
        "launch": "'{launch.hex}'",
    },
    "postgresql": {
        "uuid": "lpad(to_hex(n), 32, '0')::uuid",
        "at": "timestamptz '2026-01-05 10:00:00+00' + n * interval '5 seconds'",
        "launch": "'{launch}'",
    },
}
_ORDERS = """
INSERT INTO restaurant_order (uuid, launch_id, placed_at, note, total_price, total_prep_time,
    request_digest, state)
{numbers} SELECT {uuid}, {launch}, {at}, '', 7, 10, '', 'ready' FROM numbers ORDER BY n
"""
_OBSERVATIONS = """
INSERT INTO dashboard_observation (launch, "order", version, role, state, late, build, worker,
    delivery, placed_at, handling_ms, result, error_type, error_message)
{numbers} SELECT {launch}, {uuid}, version, role, 'handled', FALSE, 'git:1', 'w', 1, {at}, 150,
    CASE WHEN version = 'vnext' AND {differs}
        THEN '{{"total_price":"6.99"}}' ELSE '{{"total_price":"7.00"}}' END, '', ''
FROM numbers CROSS JOIN (
    SELECT 'vlatest' AS version, 'control' AS role UNION ALL SELECT 'vnext', 'candidate'
) AS versions ORDER BY n
"""
#: The rarest of all stand at the far end.
_COMPARISONS = """
INSERT INTO dashboard_comparison (launch, "order", version, outcome, control_ms, version_ms,
    signature, members, slower, compared_at)
{numbers} SELECT {launch}, {uuid}, version,
    CASE WHEN n <= 3 THEN 'control_failed' WHEN version = 'vnext' AND {differs} THEN 'differ'
        ELSE 'agree' END,
    150, 150, CASE WHEN version = 'vnext' AND {differs} THEN {signature} END, '', FALSE, {at}
FROM numbers CROSS JOIN (
    SELECT 'vnext' AS version UNION ALL SELECT 'vlatest-b'
) AS versions ORDER BY n
"""


@dataclass(frozen=True)
class Large:
    """What stands in the large tables."""

    launch: UUID
    discrepancy: int
    order: UUID
    order_number: int


@pytest.fixture(scope="module")
def large(django_db_setup: None, django_db_blocker: Any) -> Iterator[Large]:
    """A million pairs, made once for all tests of this module."""
    with django_db_blocker.unblock():
        launch = a_launch()
        made = _counted(launch)
        signature = Signature.objects.get().pk
        by_vendor = {
            name: text.format(launch=launch.pk)
            for name, text in _BY_VENDOR[connection.vendor].items()
        }
        with connection.cursor() as cursor:
            for statement in (_ORDERS, _OBSERVATIONS, _COMPARISONS):
                numbers = _NUMBERS.format(orders=ORDERS)
                cursor.execute(
                    statement.format(
                        numbers=numbers, signature=signature, differs=_DIFFERS, **by_vendor
                    )
                )
            cursor.execute(
                "ANALYZE" if connection.vendor == "postgresql" else "PRAGMA user_version"
            )
        newest = Order.objects.order_by("-pk")[0]
        shown = Order.objects.get(pk=newest.pk - ORDERS + ORDERS // 5)
        Letter.objects.create(order=newest, launch=launch, body=b"{}", sample=["vnext"])
        Example.objects.create(discrepancy=made, slot=0, order=shown.uuid)
        yield Large(launch.pk, made.pk, newest.uuid, newest.pk)
        with connection.constraint_checks_disabled():
            call_command("flush", interactive=False, verbosity=0)


def _counted(launch: Launch) -> Discrepancy:
    """What the tables that do not grow with the orders hold of them."""
    for version, role in (
        ("vlatest", "control"),
        ("vnext", "candidate"),
        ("vlatest-b", "baseline"),
    ):
        pairs = 0 if role == "control" else ORDERS
        Tally.objects.create(
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
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
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
    if connection.vendor != "sqlite":
        yield steps
        return

    def count() -> int:
        steps[0] += 1000
        return 0

    connection.ensure_connection()
    connection.connection.set_progress_handler(count, 1000)
    try:
        yield steps
    finally:
        connection.connection.set_progress_handler(None, 1000)


def _is_read(sql: str) -> bool:
    return sql.lstrip(" (").startswith(("SELECT", "WITH"))


def assert_bounded(captured: CaptureQueriesContext, steps: list[int]) -> None:
    statements = [one["sql"] for one in captured if _is_read(one["sql"])]
    assert statements
    assert [wrong for sql in statements for wrong in explained(sql)] == []
    assert steps[0] < MAX_STEPS


def seen(client: Client, url: str, *, statements: int = MAX_STATEMENTS, **asked: str) -> Any:
    """Get a page, and hold it to what a page may cost."""
    with CaptureQueriesContext(connection) as captured, steps_counted() as steps:
        started = time.perf_counter()
        response = client.get(url, asked)
        took_ms = 1000 * (time.perf_counter() - started)
    print(f"{url} {asked}: {took_ms:.0f} ms, {len(captured)} statements, {steps[0]:,} steps")
    assert response.status_code == 200
    assert len(captured) < statements
    assert_bounded(captured, steps)
    return response


@pytest.mark.django_db
def test_the_tables_are_large(large: Large) -> None:
    assert Comparison.objects.count() == 2 * ORDERS
    assert Observation.objects.count() == 2 * ORDERS


@pytest.mark.django_db
def test_a_statement_that_walks_through_a_table_is_found(large: Large) -> None:
    slow = [
        Comparison.objects.filter(compared_at=NOW),
        Comparison.objects.filter(outcome="missing").order_by("-pk")[:10],
        Observation.objects.filter(state="missing").order_by("-pk")[:10],
        Order.objects.filter(note="x").order_by("placed_at")[:10],
    ]
    for rows in slow:
        with CaptureQueriesContext(connection) as captured, steps_counted() as steps:
            assert list(rows) == []
        assert explained(captured[0]["sql"])
        assert connection.vendor != "sqlite" or steps[0] > MAX_STEPS


_CHOICES: list[dict[str, str]] = [
    {},
    {"p": "100"},
    {"launch": "it"},
    {"launch": "it", "version": "vnext"},
    {"version": "vlatest-b"},
    {"placed": "2026"},
    {"placed": "2026-01-07"},
    {"placed": "2026-01-07T11", "launch": "it", "version": "vnext"},
    {"placed": "2031"},
    {"q": "number"},
    {"q": "id"},
    {"q": "99999999"},
]


def _asked(large: Large, choice: dict[str, str]) -> dict[str, Any]:
    words = {"it": large.launch, "number": f"#{large.order_number}", "id": large.order}
    return {name: str(words.get(value, value)) for name, value in choice.items()}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "choice",
    [
        *_CHOICES,
        {"outcome": "missing"},
        {"launch": "it", "outcome": "control_failed"},
        {"launch": "it", "version": "vnext", "outcome": "control_failed"},
        {"launch": "it", "version": "vnext", "outcome": "agree", "p": "100"},
    ],
    ids=str,
)
def test_the_admins_list_of_pairs_is_bounded(
    large: Large, admin_client: Client, choice: dict[str, str]
) -> None:
    url = "/admin/dashboard/comparison/"
    response = seen(admin_client, url, **_asked(large, choice))
    found = response.context["cl"].result_list
    if choice.get("version") == "vnext" and choice.get("outcome") == "control_failed":
        assert len(found) == 3
    if "2026-01-07" in choice.values():
        assert {one.compared_at.date().isoformat() for one in found} == {"2026-01-07"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "choice", [*_CHOICES, {"state": "missing"}, {"launch": "it", "role": "baseline"}], ids=str
)
def test_the_admins_list_of_observations_is_bounded(
    large: Large, admin_client: Client, choice: dict[str, str]
) -> None:
    url = "/admin/dashboard/observation/"
    seen(admin_client, url, **_asked(large, choice))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    [
        "/admin/dashboard/discrepancy/",
        "/admin/dashboard/discrepancy/?state=open&version=vnext&kind=value&q=field",
        "/admin/dashboard/discrepancy/{discrepancy}/change/",
        "/admin/dashboard/tally/",
        "/admin/restaurant/order/",
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
    # The newest changes of the launch, what was sent again, and queues that were refused.
    seen(admin_client, "/dashboard/", statements=2 * MAX_STATEMENTS + 3)


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["fedc", "0000", "#1", "#99999999"])
def test_a_search_on_the_board_is_bounded(large: Large, admin_client: Client, text: str) -> None:
    seen(admin_client, "/dashboard/", statements=3 * MAX_STATEMENTS, q=text)


@pytest.mark.django_db
def test_the_page_of_a_pair_and_of_an_observation_are_bounded(
    large: Large, admin_client: Client
) -> None:
    for model, rows in (("comparison", Comparison), ("observation", Observation)):
        pk = rows.objects.order_by("-pk").values_list("pk", flat=True)[0]
        url = reverse(f"admin:dashboard_{model}_change", args=[pk])
        seen(admin_client, url)


@pytest.mark.django_db
def test_the_orders_of_a_discrepancy_are_found_by_the_index(large: Large) -> None:
    found = Discrepancy.objects.get(pk=large.discrepancy)
    with CaptureQueriesContext(connection) as captured, steps_counted() as steps:
        orders = orders_of(found, 1000)
    assert len(orders) == 1000
    assert orders[0].int == ORDERS // 5
    assert len(captured) <= 3
    assert_bounded(captured, steps)


@pytest.mark.django_db
def test_a_preview_and_a_step_of_a_judgement_read_bounded_numbers_of_rows(large: Large) -> None:
    with CaptureQueriesContext(connection) as captured, steps_counted() as steps:
        found = preview(large.launch, a_draft("total_price"), NOW)
    assert (found.looked, found.of, found.hidden) == (1000, ORDERS // 10, 1000)
    assert not found.complete
    assert_bounded(captured, steps)
    with CaptureQueriesContext(connection) as captured, steps_counted() as steps:
        request(large.launch, author="ada", now=NOW)
        step(NOW)
    assert Rejudging.objects.get().judged == 50
    assert_bounded(captured, steps)
