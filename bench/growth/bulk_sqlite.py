"""SQLite: no journal, much memory, and the indexes built at the end.

The indexes of constraints stay: SQLite has no way to take them away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from django.db import connection

from bench.growth.names import digits_of, text_of

_CACHE_MB = 4096
_SERIES = """
WITH RECURSIVE numbers(copy) AS (
    SELECT {first} UNION ALL SELECT copy + 1 FROM numbers WHERE copy < {last}
) SELECT copy FROM numbers
"""
_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = %s"


class Sqlite:
    """The ways of SQLite."""

    def __init__(self, seed: int, period_s: int) -> None:
        self._seed = seed
        self._period_s = period_s

    def ready(self) -> None:
        """A connection without safety: whoever is interrupted begins anew."""
        connection.ensure_connection()
        raw = connection.connection
        for function in (digits_of, text_of):
            raw.create_function(
                function.__name__, 1, partial(function, self._seed), deterministic=True
            )
        for setting in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "locking_mode = EXCLUSIVE",
            f"cache_size = {-1024 * _CACHE_MB}",
        ):
            raw.execute(f"PRAGMA {setting}")

    @contextmanager
    def without_indexes(self, tables: Sequence[str]) -> Iterator[None]:
        """Drop them, and make them anew as they were."""
        with connection.cursor() as cursor:
            dropped = []
            for table in tables:
                cursor.execute(_INDEXES, [table])
                dropped += [(name, sql) for name, sql in cursor.fetchall() if sql]
            for name, _ in dropped:
                cursor.execute(f'DROP INDEX "{name}"')
            yield
            for _, sql in dropped:
                cursor.execute(sql)

    def empty(self, tables: Sequence[str]) -> None:
        """Those that refer to others first."""
        with connection.cursor() as cursor:
            for table in reversed(tables):
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours

    def series(self, first: int, last: int) -> str:
        """Numbers."""
        return _SERIES.format(first=first, last=last)

    def name(self, number: str) -> str:
        """By a function of ours."""
        return f"digits_of({number})"

    def name_as_text(self, number: str) -> str:
        """By a function of ours."""
        return f"text_of({number})"

    def later(self, moment: str) -> str:
        """Whole seconds are added; what is below stays."""
        seconds = f"(copy * {self._period_s}) || ' seconds'"
        return f"(datetime(substr({moment}, 1, 19), {seconds}) || substr({moment}, 20))"

    def written(self, moment: str) -> str:
        """In UTC, as it is stored."""
        return f"(replace({moment}, ' ', 'T') || 'Z')"

    def as_text(self, body: str) -> str:
        """UTF-8."""
        return f"CAST({body} AS TEXT)"

    def as_bytes(self, text: str) -> str:
        """UTF-8."""
        return f"CAST({text} AS BLOB)"

    def finish(self, tables: Sequence[str]) -> None:
        """A safe connection again. No statistics: the product never has SQLite gather any."""
        connection.close()
