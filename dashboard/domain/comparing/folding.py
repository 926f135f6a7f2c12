"""Which discrepancy a group counts in: one of its own, or one that stands for many alike.

A document keyed by data has a new path in every order. Groups of one kind whose paths differ in one
key alone are siblings: beyond some of them, further ones count in one that has ``*`` for this key,
as in ``meta.*`` or ``by_id.*.price``. So none of them takes the room of what is not like them.
Beside a path, failures of one type are siblings, whatever they say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from dashboard.domain.comparing.judgement import Group, GroupKind
from dashboard.domain.comparing.paths import ROOT

#: Siblings that are told apart.
MAX_SIBLINGS = 20
#: Discrepancies of one version in one launch in all, those that hold no room among them.
MAX_IN_ALL = 1000
#: What stands for all that there is no room for.
FOLDED = Group(GroupKind.OTHER, "further kinds of difference")

_ANY = "*"
_ELEMENT = "[]"
_FAILURES = (GroupKind.FAILED, GroupKind.CONTROL_FAILED)
#: What has no path, and so no siblings.
_ALONE = (GroupKind.MANY, GroupKind.OTHER)
#: A step of a grouped path; a path that was cut ends with what is none, and belongs to the last.
_STEP = re.compile(r'\[\](?!…)|\["(?:[^"\\]|\\.)*"\](?!…)|\.?(?:[\w-]+(?:….*)?|\*)|.+', re.DOTALL)
#: Groups whose siblings are kept; keys may come from data and never end.
_REMEMBERED = 4096


class Places:
    """The discrepancies of a launch, and where further groups of its versions find their place.

    One fold for all versions: what two versions show of an order has one name, and so noise can be
    seen to be the same. Room is each version's own, and what counts and what is ignored or emptied
    hold it apart: none takes that of another.
    """

    def __init__(self, rows: Mapping[str, Mapping[Group, bool]], room: int) -> None:
        """``rows`` are there already, by version, each with whether it counts, or was decided
        on."""
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

    def place(self, version: str, group: Group, *, counts: bool) -> Group:
        """The discrepancy for a group that a version shows; it is there from now on."""
        if (version, group) in self._rows:
            return group
        if group in self._groups:
            return self._shared(version, group, counts=counts)
        for wider in widened(group):
            if self._siblings[wider, counts] >= MAX_SIBLINGS:
                return self.place(version, wider, counts=counts)
        if self.has_room(version, counts=counts):
            self._add(version, group, counts=counts)
            return group
        wide = home(group, self._wide)
        return FOLDED if wide is None else self._shared(version, wide, counts=counts)

    def has_room(self, version: str, *, counts: bool) -> bool:
        """Whether a group that no version has shown gets a discrepancy of its own."""
        return self._taken[version, counts] < self._room and self._in_all[version] < MAX_IN_ALL

    def _shared(self, version: str, group: Group, *, counts: bool) -> Group:
        """A group that another version has: it is this one's as well, room or not."""
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
            for wider in widened(group):
                self._siblings[wider, counts] += 1


def counterparts(rows: Collection[Group], others: Iterable[Group]) -> dict[Group, Group]:
    """Which of these another version's groups are the same as: the one of the same kind and path,
    else the narrowest fold that stands for it. What is like none of them is left out; a fold for
    whatever there may be is like nothing."""
    wide = {row for row in rows if _ANY in row.path and not holds_anything(row)}
    stars = max((row.path.count(_ANY) for row in wide), default=0)
    found = {group: group if group in rows else _fold_of(group, wide, stars) for group in others}
    return {group: row for group, row in found.items() if row is not None}


def _fold_of(group: Group, wide: set[Group], stars: int) -> Group | None:
    """The fold of a group with the fewest stars, of so many at most."""
    wider = {group}
    for _ in range(stars):
        wider = {one for each in wider for one in widened(each)}
        if folds := wider & wide:
            return min(folds)
    return None


def home(group: Group, rows: Iterable[Group]) -> Group | None:
    """Which of these a group counts in: its own, or the narrowest that stands for it."""
    return min(
        (row for row in rows if stands_for(row, group)),
        key=lambda row: (row.kind is GroupKind.OTHER, row != group, row.path.count(_ANY), row.path),
        default=None,
    )


def stands_for(row: Group, group: Group) -> bool:
    """Whether a group may count in a discrepancy: its own, or one for many alike."""
    if row == group or row.kind is GroupKind.OTHER:
        return True
    if row.kind is not group.kind or _ANY not in row.path:
        return False
    if row.kind in _FAILURES:
        return row in widened(group)
    return fits(steps(row.path), steps(group.path))


def holds_anything(row: Group) -> bool:
    """Whether a discrepancy is one for whatever else there may be, at no path of its own."""
    return row.kind in _ALONE or (
        row.kind not in _FAILURES and all(map(_is_any, steps(row.path))) and row.path != ROOT
    )


@lru_cache(maxsize=_REMEMBERED)
def widened(group: Group) -> tuple[Group, ...]:
    """The groups that stand for this one and its siblings: of the last key first."""
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
    """The steps of a group's path, as they are written; none for the document as a whole."""
    return () if path == ROOT else tuple(_STEP.findall(path))


def fits(wide: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether steps, in which ``*`` stands for any key, are those of a path."""
    return len(wide) == len(path) and all(
        ours == theirs or (_is_any(ours) and theirs != _ELEMENT)
        for ours, theirs in zip(wide, path, strict=True)
    )


def _is_any(step: str) -> bool:
    return step in (_ANY, f".{_ANY}")
