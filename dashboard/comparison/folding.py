"""Which discrepancy a group counts in: its own, or a fold for many like groups.

A document keyed by data has new paths in every order. Groups of one kind whose paths differ in one
key only are siblings. Beyond MAX_SIBLINGS, further ones count in a fold that has ``*`` for this
key, as in ``meta.*`` or ``by_id.*.price``, so they do not crowd out other groups. Failures of one
type are siblings, whatever their messages.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from dashboard.comparison.judgement import Group, GroupKind, Judgement
from dashboard.comparison.paths import ROOT

#: Siblings with a discrepancy of their own.
MAX_SIBLINGS = 20
#: Discrepancies of one version in one launch, including those outside the limit.
MAX_IN_ALL = 1000
#: The fold for everything beyond the limits.
FOLDED = Group(GroupKind.OTHER, "further kinds of difference")

_ANY = "*"
_ELEMENT = "[]"
_FAILURES = (GroupKind.FAILED, GroupKind.CONTROL_FAILED)
#: Kinds without a path, and so without siblings.
_ALONE = (GroupKind.MANY, GroupKind.OTHER)
#: A step of a grouped path; the digest of a cut path belongs to the last step.
_STEP = re.compile(r'\[\](?!…)|\["(?:[^"\\]|\\.)*"\](?!…)|\.?(?:[\w-]+(?:….*)?|\*)|.+', re.DOTALL)
#: Size of the caches: keys may come from data, so paths are unbounded.
_REMEMBERED = 4096


class Folding:
    """The discrepancies of a launch, to which groups are assigned.

    All versions share their folds, so that the baseline's noise has the same paths as the
    candidate's differences. The limits are per version, and separate for groups that count and for
    groups that are ignored or empty.
    """

    def __init__(self, rows: Mapping[str, Mapping[Group, bool]], room: int) -> None:
        """``rows``: existing discrepancies by version, each with whether it counts or is decided;
        ``room``: the limit per version."""
        self._rows: set[tuple[str, Group]] = set()
        self._groups: set[Group] = set()
        self._wide: list[Group] = []
        self._room = room
        self._taken: Counter[tuple[str, bool]] = Counter()
        self._in_all: Counter[str] = Counter()
        self._counted: set[tuple[Group, bool]] = set()
        self._siblings: Counter[tuple[Group, bool]] = Counter()
        for version, groups in rows.items():
            for group, counts in groups.items():
                self._add(version, group, counts=counts)

    def assign(self, version: str, group: Group, *, counts: bool) -> Group:
        """The discrepancy for a version's group; it is added if it is new."""
        if (version, group) in self._rows:
            return group
        if group in self._groups:
            return self._shared(version, group, counts=counts)
        for wider in wider_groups(group):
            if self._siblings[wider, counts] >= MAX_SIBLINGS:
                return self.assign(version, wider, counts=counts)
        if self.has_room(version, counts=counts):
            self._add(version, group, counts=counts)
            return group
        wide = containing_group(group, self._wide)
        return FOLDED if wide is None else self._shared(version, wide, counts=counts)

    def has_room(self, version: str, *, counts: bool) -> bool:
        """Whether a new group gets a discrepancy of its own."""
        return self._taken[version, counts] < self._room and self._in_all[version] < MAX_IN_ALL

    def _shared(self, version: str, group: Group, *, counts: bool) -> Group:
        """A group that another version has, which the limit does not apply to."""
        if (version, group) not in self._rows:
            if self._in_all[version] >= MAX_IN_ALL:
                return FOLDED
            self._add(version, group, counts=counts)
        return group

    def _add(self, version: str, group: Group, *, counts: bool) -> None:
        if group == FOLDED:
            return
        self._rows.add((version, group))
        self._taken[version, counts] += 1
        self._in_all[version] += 1
        if group not in self._groups:
            self._groups.add(group)
            if _ANY in group.path:
                self._wide.append(group)
        if (group, counts) not in self._counted:
            self._counted.add((group, counts))
            for wider in wider_groups(group):
                self._siblings[wider, counts] += 1


