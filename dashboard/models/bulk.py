"""Writes many rows with one statement: what Django's bulk methods do, at a fraction of their cost.

Django builds an expression for every value of every row, which costs more than the database's own
work. Here values go as they are: to SQLite as the parameters of one prepared statement, to
PostgreSQL as one JSON document, which the server takes apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from django.db import connection, models

#: Rows in one document for PostgreSQL: as many of the largest results make it 128 MB.
_AT_ONCE = 500

#: A value for each of the fields.
Row = Sequence[Any]
_Column: TypeAlias = "models.Field[Any, Any]"


class _Statement(NamedTuple):
    """What is written: by a statement of one row each, or by one for many."""

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
    """Insert rows, no key twice; of those that are stored already, by their key, write the updated
    fields alone. Raises django.db.Error, or OverflowError for a number too large for SQLite."""
    _run(_upserting(model, fields, key, updated), rows)


def update(model: type[models.Model], fields: tuple[str, ...], rows: Iterable[Row]) -> None:
    """Write the fields of stored rows, each of which ends with its id. Raises as ``upsert``."""
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
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            names = [column.column for column in columns]
            for start in range(0, len(rows), _AT_ONCE):
                some = rows[start : start + _AT_ONCE]
                document = _json([dict(zip(names, one, strict=True)) for one in some])
                cursor.execute(statement.of_many, [document])
        else:
            cursor.executemany(statement.of_one, _adapted(rows, columns))


def _adapted(rows: Sequence[Row], columns: Sequence[_Column]) -> list[Row]:
    """The rows as SQLite keeps them, column by column: most need nothing."""
    by_column = [
        values if (adapt := _ADAPTS.get(type(column))) is None else map(adapt, values)
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


_ADAPTS: dict[type[_Column], Callable[[Any], Any]] = {
    models.DateTimeField: _moment,
    models.UUIDField: _hex,
    models.JSONField: _json,
}


def _columns(model: type[models.Model], fields: Sequence[str]) -> list[_Column]:
    columns = {column.attname: column for column in model._meta.concrete_fields}
    return [columns[name] for name in fields]


def _document(columns: Sequence[_Column]) -> str:
    """PostgreSQL's one parameter as the rows that it holds."""
    types = (f"{_name(column.attname)} {column.rel_db_type(connection)}" for column in columns)
    return f"json_to_recordset(%s) AS new({', '.join(types)})"


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(_name, names))


def _name(name: str) -> str:
    return connection.ops.quote_name(name)
