"""Rules: which differences of a version are known and disregarded, and how its lists are compared.

A rule speaks after the comparison: it never hides a difference, it says that one is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from dashboard.domain.comparing.comparison import Difference, Kind
from dashboard.domain.comparing.globs import Glob, PathError, Reached
from dashboard.domain.comparing.lists import UNORDERED
from dashboard.domain.comparing.numbers import decimal_in, number, time_in, within
from dashboard.domain.comparing.paths import ANY_KEY, Entry, Path, Step
from dashboard.domain.comparing.rewriting import Rewriting, RewritingError

#: Longest name of the field of a keyed list, in characters.
MAX_KEY = 100
#: Paths whose rules are kept, and steps between them; keys may come from data and never end.
_REMEMBERED = 4096

#: How far each rule has come along a path; None for one that ignores all from here on.
_States = tuple[Reached | None, ...]


class Treatment(StrEnum):
    """What a rule does about differences."""

    #: All at the path and below it are ignored.
    IGNORE = "ignore"
    #: Numbers that are near enough are.
    TOLERANCE = "tolerance"
    #: Different spellings of the same decimal number are.
    DECIMAL = "decimal"
    #: The order of a list is.
    UNORDERED = "unordered"
    #: The order of a list is; its members are told apart by a field.
    KEYED = "keyed"
    #: Texts that are the same after a pattern was replaced in both are.
    REPLACE = "replace"
    #: Times that are near enough are.
    TIMES = "times"
    #: That one has null where the other has nothing is.
    NULL = "null"
    #: The keys of an object are: its values are compared as an unordered list.
    VALUES = "values"


#: To these, the order of a list means nothing, nor do the keys of an object to the last.
_ORDERS = (Treatment.UNORDERED, Treatment.KEYED, Treatment.VALUES)
#: By these, values that are near enough are equal.
_NEAR = (Treatment.TOLERANCE, Treatment.TIMES)


class RuleError(ValueError):
    """Raised when a rule cannot be; names the field, and the reason for a person."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule; ``version`` is empty for all dark versions. Raises RuleError when it cannot be."""

    id: int
    path: str
    treatment: Treatment
    version: str = ""
    #: TOLERANCE: the largest distance, and the largest as a share of the larger number.
    #: TIMES: the largest distance in seconds.
    absolute: float | None = None
    relative: float | None = None
    #: KEYED: the field that tells the members apart.
    key: str = ""
    #: REPLACE: a regular expression of RE2, and what to put there.
    pattern: str = ""
    replacement: str = ""

    def __post_init__(self) -> None:
        self.glob()
        if self.treatment in _NEAR:
            self._check_tolerance()
        elif self.treatment is Treatment.KEYED and not 0 < len(self.key) <= MAX_KEY:
            raise RuleError("key", f"name a field, with at most {MAX_KEY} characters")
        elif self.treatment is Treatment.REPLACE:
            self.rewriting()

    def glob(self) -> Glob:
        """The path as a glob."""
        try:
            return Glob.parse(self.path)
        except PathError as error:
            raise RuleError("path", str(error)) from error

    def rewriting(self) -> Rewriting:
        """The pattern and the replacement as a function of a text."""
        try:
            return Rewriting.of(self.pattern, self.replacement)
        except RewritingError as error:
            raise RuleError(error.part, error.reason) from error

    def _check_tolerance(self) -> None:
        for field, value in (("absolute", self.absolute), ("relative", self.relative)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise RuleError(field, "give a number that is 0 or more")
        if self.absolute is None and self.treatment is Treatment.TIMES:
            raise RuleError("absolute", "say how many seconds apart the times may be")
        if self.absolute is None and self.relative is None:
            raise RuleError("absolute", "say how far apart the numbers may be")


class Place:
    """What the rules say of the values at one path, and of those below it."""

    def __init__(self, rules: Rules, reached: _States) -> None:
        self._rules = rules
        self.reached = reached
        #: The rule that ignores all there can be here and below, or None.
        self.covering: int | None = None
        #: The other rules for exactly this path.
        self.matching: list[Rule] = []
        for (rule, glob), at in zip(rules.globs, reached, strict=True):
            if at is None:
                self.covering = rule.id if self.covering is None else self.covering
            elif glob.ends(at):
                self.matching.append(rule)
        treatments = [rule.treatment for rule in self.matching]
        #: The field that tells a list's members apart, UNORDERED, or None for by position.
        self.list_by = next(map(_list_by, self._ordering()), None)
        #: Whether the keys of an object mean nothing.
        self.by_value = Treatment.VALUES in treatments
        #: Whether null is the same as nothing.
        self.null_is_absent = Treatment.NULL in treatments
        #: Whether a number or a time need only be near.
        self.tolerates = any(one in _NEAR for one in treatments)
        self._reads_times = Treatment.TIMES in treatments
        self._reads_numbers = Treatment.TOLERANCE in treatments or Treatment.DECIMAL in treatments

    def below(self, step: str | int) -> Place | None:
        """The place one step further, or None: no rule says anything there or below."""
        return self._rules.below(self, step)

    def rewritten(self, scalar: Any) -> Any:
        """A text with the patterns in it replaced; all else as it is."""
        if isinstance(scalar, str):
            for rule in self.matching:
                if rule.treatment is Treatment.REPLACE:
                    scalar = self._rules.rewritings[rule.id](scalar)
        return scalar

    def read(self, scalar: object) -> Decimal | None:
        """The number by which a rewritten scalar is measured; None for one that is as it is."""
        if self._reads_times and (time := time_in(scalar)) is not None:
            return time.seconds
        return decimal_in(scalar) if self._reads_numbers else None

    def near(self, control: object, version: object) -> int | None:
        """The rule by which two rewritten scalars are as good as equal, or None."""
        return next((rule.id for rule in self.matching if _measured(rule, control, version)), None)

    def ignoring(self, difference: Difference) -> int | None:
        """The id of the rule that disregards a difference here, or None: it counts."""
        if self.covering is not None:
            return self.covering
        if difference.kind is Kind.ORDER:
            return next((rule.id for rule in self._ordering()), None)
        if difference.kind in (Kind.MISSING, Kind.EXTRA):
            return self._nulling(difference)
        return self._equalling(difference.control, difference.version)

    def _ordering(self) -> Iterator[Rule]:
        return (rule for rule in self.matching if rule.treatment in _ORDERS)

    def _nulling(self, difference: Difference) -> int | None:
        """The rule by which null under a key of the one is as good as nothing in the other."""
        value = difference.version if difference.kind is Kind.EXTRA else difference.control
        if value is not None or not isinstance(difference.path[-1], str):
            return None
        return next((r.id for r in self.matching if r.treatment is Treatment.NULL), None)

    def _equalling(self, control: object, version: object) -> int | None:
        """The rule by which the two values are as good as equal: rewritten first, then measured."""
        for rule in self.matching:
            if rule.treatment is Treatment.REPLACE:
                rewrite = self._rules.rewritings[rule.id]
                control = rewrite(control) if isinstance(control, str) else control
                version = rewrite(version) if isinstance(version, str) else version
                if isinstance(control, str) and control == version:
                    return rule.id
        return self.near(control, version)


class Rules:
    """The rules that concern one version, ready to be asked."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.globs = tuple((rule, rule.glob()) for rule in rules)
        self.rewritings = {
            rule.id: rule.rewriting()
            for rule, _ in self.globs
            if rule.treatment is Treatment.REPLACE
        }
        #: Whether there are objects whose keys mean nothing.
        self.by_value = any(rule.treatment is Treatment.VALUES for rule, _ in self.globs)
        self._place = lru_cache(_REMEMBERED)(self._make_place)
        self._step = lru_cache(_REMEMBERED)(self._make_step)
        self._root = self._place(
            tuple(_state(rule, glob, glob.start()) for rule, glob in self.globs)
        )

    def __bool__(self) -> bool:
        return bool(self.globs)

    @classmethod
    def of(cls, rules: Iterable[Rule], version: str) -> Rules:
        """Those of the rules that concern a version; the first that fits a difference counts."""
        return cls(rule for rule in rules if rule.version in ("", version))

    def at(self, path: Iterable[Step]) -> Place | None:
        """What the rules say of what is at a path and below it, or None: nothing."""
        place: Place | None = self._root
        for step in path:
            if place is None:
                break
            place = place.below(_rule_step(step))
        return place

    def ignoring(self, difference: Difference) -> int | None:
        """The id of the rule that disregards a difference, or None: it counts."""
        place = self.at(difference.path)
        return None if place is None else place.ignoring(difference)

    def covering(self, path: Path) -> int | None:
        """The id of the rule that ignores all there can be at a path and below, or None."""
        place = self.at(path)
        return None if place is None else place.covering

    def below(self, place: Place, step: str | int) -> Place | None:
        """What they say one step further."""
        return self._step(place, _rule_step(step))

    def _make_step(self, place: Place, step: str | int) -> Place | None:
        return self._place(
            tuple(
                None if at is None else _state(rule, glob, glob.after(at, step))
                for (rule, glob), at in zip(self.globs, place.reached, strict=True)
            )
        )

    def _make_place(self, reached: _States) -> Place | None:
        """None when no rule says anything there or below."""
        return Place(self, reached) if any(at is None or at for at in reached) else None


def _rule_step(step: Step) -> str | int:
    """A step as rules know it: which element of a list it is matters to none, nor does a key that
    means nothing."""
    if isinstance(step, Entry):
        return ANY_KEY
    return step if isinstance(step, str) else 0


def _state(rule: Rule, glob: Glob, reached: Reached) -> Reached | None:
    """How far a rule has come; None when it ignores all there can be from here on."""
    is_covering = rule.treatment is Treatment.IGNORE and glob.ends(reached)
    return None if is_covering else reached


def _list_by(rule: Rule) -> str:
    return rule.key if rule.treatment is Treatment.KEYED else UNORDERED


def _measured(rule: Rule, control: object, version: object) -> bool:
    if rule.treatment is Treatment.DECIMAL:
        one, other = decimal_in(control), decimal_in(version)
        return one is not None and one == other
    if rule.treatment is Treatment.TIMES:
        first, second = time_in(control), time_in(version)
        if first is None or second is None or first.has_zone != second.has_zone:
            return False
        return within(first.seconds, second.seconds, absolute=rule.absolute, relative=None)
    if rule.treatment is not Treatment.TOLERANCE:
        return False
    read = decimal_in if isinstance(control, str) and isinstance(version, str) else number
    one, other = read(control), read(version)
    if one is None or other is None:
        return False
    return within(one, other, absolute=rule.absolute, relative=rule.relative)
