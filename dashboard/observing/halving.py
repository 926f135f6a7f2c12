"""Finds where a moment falls in a table whose rows were added in the order of time, by halving.

A few looks at the primary key in one query: the table needs no index for it, and is not scanned.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection

#: Whether the first row from the middle on is before the moment.
_EARLY = """(
    SELECT {column} < %s FROM {table} WHERE id >= (low + high) / 2 ORDER BY id LIMIT 1
)"""
_HALVE = """
WITH RECURSIVE halves(low, high) AS (
    SELECT (SELECT min(id) FROM {table}), (SELECT max(id) + 1 FROM {table})
    UNION ALL
    SELECT
        CASE WHEN {early} THEN (low + high) / 2 + 1 ELSE low END,
        CASE WHEN {early} THEN high ELSE (low + high) / 2 END
    FROM halves WHERE low < high
)
SELECT max(low) FROM halves
"""


def first_id_from(table: str, column: str, moment: datetime) -> int:
    """The id of the first row of a moment or later; the next one to come, if there is none."""
    early = _EARLY.format(table=table, column=column)
    with connection.cursor() as cursor:
        cursor.execute(
            _HALVE.format(table=table, early=early),
            [connection.ops.adapt_datetimefield_value(moment)] * 2,
        )
        (found,) = cursor.fetchone()
    return int(found or 0)
