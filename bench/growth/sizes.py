"""What an order takes on disk: bytes by table and by index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.db import connection

from bench.tables import head, row

_POSTGRESQL = """
SELECT relation.relname, CASE relation.relkind WHEN 'i' THEN owner.relname ELSE '' END,
    CASE relation.relkind WHEN 'i' THEN pg_relation_size(relation.oid)
        ELSE pg_table_size(relation.oid) END
FROM pg_class relation
LEFT JOIN pg_index ON indexrelid = relation.oid
LEFT JOIN pg_class owner ON owner.oid = indrelid
JOIN pg_namespace space ON space.oid = relation.relnamespace
WHERE relation.relkind IN ('r', 'i') AND space.nspname = 'public'
"""
#: Pages, which are counted in ``pageno`` then: of more than 2 GB the bytes are counted wrong.
_SQLITE = """
SELECT stat.name, CASE master.type WHEN 'index' THEN master.tbl_name ELSE '' END,
    stat.pageno * page_size
FROM dbstat stat JOIN sqlite_master master ON master.name = stat.name, pragma_page_size
WHERE stat.aggregate = TRUE
"""
#: What is a smaller part of the whole is not named.
_LEAST = 0.001


class Size(NamedTuple):
    """A table, or an index of a table."""

    name: str
    table: str
    size: int


def sizes() -> list[Size]:
    """Everything in the database, the largest first; with SQLite this reads the whole file."""
    with connection.cursor() as cursor:
        cursor.execute(_POSTGRESQL if connection.vendor == "postgresql" else _SQLITE)
        return sorted((Size(*one) for one in cursor.fetchall()), key=lambda one: -one.size)


def in_words(found: Sequence[Size], orders: int) -> Iterator[str]:
    """A Markdown table of bytes an order."""
    yield from head(("table", "index", "bytes an order", "GB"))
    whole = sum(one.size for one in found)
    small = sum(one.size for one in found if one.size < _LEAST * whole)
    for one in found:
        if one.size >= _LEAST * whole:
            name = (one.table, one.name) if one.table else (one.name, "")
            yield row((*name, f"{one.size / orders:,.1f}", f"{one.size / 1e9:.2f}"))
    whole = sum(one.size for one in found)
    yield row(("all else", "", f"{small / orders:,.1f}", f"{small / 1e9:.2f}"))
    yield row(("together", "", f"{whole / orders:,.0f}", f"{whole / 1e9:.2f}"))
