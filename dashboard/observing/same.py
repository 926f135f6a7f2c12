"""Gives what a baseline shows the names that another version's own discrepancies have.

What both show of an order must have one name, to be seen to be the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection

_OWN = """
SELECT own.version, theirs.id, own.id
FROM dashboard_discrepancy AS theirs JOIN dashboard_discrepancy AS own
ON own.launch = theirs.launch AND own.kind = theirs.kind AND own.path = theirs.path
WHERE own.launch = %s AND own.version IN ({names}) AND theirs.id IN ({ids})
"""


@dataclass
class Same:
    """By version and a discrepancy of the baseline's: the version's own of that kind and path."""

    _own: dict[tuple[str, int], int] = field(default_factory=dict)
    _named: dict[tuple[str, frozenset[int]], frozenset[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, launch: UUID, versions: Collection[str], noise: Collection[int]) -> Same:
        """The names that these versions of a launch have for what the baseline shows."""
        if not noise or not versions:
            return cls()
        names, ids = sorted(versions), sorted(noise)
        query = _OWN.format(names=", ".join(["%s"] * len(names)), ids=", ".join(["%s"] * len(ids)))
        with connection.cursor() as cursor:
            cursor.execute(query, [launch.hex, *names, *ids])
            return cls({(version, theirs): own for version, theirs, own in cursor.fetchall()})

    def named(self, version: str, noise: frozenset[int]) -> frozenset[int]:
        """What a baseline shows, with the version's own names where it has any."""
        known = self._named.get((version, noise))
        if known is None:
            known = frozenset(self._own.get((version, pk), pk) for pk in noise)
            self._named[version, noise] = known
        return known
