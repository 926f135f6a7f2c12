"""Compares two JSON documents: every difference, with its kind and its path.

Objects are compared by key, lists by position; numbers by value, and true is no number. Two lists
with the same members in another order are one difference. Other lists, by the caller's choice:

* *unordered*: the members in common are taken out, what is left is compared by position;
* *keyed* by a field: members with the same value there are compared; if the field does not tell
  all of them apart, that list is compared by position.

In both, members that both lists have in another order are a difference beside the others. The index
in a path is the control's, and the version's for what only the version has. Members are the same
only when all they hold is the same: what is unordered within them is not forgiven.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import msgspec

from dashboard.domain.comparing.canonical import Tokens
from dashboard.domain.comparing.lists import (
    ABSENT,
    UNORDERED,
    Lists,
    Pairs,
    by_content,
    by_field,
    permuted,
    reordered,
)
from dashboard.domain.comparing.paths import NOTHING, Member, Path, Step, grouped, shown

#: Differences of one pair that are told apart.
MAX_DIFFERENCES = 200
#: Steps to a value at most; what lies deeper is compared as a whole.
MAX_DEPTH = 64


class Kind(StrEnum):
    """What is different about a value."""

    VALUE = "value"
    TYPE = "type"
    #: The version lacks it.
    MISSING = "missing"
    #: Only the version has it.
    EXTRA = "extra"
    #: A list's members stand in another order.
    ORDER = "order"


_MIRRORED = {Kind.MISSING: Kind.EXTRA, Kind.EXTRA: Kind.MISSING}

_TYPES = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
#: Types whose values are the same when Python says they are equal.
_SIMPLE = frozenset({str, int, float, bool})


class Difference(msgspec.Struct, frozen=True):
    """One place where two documents differ, and what each has there, or NOTHING."""

    kind: Kind
    path: Path
    control: Any
    version: Any

    @property
    def shown(self) -> str:
        """The path as a person reads it."""
        return shown(self.path)

    @property
    def grouped(self) -> str:
        """The path that this difference shares with its like in other elements and documents."""
        return grouped(self.path)

    def mirrored(self) -> Difference:
        """The same difference with control and version in each other's place."""
        kind = _MIRRORED.get(self.kind, self.kind)
        return Difference(kind, self.path, self.version, self.control)


class Ignoring(Protocol):
    """Says what is ignored: not None."""

    def covering(self, path: Path) -> int | None:
        """Whether all is that there can be at a path and below."""

    def ignoring(self, difference: Difference) -> int | None:
        """Whether a difference is."""


class Found(NamedTuple):
    """The differences of two documents, and whether there are more than these."""

    differences: list[Difference]
    more: bool


_BY_POSITION = Lists()


def compare(
    control: Any,
    version: Any,
    lists: Lists = _BY_POSITION,
    at_most: int = MAX_DIFFERENCES,
    *,
    passed_over: Ignoring | None = None,
) -> Found:
    """The differences of two documents, which are what a JSON decoder makes.

    Those that are to be ``passed_over`` are left out, and take no room.
    """
    comparing = _Comparing(lists, at_most, passed_over)
    comparing.values(control, version)
    return Found(comparing.found, comparing.more)


