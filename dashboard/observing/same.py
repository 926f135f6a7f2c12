"""Gives what a baseline shows the names that another version's own discrepancies have.

What both show of an order must have one name, to be seen to be the same: that of the kind and the
path, or of the fold that stands for the path among the version's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection

from dashboard.domain.comparing.folding import counterparts
from dashboard.domain.comparing.judgement import Group, GroupKind

#: What the baseline shows, and what of the versions' own may be the same.
_ROWS = """
SELECT id, version, kind, path FROM dashboard_discrepancy WHERE launch = %s AND (
    id IN ({ids}) OR version IN ({versions}) AND (
        path LIKE %s OR path IN (SELECT path FROM dashboard_discrepancy WHERE id IN ({ids}))
    )
)
"""
_FOLDS = "%*%"


@dataclass
class Same:
    """By version and a discrepancy of the baseline's: the version's own that is the same."""

    _own: dict[str, dict[int, int]] = field(default_factory=dict)
    _named: dict[tuple[str, frozenset[int]], frozenset[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, launch: UUID, versions: Collection[str], noise: Collection[int]) -> Same:
        """The names that these versions of a launch have for what the baseline shows."""
        if not noise or not versions:
            return cls()
        names, ids = sorted(versions), sorted(noise)
        marks = [", ".join(["%s"] * len(values)) for values in (ids, names)]
        with connection.cursor() as cursor:
            cursor.execute(
                _ROWS.format(ids=marks[0], versions=marks[1]),
                [launch.hex, *ids, *names, _FOLDS, *ids],
            )
            rows = cursor.fetchall()
        theirs = [(pk, Group(GroupKind(kind), path)) for pk, _, kind, path in rows if pk in noise]
        own: defaultdict[str, dict[Group, int]] = defaultdict(dict)
        for pk, version, kind, path in rows:
            own[version][Group(GroupKind(kind), path)] = pk
        return cls({version: same_as(own[version], theirs) for version in names})

    def named(self, version: str, noise: frozenset[int]) -> frozenset[int]:
        """What a baseline shows, with the version's own names where it has any."""
        known = self._named.get((version, noise))
        if known is None:
            own = self._own.get(version, {})
            known = frozenset(own.get(pk, pk) for pk in noise)
            self._named[version, noise] = known
        return known


def same_as(own: dict[Group, int], theirs: Iterable[tuple[int, Group]]) -> dict[int, int]:
    """By a baseline's discrepancy: which of a version's own is the same, where one is."""
    theirs = list(theirs)
    found = counterparts(own.keys(), {group for _, group in theirs})
    return {pk: own[found[group]] for pk, group in theirs if group in found}
