"""Rules: which differences of a version are known and disregarded, and how its lists are compared.

A rule speaks after the comparison: it never hides a difference, it says that one is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from dashboard.domain.comparing.comparison import Difference, Kind
from dashboard.domain.comparing.globs import Glob, PathError
from dashboard.domain.comparing.lists import UNORDERED, Lists
from dashboard.domain.comparing.numbers import decimal_in, number, within
from dashboard.domain.comparing.paths import Path
from dashboard.domain.comparing.rewriting import Rewriting, RewritingError

#: Longest name of the field of a keyed list, in characters.
MAX_KEY = 100
#: Paths whose rules are kept; keys may come from data and never end.
_REMEMBERED = 1024


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
    absolute: float | None = None
    relative: float | None = None
    #: KEYED: the field that tells the members apart.
    key: str = ""
    #: REPLACE: a regular expression of RE2, and what to put there.
    pattern: str = ""
    replacement: str = ""

    def __post_init__(self) -> None:
        self.glob()
        if self.treatment is Treatment.TOLERANCE:
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
        if self.absolute is None and self.relative is None:
            raise RuleError("absolute", "say how far apart the numbers may be")


class Rules:
    """The rules that concern one version, ready to be asked."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._globs = [(rule, rule.glob()) for rule in rules]
        self._rewritings = {
            rule.id: rule.rewriting()
            for rule, _ in self._globs
            if rule.treatment is Treatment.REPLACE
        }
        #: How ``compare`` is to take the lists.
        self.lists = Lists(
            (glob, rule.key if rule.treatment is Treatment.KEYED else UNORDERED)
            for rule, glob in self._globs
            if rule.treatment in (Treatment.KEYED, Treatment.UNORDERED)
        )
        self._at = lru_cache(_REMEMBERED)(self._find)

    def __bool__(self) -> bool:
        return bool(self._globs)

    @classmethod
    def of(cls, rules: Iterable[Rule], version: str) -> Rules:
        """Those of the rules that concern a version; the first that fits a difference counts."""
        return cls(rule for rule in rules if rule.version in ("", version))

    def ignoring(self, difference: Difference) -> int | None:
        """The id of the rule that disregards a difference, or None: it counts."""
        if not self._globs:
            return None
        covering, matching = self._at(_plain(difference.path))
        if covering is not None:
            return covering
        if difference.kind is Kind.ORDER:
            orders = (Treatment.UNORDERED, Treatment.KEYED)
            return next((rule.id for rule in matching if rule.treatment in orders), None)
        if not matching or difference.kind in (Kind.MISSING, Kind.EXTRA):
            return None
        return self._equalling(difference, matching)

    def covering(self, path: Path) -> int | None:
        """The id of the rule that ignores all there can be at a path and below, or None."""
        return self._at(_plain(path))[0]

    def _find(self, path: Path) -> tuple[int | None, tuple[Rule, ...]]:
        """The rule that ignores what is at a path, and the others that are for exactly this one."""
        covering = None
        matching = []
        for rule, glob in self._globs:
            if rule.treatment is not Treatment.IGNORE:
                if glob.matches(path):
                    matching.append(rule)
            elif covering is None and glob.covers(path):
                covering = rule.id
        return covering, tuple(matching)

    def _equalling(self, difference: Difference, matching: tuple[Rule, ...]) -> int | None:
        """The rule by which the two values are as good as equal: rewritten first, then measured."""
        control, version = difference.control, difference.version
        if isinstance(control, str) and isinstance(version, str):
            for rule in matching:
                if rule.treatment is Treatment.REPLACE:
                    rewrite = self._rewritings[rule.id]
                    control, version = rewrite(control), rewrite(version)
                    if control == version:
                        return rule.id
        return next((rule.id for rule in matching if _measured(rule, control, version)), None)


def _plain(path: Path) -> Path:
    """A path without what tells the elements of a list apart, which matters to no rule."""
    return tuple(step if isinstance(step, str) else 0 for step in path)


def _measured(rule: Rule, control: object, version: object) -> bool:
    if rule.treatment is Treatment.DECIMAL:
        one, other = decimal_in(control), decimal_in(version)
        return one is not None and one == other
    if rule.treatment is not Treatment.TOLERANCE:
        return False
    read = decimal_in if isinstance(control, str) and isinstance(version, str) else number
    one, other = read(control), read(version)
    if one is None or other is None:
        return False
    return within(one, other, absolute=rule.absolute, relative=rule.relative)
