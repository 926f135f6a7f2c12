"""Compares two JSON documents: every difference, with its kind and its path.

Objects are compared by key, lists by position, numbers by value; true is not a number. Two lists
with the same members in another order are one difference. A rule can change how a list is compared:

* *unordered*: members that agree are paired, the rest is compared by position;
* *keyed* by a field: members with the same value there are compared; members that share a value, or
  have none, are compared as in an unordered list.

An object whose keys a rule ignores is compared as an unordered list of its values; different keys
are one difference in addition.

Members agree if they are equal after the rules are applied. In lists with such a rule, a different
order of common members is a difference in addition. The index in a path is the control's, or the
version's for members that only the version has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import msgspec

from dashboard.comparison.lists import (
    ABSENT,
    MAX_DEPTH,
    UNORDERED,
    Matching,
    MatchingRules,
    Pairs,
    is_permuted,
    is_reordered,
)
from dashboard.comparison.paths import NOTHING, Entry, Member, Path, Step, grouped, shown
from dashboard.comparison.values import Tokens

#: Differences listed per pair.
MAX_DIFFERENCES = 200


class Kind(StrEnum):
    """In what way a value differs."""

    VALUE = "value"
    TYPE = "type"
    #: Only the control has it.
    MISSING = "missing"
    #: Only the version has it.
    EXTRA = "extra"
    #: A list has another order, or an object whose keys are ignored has other keys.
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
#: Types whose values are equal exactly if Python says so.
_SIMPLE = frozenset({str, int, float, bool})


class Difference(msgspec.Struct, frozen=True):
    """Where two documents differ, and the value of each there, or NOTHING."""

    kind: Kind
    path: Path
    control: Any
    version: Any

    @property
    def shown(self) -> str:
        """The path for display."""
        return shown(self.path)

    @property
    def grouped(self) -> str:
        """The path without indexes: the same for like differences in other elements."""
        return grouped(self.path)


class DiffRules(Protocol):
    """What a comparison needs of the rules."""

    @property
    def by_value(self) -> bool:
        """Whether any rule ignores the keys of an object."""

    def at(self, path: Iterable[Step]) -> MatchingRules | None:
        """The rules for a path and below, or None if there are none."""

    def covering(self, path: Path) -> int | None:
        """The rule that ignores everything at a path and below, or None."""

    def ignoring(self, difference: Difference) -> int | None:
        """The rule that ignores a difference, or None."""


class Diff(NamedTuple):
    """The differences of two documents; ``truncated`` if there are more."""

    differences: list[Difference]
    truncated: bool


def compare(
    control: Any,
    version: Any,
    rules: DiffRules | None = None,
    at_most: int = MAX_DIFFERENCES,
    *,
    only_counting: bool = False,
) -> Diff:
    """The differences of two decoded JSON documents.

    Includes differences that the rules ignore, unless ``only_counting``.
    """
    comparing = _Comparing(rules or None, at_most, only_counting=only_counting)
    comparing.values(control, version)
    return Diff(comparing.found, comparing.truncated)


class _Comparing:
    __slots__ = (
        "_at_most", "_left_out", "_matching_made", "_passed", "_rules", "_steps", "_tokens",
        "found", "truncated",
    )  # fmt: skip

    def __init__(self, rules: DiffRules | None, at_most: int, *, only_counting: bool) -> None:
        self.found: list[Difference] = []
        self.truncated = False
        self._passed = 0
        self._rules = rules
        self._left_out = rules if only_counting else None
        self._at_most = at_most
        self._steps: list[Step] = []
        self._tokens = Tokens()
        self._matching_made: Matching | None = None

    def values(self, control: Any, version: Any) -> None:
        """Compare the values at the current path."""
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
            self.truncated = True

    def _at(self, step: Step, control: Any, version: Any) -> None:
        self._steps.append(step)
        if control is NOTHING:
            self._add(Kind.EXTRA, control, version)
        else:
            self.values(control, version)
        self._steps.pop()

    # The loops below skip equal scalars without a call: this is where a comparison spends its time.

    def _objects(self, control: dict[str, Any], version: dict[str, Any]) -> None:
        rules = self._rules
        path_rules = rules.at(self._steps) if rules is not None and rules.by_value else None
        if path_rules is not None and path_rules.by_value:
            self._values(control, version, path_rules)
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
            if self.truncated:
                return
        if control.keys() != version.keys():
            for key, theirs in version.items():
                if key not in control:
                    self._at(key, NOTHING, theirs)
                    if self.truncated:
                        return

    def _values(
        self, control: dict[str, Any], version: dict[str, Any], path_rules: MatchingRules
    ) -> None:
        ours, theirs = list(control.items()), list(version.items())
        absent = (None, NOTHING)
        pairs = [
            (
                absent if first == ABSENT else ours[first],
                absent if second == ABSENT else theirs[second],
            )
            for first, second in self._matching.values(
                control, version, path_rules, len(self._steps)
            )
        ]
        if any(None not in (one, other) and one != other for (one, _), (other, _) in pairs):
            self._add(Kind.ORDER, control, version)
        for (one, value), (other, another) in pairs:
            if self.truncated:
                return
            self._at(Entry(other if one is None else one), value, another)

    def _arrays(self, control: list[Any], version: list[Any]) -> None:
        path_rules = self._rules.at(self._steps) if self._rules is not None else None
        depth = len(self._steps)
        if path_rules is None or path_rules.list_by is None:
            self._by_position(control, version, path_rules)
        elif path_rules.list_by == UNORDERED:
            self._in_pairs(
                [], self._matching.unordered(control, version, path_rules, depth), control, version
            )
        else:
            named, others = self._matching.keyed(control, version, path_rules, depth)
            self._in_pairs(named, others, control, version, path_rules.list_by)

    @property
    def _matching(self) -> Matching:
        # Made when needed: most pairs need none.
        if self._matching_made is None:
            self._matching_made = Matching(self._tokens)
        return self._matching_made

    def _by_position(
        self, control: list[Any], version: list[Any], path_rules: MatchingRules | None
    ) -> None:
        before, passed = len(self.found), self._passed
        self._positions(control, version)
        if len(control) != len(version):
            return
        depth = len(self._steps)
        if self.truncated or self._passed > passed:
            # The list of differences is incomplete, so every index may differ.
            indexes: Collection[Any] = range(len(control))
        else:
            # Equal members do not affect the order.
            indexes = {difference.path[depth] for difference in self.found[before:]}
            if len(indexes) < 2:
                return
        pairs: Pairs | None = []
        if path_rules is not None:
            pairs = self._matching.reordered(control, version, sorted(indexes), path_rules, depth)
        if pairs is None or not (pairs or is_permuted(control, version, indexes, self._tokens)):
            return
        del self.found[before:]
        self.truncated = False
        self._add(Kind.ORDER, control, version)
        # Members that agree may still have ignored differences.
        self._pairs(pairs, control, version)

    def _positions(self, control: list[Any], version: list[Any]) -> None:
        for index, (ours, theirs) in enumerate(zip(control, version, strict=False)):
            if ours is theirs:
                continue
            kind = type(ours)
            if kind is type(theirs) and kind in _SIMPLE and ours == theirs:
                continue
            self._at(index, ours, theirs)
            if self.truncated:
                return
        for index in range(len(version), len(control)):
            self._at(index, control[index], NOTHING)
            if self.truncated:
                return
        for index in range(len(control), len(version)):
            self._at(index, NOTHING, version[index])
            if self.truncated:
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
            if self.truncated:
                return
            ours: Any = NOTHING if first == ABSENT else control[first]
            theirs: Any = NOTHING if second == ABSENT else version[second]
            index, member = (second, theirs) if first == ABSENT else (first, ours)
            self._at(index if field is None else Member(field, member[field]), ours, theirs)