def counterparts(rows: Collection[Group], others: Iterable[Group]) -> dict[Group, Group]:
    """For another version's groups, the equal one in ``rows``, else the narrowest fold there that
    includes it. Groups without either are left out; catch-all folds match nothing."""
    wide = {row for row in rows if _ANY in row.path and not is_catch_all(row)}
    stars = max((row.path.count(_ANY) for row in wide), default=0)
    found = {group: group if group in rows else _fold_of(group, wide, stars) for group in others}
    return {group: row for group, row in found.items() if row is not None}


def _fold_of(group: Group, wide: set[Group], stars: int) -> Group | None:
    """The fold of a group with the fewest stars, up to ``stars``."""
    wider = {group}
    for _ in range(stars):
        wider = {one for each in wider for one in wider_groups(each)}
        if folds := wider & wide:
            return min(folds)
    return None


def containing_group(group: Group, rows: Iterable[Group]) -> Group | None:
    """The row a group counts in: its own, else the narrowest fold."""
    return min(
        (row for row in rows if includes(row, group)),
        key=lambda row: (row.kind is GroupKind.OTHER, row != group, row.path.count(_ANY), row.path),
        default=None,
    )


def includes(row: Group, group: Group) -> bool:
    """Whether a group may count in a discrepancy: its own, or a fold."""
    if row == group or row.kind is GroupKind.OTHER:
        return True
    if row.kind is not group.kind or _ANY not in row.path:
        return False
    if row.kind in _FAILURES:
        return row in wider_groups(group)
    return path_matches(steps(row.path), steps(group.path))


def is_catch_all(row: Group) -> bool:
    """Whether a discrepancy includes any difference, at whatever path."""
    return row.kind in _ALONE or (
        row.kind not in _FAILURES and all(map(_is_any, steps(row.path))) and row.path != ROOT
    )


@lru_cache(maxsize=_REMEMBERED)
def wider_groups(group: Group) -> tuple[Group, ...]:
    """The folds of this group and its siblings, the one of the last key first."""
    kind, path = group
    if kind in _ALONE:
        return ()
    if kind in _FAILURES:
        wider = Group(kind, f"{path.partition(': ')[0]}: {_ANY}")
        return () if wider == group else (wider,)
    parts = steps(path)
    return tuple(
        Group(kind, "".join((*parts[:at], f".{_ANY}" if at else _ANY, *parts[at + 1 :])))
        for at in reversed(range(len(parts)))
        if parts[at] != _ELEMENT and not _is_any(parts[at])
    )


@lru_cache(maxsize=_REMEMBERED)
def steps(path: str) -> tuple[str, ...]:
    """The steps of a group's path as written; none for the whole document."""
    return () if path == ROOT else tuple(_STEP.findall(path))


def path_matches(wide: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether a path matches one with ``*`` for any key, both as steps."""
    return len(wide) == len(path) and all(
        ours == theirs or (_is_any(ours) and theirs != _ELEMENT)
        for ours, theirs in zip(wide, path, strict=True)
    )


def _is_any(step: str) -> bool:
    return step in (_ANY, f".{_ANY}")


def still_shows(group: Group, judgement: Judgement) -> bool:
    """Whether a pair shows a group, counted or ignored by a rule.

    A field that differs in another way still shows it, as does one that is missing together with
    its parent, and a pair with more differences than are listed.
    """
    if group.kind is GroupKind.OTHER:
        return bool(judgement.groups)
    if group.kind in _FAILURES:
        return any(includes(group, found) for found in judgement.groups)
    return any(_covers(found, group) for found in judgement.groups)


def _covers(found: Group, group: Group) -> bool:
    """Whether a difference is at the group's path, or removes a parent of it."""
    if found.kind in _FAILURES:
        return False
    if found.kind is GroupKind.MANY:
        return True
    place, wanted = steps(found.path), steps(group.path)
    is_there = path_matches(wanted[: len(place)], place)
    return is_there and (
        len(place) == len(wanted) or found.kind in (GroupKind.MISSING, GroupKind.TYPE)
    )
