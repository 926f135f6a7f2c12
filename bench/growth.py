"""Grows a database: orders that the product has recorded, copied by the database itself.

A copy has ids and an order of its own; all else is the same, its times as well. So the launch lasts
as long as before, and orders alone are more.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg

from bench.rig import Engine, Product
from local.stack import both_files

#: What joins the rows of each table that grows with the orders to the copied orders.
_TABLES = {
    "restaurant_order": "copied.id = old.id",
    "restaurant_orderline": "copied.id = old.order_id",
    "dashboard_observedorder": "copied.id = old.number",
    "dashboard_observation": "copied.id = old.order_id",
}
_NEW_UUID = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "gen_random_uuid()"}
#: An order's id as the dashboard has it: its text.
_AS_TEXT = {
    "sqlite": (
        "substr({0}, 1, 8) || '-' || substr({0}, 9, 4) || '-' || substr({0}, 13, 4) || '-'"
        " || substr({0}, 17, 4) || '-' || substr({0}, 21)"
    ),
    "postgresql": "{0}::text",
}


def grow(product: Product, orders: int, *, engine: Engine) -> int:
    """Copy all orders of a product that nobody uses until there are so many; gives how many there
    are then: whole copies."""
    with closing(_connected(product.database_url, engine)) as connection:
        cursor = connection.cursor()
        strides = {table: _newest(cursor, table) for table in _TABLES}
        recorded = strides["restaurant_order"]
        copies = -(-orders // recorded) - 1
        for number in range(1, copies + 1):
            _copy(cursor, strides, number, engine)
            connection.commit()
        cursor.execute("analyze" if engine == "postgresql" else "select 1")
        connection.commit()
    return recorded * (copies + 1)


def _connected(url: str, engine: Engine) -> Any:
    if engine == "postgresql":
        return psycopg.connect(url)
    connection = both_files(url)
    connection.execute("pragma synchronous = off")
    return connection


def _newest(cursor: Any, table: str) -> int:
    cursor.execute(f"select max(id) from {table}")  # noqa: S608 - a name of ours
    return int(cursor.fetchone()[0])


def _copy(cursor: Any, strides: dict[str, int], number: int, engine: Engine) -> None:
    """The so many-th copy of what was recorded."""
    recorded = strides["restaurant_order"]
    cursor.execute(
        f"create temporary table copied as select id, {_NEW_UUID[engine]} as fresh"  # noqa: S608
        f" from restaurant_order where id <= {recorded}"
    )
    cursor.execute("create index copied_id on copied (id)")
    for table, condition in _TABLES.items():
        changed = {
            "id": f"old.id + {number * strides[table]}",
            "order_id": f"old.order_id + {number * recorded}",
            "number": f"old.number + {number * recorded}",
            "uuid": "copied.fresh",
        }
        if table == "dashboard_observedorder":
            changed["order_id"] = _AS_TEXT[engine].format("copied.fresh")
        cursor.execute(f"select * from {table} limit 0")  # noqa: S608
        columns = [column[0] for column in cursor.description]
        values = ", ".join(changed.get(name, f'old."{name}"') for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        cursor.execute(
            f"insert into {table} ({names}) select {values} from {table} old"  # noqa: S608
            f" join copied on {condition} where old.id <= {strides[table]} order by old.id"
        )
    cursor.execute("drop table copied")
