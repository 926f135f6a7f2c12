"""Reads rows by a condition written in SQL: what Django's querysets do, with nothing built twice.

For the queries of every batch. Django puts each of them together from objects anew, which takes it
longer than the database needs to answer. What a value becomes in Python is Django's own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, models

_Model = TypeVar("_Model", bound=models.Model)
_Convert = Callable[[Any, Any, Any], Any]


class _Reading(NamedTuple):
    """The beginning of a query, and what its columns become: by place, one after the other."""

    select: str
    converters: Sequence[tuple[int, Any, Sequence[_Convert]]]


def read(
    model: type[models.Model], fields: tuple[str, ...], where: str, values: Sequence[Any] = ()
) -> list[Sequence[Any]]:
    """The fields of the rows for which a condition holds. Raises django.db.Error.

    ``values`` fill the condition's ``%s`` as the database takes them: an id as its hex digits.
    """
    reading = _reading(model, fields, connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(f"{reading.select} WHERE {where}", values)
        rows: list[Sequence[Any]] = cursor.fetchall()
    return [_converted(row, reading) for row in rows] if reading.converters else rows


def read_objects(
    model: type[_Model], where: str, values: Sequence[Any] = (), *, lock: bool = False
) -> list[_Model]:
    """The same as objects of the model; locked until the transaction ends, where asked for and
    where the database locks rows."""
    names = _names(model)
    lock = lock and connection.features.has_select_for_update
    rows = read(model, names, f"{where} FOR UPDATE" if lock else where, values)
    return [model.from_db(DEFAULT_DB_ALIAS, names, row) for row in rows]


def among(column: str, values: Collection[object]) -> str:
    """The condition that a column is one of so many values; at least one."""
    return f"{connection.ops.quote_name(column)} IN ({', '.join(['%s'] * len(values))})"


@cache
def _names(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(column.attname for column in model._meta.concrete_fields)


@cache
def _reading(model: type[models.Model], fields: tuple[str, ...], vendor: str) -> _Reading:
    """Of the database of this vendor: a process has one."""
    quote, table = connection.ops.quote_name, model._meta.db_table
    found = {column.attname: column for column in model._meta.concrete_fields}
    columns = [found[name].get_col(table) for name in fields]
    names = ", ".join(quote(str(found[name].column)) for name in fields)
    converters = [
        (place, column, to_python)
        for place, column in enumerate(columns)
        if (
            to_python := [
                *connection.ops.get_db_converters(column),
                *column.get_db_converters(connection),
            ]
        )
    ]
    return _Reading(f"SELECT {names} FROM {quote(table)}", converters)


def _converted(row: Sequence[Any], reading: _Reading) -> Sequence[Any]:
    values = list(row)
    for place, column, converters in reading.converters:
        for convert in converters:
            values[place] = convert(values[place], column, connection)
    return values
