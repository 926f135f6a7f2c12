"""Copies the rows of the first period into the following ones: statements of the database's own.

A copy's ids lie whole strides behind, its moments whole periods later, and its order has the name
of its own number. All else is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, models

from bench.growth.bulk import Bulk
from bench.growth.names import Period
from dashboard.models import Comparison, Observation, TimeSlice
from restaurant.models import Letter, Order, OrderLine

#: The tables that grow with the orders, or with time, and what joins an order's row to theirs.
GROWING: dict[type[models.Model], str] = {
    Order: "placed.id = first.id",
    OrderLine: "placed.id = first.order_id",
    Letter: "placed.id = first.order_id",
    Observation: 'placed.uuid = first."order"',
    Comparison: 'placed.uuid = first."order"',
    TimeSlice: "placed.id = 1",
}
_NUMBER = "number + copy * {orders}"
_BODY = """replace(replace(replace({body},
    '"id":"' || {old_name} || '"', '"id":"' || {new_name} || '"'),
    '"number":' || number || ',', '"number":' || ({number}) || ','),
    {old_time}, {new_time})"""


@dataclass(frozen=True)
class Mould:
    """The first period's rows of one table, in a table of their own."""

    model: type[models.Model]
    #: How far the ids of a copy lie behind those of the one before.
    stride: int

    @property
    def table(self) -> str:
        """The table that it is for."""
        return table_of(self.model)

    @property
    def fields(self) -> Sequence[models.Field[Any, Any]]:
        """What has a column."""
        return self.model._meta.concrete_fields  # noqa: SLF001 - Django's way to them

    @property
    def kept(self) -> str:
        """Where the rows are."""
        return f"first_{self.table}"


def table_of(model: type[models.Model]) -> str:
    """The name of a model's table."""
    return model._meta.db_table  # noqa: SLF001 - Django's way to it


def take_moulds() -> list[Mould]:
    """Set the rows aside, each with its order's number, and empty the tables."""
    moulds = []
    with connection.cursor() as cursor:
        for model, condition in GROWING.items():
            table = table_of(model)
            cursor.execute(f"SELECT max(id) FROM {table}")  # noqa: S608 - names of ours
            mould = Mould(model, int(cursor.fetchone()[0]))
            cursor.execute(
                f"CREATE TEMPORARY TABLE {mould.kept} AS"  # noqa: S608
                " SELECT first.*, placed.id AS number, placed.placed_at AS placed"
                f" FROM {table} first JOIN restaurant_order placed ON {condition} ORDER BY first.id"
            )
            moulds.append(mould)
    return moulds


def drop_moulds(moulds: Sequence[Mould]) -> None:
    """Let go of what was set aside."""
    with connection.cursor() as cursor:
        for mould in moulds:
            cursor.execute(f"DROP TABLE {mould.kept}")


def copy(moulds: Sequence[Mould], bulk: Bulk, period: Period, *, first: int, last: int) -> None:
    """Fill the tables with the copies of the first period, from one to another."""
    with connection.cursor() as cursor:
        for mould in moulds:
            names = ", ".join(f'"{field.column}"' for field in mould.fields)
            values = ", ".join(_value(field, mould, bulk, period) for field in mould.fields)
            cursor.execute(
                f"INSERT INTO {mould.table} ({names}) SELECT {values}"  # noqa: S608
                f" FROM ({bulk.series(first, last)}) AS copies CROSS JOIN {mould.kept}"
                " ORDER BY copy, id"
            )


def _value(field: models.Field[Any, Any], mould: Mould, bulk: Bulk, period: Period) -> str:
    """What stands in a column of a copy."""
    column, number = f'"{field.column}"', _NUMBER.format(orders=period.orders)
    if field.primary_key:
        return f"id + copy * {mould.stride}"
    if isinstance(field, models.DateTimeField):
        return bulk.later(column)
    if field.column == "order_id":
        return number
    if field.column in ("order", "uuid"):
        return bulk.name(number)
    if isinstance(field, models.BinaryField):
        return _body(column, bulk, number)
    if field.column == "start":
        return f"{column} + copy * {period.seconds}"
    return column


def _body(column: str, bulk: Bulk, number: str) -> str:
    return bulk.as_bytes(
        _BODY.format(
            body=bulk.as_text(column),
            old_name=bulk.name_as_text("number"),
            new_name=bulk.name_as_text(number),
            number=number,
            old_time=bulk.written("placed"),
            new_time=bulk.written(bulk.later("placed")),
        )
    )
