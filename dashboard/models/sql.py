"""Bulk reads and writes at a fraction of the cost of Django's querysets, for every batch.

Django builds an expression for every value of every row, and each query from objects, which takes
longer than the database needs. Here values are written as they are: to SQLite as the parameters of
one prepared statement, to PostgreSQL as one JSON document. Values read are converted by Django's
own converters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from django.db import models

from dashboard.database import ALIAS, connection

#: Rows in one document for PostgreSQL: 128 MB with the largest results.
_AT_ONCE = 500

#: One value per field.
Row = Sequence[Any]
_Column: TypeAlias = "models.Field[Any, Any]"
_Adapts: TypeAlias = "Mapping[type[_Column], Callable[[Any], Any]]"


class _Statement(NamedTuple):
    """The same write as a statement for one row, and for many."""

    columns: Sequence[_Column]
    of_one: str
    of_many: str


def upsert(
    model: type[models.Model],
    fields: tuple[str, ...],
    rows: Iterable[Row],
    *,
    key: tuple[str, ...],
    updated: tuple[str, ...],
) -> None:
    """Insert rows with distinct keys; of those stored already, write only the updated fields.

    Raises django.db.Error, or OverflowError for a number too large for SQLite.
    """
    _run(_upserting(model, fields, key, updated), rows)


def update(model: type[models.Model], fields: tuple[str, ...], rows: Iterable[Row]) -> None:
    """Write the fields of stored rows; each row ends with its id. Raises like ``upsert``."""
    _run(_updating(model, fields), rows)


@cache
def _upserting(
    model: type[models.Model],
    fields: tuple[str, ...],
    key: tuple[str, ...],
    updated: tuple[str, ...],
) -> _Statement:
    table, columns = _name(model._meta.db_table), _columns(model, fields)
    sets = ", ".join(f"{_name(name)} = excluded.{_name(name)}" for name in updated)
    into = f"INSERT INTO {table} ({_names(fields)})"
    conflict = f"ON CONFLICT ({_names(key)}) DO UPDATE SET {sets}"
    return _Statement(
        columns,
        of_one=f"{into} VALUES ({', '.join(['%s'] * len(columns))}) {conflict}",
        of_many=f"{into} SELECT {_names(fields)} FROM {_document(columns)} {conflict}",
    )


@cache
def _updating(model: type[models.Model], fields: tuple[str, ...]) -> _Statement:
    table, columns = _name(model._meta.db_table), _columns(model, (*fields, "id"))
    given = ", ".join(f"{_name(name)} = %s" for name in fields)
    found = ", ".join(f"{_name(name)} = new.{_name(name)}" for name in fields)
    return _Statement(
        columns,
        of_one=f"UPDATE {table} SET {given} WHERE id = %s",
        of_many=f"UPDATE {table} SET {found} FROM {_document(columns)} WHERE {table}.id = new.id",
    )


def _run(statement: _Statement, rows: Iterable[Row]) -> None:
    rows = list(rows)
    if not rows:
        return
    columns = statement.columns
    with connection().cursor() as cursor:
        if connection().vendor == "postgresql":
            names = [column.column for column in columns]
            rows = _adapted(rows, columns, _ADAPTS_JSON)
            for start in range(0, len(rows), _AT_ONCE):
                some = rows[start : start + _AT_ONCE]
                document = _json([dict(zip(names, one, strict=True)) for one in some])
                cursor.execute(statement.of_many, [document])
        else:
            cursor.executemany(statement.of_one, _adapted(rows, columns, _ADAPTS))


def _adapted(rows: Sequence[Row], columns: Sequence[_Column], adapts: _Adapts) -> list[Row]:
    """The rows with values converted for the database, column by column."""
    by_column = [
        values if (adapt := adapts.get(type(column))) is None else map(adapt, values)
        for column, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    return list(zip(*by_column, strict=True))


def _moment(at: datetime | None) -> str | None:
    if at is None:
        return None
    return str(at if at.tzinfo is UTC else at.astimezone(UTC)).removesuffix("+00:00")


def _hex(uuid: UUID | None) -> str | None:
    return None if uuid is None else uuid.hex


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _hex_bytes(value: bytes) -> str:
    return f"\\x{value.hex()}"


#: Conversions for SQLite, and for PostgreSQL's JSON document.
_ADAPTS: _Adapts = {
    models.DateTimeField: _moment,
    models.UUIDField: _hex,
    models.JSONField: _json,
}
_ADAPTS_JSON: _Adapts = {models.BinaryField: _hex_bytes}


def _columns(model: type[models.Model], fields: Sequence[str]) -> list[_Column]:
    columns = {column.attname: column for column in model._meta.concrete_fields}
    return [columns[name] for name in fields]


def _document(columns: Sequence[_Column]) -> str:
    """PostgreSQL's JSON parameter as rows."""
    types = (f"{_name(column.attname)} {column.rel_db_type(connection())}" for column in columns)
    return f"json_to_recordset(%s) AS new({', '.join(types)})"


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(_name, names))


def _name(name: str) -> str:
    return connection().ops.quote_name(name)


_Model = TypeVar("_Model", bound=models.Model)
_Convert = Callable[[Any, Any, Any], Any]


class _Reading(NamedTuple):
    """The beginning of a query, and converters by column index."""

    select: str
    converters: Sequence[tuple[int, Any, Sequence[_Convert]]]


def read(
    model: type[models.Model], fields: tuple[str, ...], where: str, values: Sequence[Any] = ()
) -> list[Sequence[Any]]:
    """The fields of the rows that meet an SQL condition. Raises django.db.Error.

    ``values`` for the condition's ``%s`` are not converted: pass a UUID as hex digits.
    """
    reading = _reading(model, fields, connection().vendor)
    with connection().cursor() as cursor:
        cursor.execute(f"{reading.select} WHERE {where}", values)
        rows: list[Sequence[Any]] = cursor.fetchall()
    return [_converted(row, reading) for row in rows] if reading.converters else rows


def read_objects(model: type[_Model], where: str, values: Sequence[Any] = ()) -> list[_Model]:
    """The rows as objects of the model."""
    names = _attributes(model)
    return [model.from_db(ALIAS, names, row) for row in read(model, names, where, values)]


def among(column: str, values: Collection[object]) -> str:
    """The condition that a column has one of these values, of which there must be any."""
    return f"{connection().ops.quote_name(column)} IN ({', '.join(['%s'] * len(values))})"


@cache
def _attributes(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(column.attname for column in model._meta.concrete_fields)


@cache
def _reading(model: type[models.Model], fields: tuple[str, ...], vendor: str) -> _Reading:
    quote, table = connection().ops.quote_name, model._meta.db_table
    found = {column.attname: column for column in model._meta.concrete_fields}
    columns = [found[name].get_col(table) for name in fields]
    names = ", ".join(quote(str(found[name].column)) for name in fields)
    converters = [
        (place, column, to_python)
        for place, column in enumerate(columns)
        if (
            to_python := [
                *connection().ops.get_db_converters(column),
                *column.get_db_converters(connection()),
            ]
        )
    ]
    return _Reading(f"SELECT {names} FROM {quote(table)}", converters)


def _converted(row: Sequence[Any], reading: _Reading) -> Sequence[Any]:
    values, database = list(row), connection()
    for place, column, converters in reading.converters:
        for convert in converters:
            values[place] = convert(values[place], column, database)
    return values
