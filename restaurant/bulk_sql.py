"""Bulk SQL without model instances."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models

#: Rows per statement; times the columns of the widest table, below every database's limit.
_CHUNK = 100


def insert(
    model: type[models.Model], names: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> None:
    fields = _fields(model, names)
    database = connections[DEFAULT_DB_ALIAS]
    with database.cursor() as cursor:
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            values = [
                field.get_db_prep_save(value, database)
                for row in chunk
                for field, value in zip(fields, row, strict=True)
            ]
            cursor.execute(_statement(model, names, len(chunk)), values)


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
    return f'INSERT INTO "{table}" ({columns}) VALUES {values}'  # noqa: S608


def run_for_each(
    statement: str, rows: Sequence[Sequence[Any]], *, using: str = DEFAULT_DB_ALIAS
) -> int:
    """Run one statement for each row, prepared once; returns how many rows changed.

    Raises django.db.Error. Django's own bulk methods take five times as long, and its PostgreSQL
    cursor puts the values into the statement, which is then sent and planned for each row.
    """
    if not rows:
        return 0
    database = connections[using]
    with database.cursor() as cursor:
        many = _prepares(cursor.connection) if database.vendor == "postgresql" else cursor
        with database.wrap_database_errors:
            many.executemany(statement, rows)
        changed: int = many.rowcount
    return changed


def _prepares(open_connection: Any) -> Any:
    """A cursor of psycopg itself, which sends values separately, and all rows at once."""
    psycopg = importlib.import_module("psycopg")
    return psycopg.Cursor(open_connection)
