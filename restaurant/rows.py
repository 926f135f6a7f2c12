"""Writes rows into a model's table, many with one statement, and no object a row."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections, models

#: Rows of one statement; times the widest table's columns, below every database's bound.
_CHUNK = 100


def insert(
    model: type[models.Model], names: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> list[int]:
    """Insert rows of the named columns; gives their new ids, in the same order."""
    fields = _fields(model, names)
    database = connections[DEFAULT_DB_ALIAS]
    ids: list[int] = []
    with database.cursor() as cursor:
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            values = [
                field.get_db_prep_save(value, database)
                for row in chunk
                for field, value in zip(fields, row, strict=True)
            ]
            cursor.execute(_statement(model, names, len(chunk)), values)
            ids += [row[0] for row in cursor.fetchall()]
    return ids


@cache
def _fields(model: type[models.Model], names: tuple[str, ...]) -> list[models.Field[Any, Any]]:
    found = {one.attname: one for one in model._meta.concrete_fields}  # noqa: SLF001
    return [found[name] for name in names]


@cache
def _statement(model: type[models.Model], names: tuple[str, ...], count: int) -> str:
    columns = ", ".join(f'"{field.column}"' for field in _fields(model, names))
    row = f"({', '.join(['%s'] * len(names))})"
    values = ", ".join([row] * count)
    table = model._meta.db_table  # noqa: SLF001
    return f'INSERT INTO "{table}" ({columns}) VALUES {values} RETURNING "id"'  # noqa: S608


def run_for_each(statement: str, rows: Sequence[Sequence[Any]]) -> int:
    """Run one statement for each of so many rows, prepared once; gives how many rows changed.

    Raises django.db.Error. Django's own bulk methods take five times as long; and on PostgreSQL its
    cursor writes the values into the statement, which is sent and planned anew for each row.
    """
    if not rows:
        return 0
    with connection.cursor() as cursor:
        many = _prepares(cursor.connection) if connection.vendor == "postgresql" else cursor
        with connection.wrap_database_errors:
            many.executemany(statement, rows)
        changed: int = many.rowcount
    return changed


def _prepares(open_connection: Any) -> Any:
    """PostgreSQL's own cursor: it sends values apart from the statement, and all rows at once."""
    psycopg = importlib.import_module("psycopg")
    return psycopg.Cursor(open_connection)
