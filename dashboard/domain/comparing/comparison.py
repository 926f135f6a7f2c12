"""Compares two JSON documents: every difference, with its kind and its path.

Objects are compared by key, lists by position; numbers by value, and true is no number. Two lists
with the same members in another order are one difference. Other lists, by a rule:

* *unordered*: members that agree are taken out, what is left is compared by position;
* *keyed* by a field: members with the same value there are compared; those that share it, or have
  none, as in an unordered list.

An object whose keys mean nothing, by a rule, is compared as an unordered list of its values; that
its keys differ is one difference beside the others.

Whether members agree, and are the same, goes by what the rules leave of them. In lists with such a
rule, members that both have in another order are a difference beside the others. The index in a
path is the control's, and the version's for what only the version has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import msgspec

from dashboard.domain.comparing.canonical import Tokens
from dashboard.domain.comparing.lists import (
    ABSENT,
    MAX_DEPTH,
    UNORDERED,
    Matching,
    Pairs,
    Place,
    is_permuted,
    is_reordered,
)
from dashboard.domain.comparing.paths import (
    NOTHING,
    Entry,
    Member,
    Path,
    Step,
    grouped,
    shown,
)

#: Differences of one pair that are told apart.
MAX_DIFFERENCES = 200


class Kind(StrEnum):
    """What is different about a value."""

    VALUE = "value"
    TYPE = "type"
    #: The version lacks it.
    MISSING = "missing"
    #: Only the version has it.
    EXTRA = "extra"
    #: A list's members stand in another order; an object's values, by a rule, under other keys.
    ORDER = "order"


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


class Ruling(Protocol):
    """Rules: how lists are matched, and which differences are ignored."""

    @property
    def by_value(self) -> bool:
        """Whether there are objects whose keys mean nothing."""

    def at(self, path: Iterable[Step]) -> Place | None:
        """What they say of what is at a path and below it, or None: nothing."""

    def covering(self, path: Path) -> int | None:
        """The rule that ignores all there can be at a path and below, or None."""

    def ignoring(self, difference: Difference) -> int | None:
        """The rule that ignores a difference, or None."""


class Found(NamedTuple):
    """The differences of two documents, and whether there are more than these."""

    differences: list[Difference]
    more: bool


def compare(
    control: Any,
    version: Any,
    rules: Ruling | None = None,
    at_most: int = MAX_DIFFERENCES,
    *,
    only_counting: bool = False,
) -> Found:
    """The differences of two documents, which are what a JSON decoder makes.

    The members of lists are matched by what the rules leave of them. What the rules ignore is among
    the differences, unless ``only_counting``: then it takes no room.
    """
    comparing = _Comparing(rules or None, at_most, only_counting=only_counting)
    comparing.values(control, version)
    return Found(comparing.found, comparing.more)


class _Comparing:
    """One comparison on its way through two documents."""

    __slots__ = (
        "_at_most", "_left_out", "_matching_made", "_passed", "_rules", "_steps", "_tokens",
        "found", "more",
    )  # fmt: skip

    def __init__(self, rules: Ruling | None, at_most: int, *, only_counting: bool) -> None:
        self.found: list[Difference] = []
        self.more = False
        self._passed = 0
        self._rules = rules
        #: By which differences are left out.
        self._left_out = rules if only_counting else None
        self._at_most = at_most
        self._steps: list[Step] = []
        self._tokens = Tokens()
        self._matching_made: Matching | None = None

    def values(self, control: Any, version: Any) -> None:
        """Compare what stands at the present steps."""
        kind = type(control)
        if version is NOTHING:
            self._add(Kind.MISSING, control, version)
        elif kind is not type(version) and _TYPES[kind] != _TYPES[type(version)]:
            self._add(Kind.TYPE, control, version)
        elif (known := self._left_out) is not None and known.covering(
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
        if self._left_out is not None and self._left_out.ignoring(difference) is not None:
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
        rules = self._rules
        place = rules.at(self._steps) if rules is not None and rules.by_value else None
        if place is not None and place.by_value:
            self._values(control, version, place)
        else:
            self._by_key(control, version)

    def _by_key(self, control: dict[str, Any], version: dict[str, Any]) -> None:
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

    def _values(self, control: dict[str, Any], version: dict[str, Any], place: Place) -> None:
        ours, theirs = list(control.items()), list(version.items())
        absent = (None, NOTHING)
        pairs = [
            (
                absent if first == ABSENT else ours[first],
                absent if second == ABSENT else theirs[second],
            )
            for first, second in self._matching.values(control, version, place, len(self._steps))
        ]
        if any(None not in (one, other) and one != other for (one, _), (other, _) in pairs):
            self._add(Kind.ORDER, control, version)
        for (one, value), (other, another) in pairs:
            if self.more:
                return
            self._at(Entry(other if one is None else one), value, another)

    def _arrays(self, control: list[Any], version: list[Any]) -> None:
        place = self._rules.at(self._steps) if self._rules is not None else None
        depth = len(self._steps)
        if place is None or place.list_by is None:
            self._by_position(control, version, place)
        elif place.list_by == UNORDERED:
            self._in_pairs(
                [], self._matching.unordered(control, version, place, depth), control, version
            )
        else:
            named, others = self._matching.keyed(control, version, place, depth)
            self._in_pairs(named, others, control, version, place.list_by)

    @property
    def _matching(self) -> Matching:
        # Most pairs need none.
        if self._matching_made is None:
            self._matching_made = Matching(self._tokens)
        return self._matching_made

    def _by_position(self, control: list[Any], version: list[Any], place: Place | None) -> None:
        before, passed = len(self.found), self._passed
        self._positions(control, version)
        if len(control) != len(version):
            return
        depth = len(self._steps)
        if self.more or self._passed > passed:
            # What is not among those that were found cannot say which places differ.
            places: Collection[Any] = range(len(control))
        else:
            # Where they do not differ they have the same member: it does not matter to the order.
            places = {difference.path[depth] for difference in self.found[before:]}
            if len(places) < 2:
                return
        pairs: Pairs | None = []
        if place is not None:
            pairs = self._matching.reordered(control, version, sorted(places), place, depth)
        if pairs is None or not (pairs or is_permuted(control, version, places, self._tokens)):
            return
        del self.found[before:]
        self.more = False
        self._add(Kind.ORDER, control, version)
        # Members that agree by the rules may differ in what is ignored.
        self._pairs(pairs, control, version)

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
        self,
        named: Pairs,
        others: Pairs,
        control: list[Any],
        version: list[Any],
        field: str | None = None,
    ) -> None:
        if is_reordered(named + others):
            self._add(Kind.ORDER, control, version)
        self._pairs(named, control, version, field)
        self._pairs(others, control, version)

    def _pairs(
        self, pairs: Pairs, control: list[Any], version: list[Any], field: str | None = None
    ) -> None:
        for first, second in pairs:
            if self.more:
                return
            ours: Any = NOTHING if first == ABSENT else control[first]
            theirs: Any = NOTHING if second == ABSENT else version[second]
            index, member = (second, theirs) if first == ABSENT else (first, ours)
            self._at(index if field is None else Member(field, member[field]), ours, theirs)
