"""PostgreSQL: one transaction without indexes, which are built at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connection

#: Keys that refer to others go first and come back last.
_CONSTRAINTS = """
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid), contype
FROM pg_constraint WHERE conrelid::regclass::text = ANY(%s) AND contype IN ('p', 'u', 'f')
ORDER BY contype = 'f' DESC, contype = 'u' DESC, conname
"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) ORDER BY indexname"
_SEQUENCE = """
SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))
"""


class Postgresql:
    """The ways of PostgreSQL."""

    def __init__(self, seed: int, period_s: int) -> None:
        self._seed = seed
        self._period_s = period_s

    def ready(self) -> None:
        """Room for sorting an index."""
        with connection.cursor() as cursor:
            cursor.execute("SET maintenance_work_mem = '1GB'")
            cursor.execute("SET synchronous_commit = off")

    @contextmanager
    def without_indexes(self, tables: Sequence[str]) -> Iterator[None]:
        """Drop them, and make them anew as they were."""
        with connection.cursor() as cursor:
            cursor.execute(_CONSTRAINTS, [list(tables)])
            constraints = cursor.fetchall()
            for table, name, *_ in constraints:
                cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
            cursor.execute(_INDEXES, [list(tables)])
            indexes = cursor.fetchall()
            for name, _ in indexes:
                cursor.execute(f'DROP INDEX "{name}"')
            yield
            for _, definition in indexes:
                cursor.execute(definition)
            for table, name, definition, _ in reversed(constraints):
                cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')

    def empty(self, tables: Sequence[str]) -> None:
        """Truncate: what is written in the same transaction may then need no log."""
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(tables)}")

    def series(self, first: int, last: int) -> str:
        """Numbers."""
        return f"SELECT generate_series({first}, {last}) AS copy"

    def name(self, number: str) -> str:
        """The digest, made to look random."""
        return f"{self._digest(number)}::uuid"

    def name_as_text(self, number: str) -> str:
        """With dashes."""
        return f"{self._digest(number)}::uuid::text"

    def later(self, moment: str) -> str:
        """An interval more."""
        return f"({moment} + copy * interval '{self._period_s} seconds')"

    def written(self, moment: str) -> str:
        """In UTC."""
        return f"""to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""

    def as_text(self, body: str) -> str:
        """UTF-8."""
        return f"convert_from({body}, 'UTF8')"

    def as_bytes(self, text: str) -> str:
        """UTF-8."""
        return f"convert_to({text}, 'UTF8')"

    def finish(self, tables: Sequence[str]) -> None:
        """Sequences go on behind the last id."""
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(_SEQUENCE.format(table=table))
            cursor.execute("ANALYZE")

    def _digest(self, number: str) -> str:
        digest = f"md5('{self._seed}:' || ({number}))"
        return f"overlay(overlay({digest} PLACING '4' FROM 13 FOR 1) PLACING '8' FROM 17 FOR 1)"