class _Comparing:
    """One comparison on its way through two documents."""

    __slots__ = (
        "_at_most", "_lists", "_passed", "_passed_over", "_steps", "_tokens", "found", "more"
    )  # fmt: skip

    def __init__(self, lists: Lists, at_most: int, passed_over: Ignoring | None) -> None:
        self.found: list[Difference] = []
        self.more = False
        self._passed = 0
        self._passed_over = passed_over
        self._at_most = at_most
        self._lists = lists
        self._steps: list[Step] = []
        self._tokens = Tokens()

    def values(self, control: Any, version: Any) -> None:
        """Compare what stands at the present steps."""
        kind = type(control)
        if version is NOTHING:
            self._add(Kind.MISSING, control, version)
        elif kind is not type(version) and _TYPES[kind] != _TYPES[type(version)]:
            self._add(Kind.TYPE, control, version)
        elif (known := self._passed_over) is not None and known.covering(
            tuple(self._steps)
        ) is not None:
            self._passed += 1
        elif kind is dict and len(self._steps) < MAX_DEPTH:
            self._objects(control, version)
        elif kind is list and len(self._steps) < MAX_DEPTH:
            self._arrays(control, version)
        elif self._tokens.of(control) != self._tokens.of(version):
            self._add(Kind.VALUE, control, version)

    def _add(self, kind: Kind, control: Any, version: Any) -> None:
        difference = Difference(kind, tuple(self._steps), control, version)
        if self._passed_over is not None and self._passed_over.ignoring(difference) is not None:
            self._passed += 1
        elif len(self.found) < self._at_most:
            self.found.append(difference)
        else:
            self.more = True

    def _at(self, step: Step, control: Any, version: Any) -> None:
        self._steps.append(step)
        if control is NOTHING:
            self._add(Kind.EXTRA, control, version)
        else:
            self.values(control, version)
        self._steps.pop()

    # The loops below pass over values that are plainly the same without a call: this is where the
    # time of a comparison goes. Whether there are more differences is asked after a difference.

    def _objects(self, control: dict[str, Any], version: dict[str, Any]) -> None:
        for key, ours in control.items():
            theirs = version.get(key, NOTHING)
            if ours is theirs:
                continue
            kind = type(ours)
            if kind is type(theirs) and kind in _SIMPLE and ours == theirs:
                continue
            self._at(key, ours, theirs)
            if self.more:
                return
        if control.keys() != version.keys():
            for key, theirs in version.items():
                if key not in control:
                    self._at(key, NOTHING, theirs)
                    if self.more:
                        return

    def _arrays(self, control: list[Any], version: list[Any]) -> None:
        field = self._lists.at(tuple(self._steps)) if self._lists else None
        if field is None:
            self._by_position(control, version)
        elif field == UNORDERED:
            self._in_pairs(by_content(control, version, self._tokens), control, version)
        elif (pairs := by_field(control, version, field, self._tokens)) is None:
            self._by_position(control, version)
        else:
            self._in_pairs(pairs, control, version, field)

    def _by_position(self, control: list[Any], version: list[Any]) -> None:
        before, passed = len(self.found), self._passed
        self._positions(control, version)
        # What is not among those that were found cannot say which places differ.
        is_partial = self.more or self._passed > passed
        if len(control) == len(version) and self._is_order(control, version, before, is_partial):
            del self.found[before:]
            self.more = False
            self._add(Kind.ORDER, control, version)

    def _is_order(
        self, control: list[Any], version: list[Any], before: int, is_partial: bool
    ) -> bool:
        """Whether what was found since is nothing but another order of two lists of one length."""
        if is_partial:
            return self._tokens.of(control) != self._tokens.of(version) and permuted(
                control, version, self._tokens
            )
        depth = len(self._steps)
        # Where they do not differ they have the same member: it does not matter to the order.
        places = {difference.path[depth] for difference in self.found[before:]}
        return len(places) > 1 and permuted(
            [control[place] for place in places if isinstance(place, int)],
            [version[place] for place in places if isinstance(place, int)],
            self._tokens,
        )

    def _positions(self, control: list[Any], version: list[Any]) -> None:
        for index, (ours, theirs) in enumerate(zip(control, version, strict=False)):
            if ours is theirs:
                continue
            kind = type(ours)
            if kind is type(theirs) and kind in _SIMPLE and ours == theirs:
                continue
            self._at(index, ours, theirs)
            if self.more:
                return
        for index in range(len(version), len(control)):
            self._at(index, control[index], NOTHING)
            if self.more:
                return
        for index in range(len(control), len(version)):
            self._at(index, NOTHING, version[index])
            if self.more:
                return

    def _in_pairs(
        self, pairs: Pairs, control: list[Any], version: list[Any], field: str | None = None
    ) -> None:
        if reordered(pairs):
            self._add(Kind.ORDER, control, version)
        for first, second in pairs:
            if self.more:
                return
            ours: Any = NOTHING if first == ABSENT else control[first]
            theirs: Any = NOTHING if second == ABSENT else version[second]
            index, member = (second, theirs) if first == ABSENT else (first, ours)
            step = index if field is None else Member(field, member[field])
            self._at(step, ours, theirs)
