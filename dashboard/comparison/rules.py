"""Rules: which differences of a version are ignored, and how its lists are compared.

A rule applies after the comparison. It never hides a difference; it marks it as ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

import re2

from dashboard.comparison.diff import Difference, Kind
from dashboard.comparison.lists import UNORDERED
from dashboard.comparison.paths import ANY_KEY, Entry, Glob, Path, PathError, Reached, Step
from dashboard.comparison.values import decimal_in, number, time_in, within

#: Limits in characters.
MAX_KEY = 100
MAX_PATTERN = 300
MAX_REPLACEMENT = 200
#: Longer texts are not rewritten.
MAX_REWRITTEN = 4000
#: Replacements in one text; each may scan the rest of the text.
MAX_PLACES = 200
#: Memory of one compiled pattern, in bytes.
_MAX_MEMORY = 1024 * 1024
#: Size of the caches: keys may come from data, so paths are unbounded.
_REMEMBERED = 4096

_REFERENCE = re.compile(r"\\(?:(?P<index>[0-9]{1,2})|g<(?P<name>\w+)>|(?P<backslash>\\)|)")
#: How much of each rule's glob a path has matched; None: the rule ignores all that follows.
_States = tuple[Reached | None, ...]
_Rewrite = Callable[[str], str]


class Treatment(StrEnum):
    """What a rule does about differences."""

    #: Ignore everything at the path and below it.
    IGNORE = "ignore"
    #: Ignore differences between numbers within a tolerance.
    TOLERANCE = "tolerance"
    #: Ignore different spellings of the same decimal number.
    DECIMAL = "decimal"
    #: Ignore the order of a list.
    UNORDERED = "unordered"
    #: Ignore the order of a list and match its members by a field.
    KEYED = "keyed"
    #: Ignore differences between texts that are equal once a pattern is replaced in both.
    REPLACE = "replace"
    #: Ignore differences between times within a tolerance.
    TIMES = "times"
    #: Treat null like a missing key.
    NULL = "null"
    #: Ignore the keys of an object: compare its values as an unordered list.
    VALUES = "values"


_ORDERS = (Treatment.UNORDERED, Treatment.KEYED, Treatment.VALUES)
_NEAR = (Treatment.TOLERANCE, Treatment.TIMES)


class RuleError(ValueError):
    """Raised when a rule is invalid; ``field`` is at fault, ``reason`` is shown to the user."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class ComparisonRule:
    """One rule; an empty ``version`` means all dark versions. Raises RuleError if invalid."""

    id: int
    path: str
    treatment: Treatment
    version: str = ""
    #: TOLERANCE: the largest distance, and the largest as a share of the larger number.
    #: TIMES: the largest distance in seconds.
    absolute: float | None = None
    relative: float | None = None
    #: KEYED: the field that identifies a member.
    key: str = ""
    #: REPLACE: an RE2 regular expression, and its replacement.
    pattern: str = ""
    replacement: str = ""

    def __post_init__(self) -> None:
        self.glob()
        if self.treatment in _NEAR:
            self._check_tolerance()
        elif self.treatment is Treatment.KEYED and not 0 < len(self.key) <= MAX_KEY:
            raise RuleError("key", f"name a field, with at most {MAX_KEY} characters")
        elif self.treatment is Treatment.REPLACE:
            self.rewriter()

    def glob(self) -> Glob:
        """The parsed path."""
        try:
            return Glob.parse(self.path)
        except PathError as error:
            raise RuleError("path", str(error)) from error

    def rewriter(self) -> _Rewrite:
        """A function that replaces the pattern in a text, in linear time.

        It never raises. Texts that are too long or hold a lone surrogate stay as they are.
        """
        pattern = _compiled(self.pattern)
        if len(self.replacement) > MAX_REPLACEMENT:
            raise RuleError("replacement", f"at most {MAX_REPLACEMENT} characters")
        parts = _replacement_parts(self.replacement, pattern)

        def replaced(found: Any) -> str:
            return "".join(
                part if isinstance(part, str) else found.group(part) or "" for part in parts
            )

        def rewrite(text: str) -> str:
            if len(text) > MAX_REWRITTEN:
                return text
            try:
                rewritten: str = pattern.sub(replaced, text, MAX_PLACES)
            except UnicodeEncodeError:
                return text
            return rewritten

        return rewrite

    def _check_tolerance(self) -> None:
        for field, value in (("absolute", self.absolute), ("relative", self.relative)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise RuleError(field, "give a number that is 0 or more")
        if self.absolute is None and self.treatment is Treatment.TIMES:
            raise RuleError("absolute", "enter how many seconds apart the times may be")
        if self.absolute is None and self.relative is None:
            raise RuleError("absolute", "enter how far apart the numbers may be")


class PathRules:
    """The rules for the values at one path, and below it."""

    def __init__(self, rules: Rules, reached: _States) -> None:
        self._rules = rules
        self.reached = reached
        #: The rule that ignores everything here and below, or None.
        self.covering: int | None = None
        #: The other rules for exactly this path.
        self.matching: list[ComparisonRule] = []
        for (rule, glob), at in zip(rules.globs, reached, strict=True):
            if at is None:
                self.covering = rule.id if self.covering is None else self.covering
            elif glob.ends(at):
                self.matching.append(rule)
        treatments = [rule.treatment for rule in self.matching]
        #: How a list's members are matched: by this field, UNORDERED, or None for by position.
        self.list_by = next(map(_list_by, self._order_rules()), None)
        #: Whether the keys of an object are ignored.
        self.by_value = Treatment.VALUES in treatments
        self.null_is_absent = Treatment.NULL in treatments
        #: Whether numbers or times may differ within a tolerance.
        self.tolerates = any(one in _NEAR for one in treatments)
        self._compares_times = Treatment.TIMES in treatments
        self._compares_numbers = (
            Treatment.TOLERANCE in treatments or Treatment.DECIMAL in treatments
        )

    def below(self, step: str | int) -> PathRules | None:
        """The rules one step further, or None if there are none from there on."""
        return self._rules.below(self, step)

    def rewritten(self, scalar: Any) -> Any:
        """A text with the patterns replaced; any other value unchanged."""
        if isinstance(scalar, str):
            for rule in self.matching:
                if rule.treatment is Treatment.REPLACE:
                    scalar = self._rules.rewriters[rule.id](scalar)
        return scalar

    def read(self, scalar: object) -> Decimal | None:
        """The number as which these rules compare a rewritten scalar, or None."""
        if self._compares_times and (time := time_in(scalar)) is not None:
            return time.seconds
        return decimal_in(scalar) if self._compares_numbers else None

    def near(self, control: object, version: object) -> int | None:
        """The rule that treats two rewritten scalars as equal, or None."""
        return next((rule.id for rule in self.matching if _near(rule, control, version)), None)

    def ignoring(self, difference: Difference) -> int | None:
        """The id of the rule that ignores a difference here, or None if it counts."""
        if self.covering is not None:
            return self.covering
        if difference.kind is Kind.ORDER:
            return next((rule.id for rule in self._order_rules()), None)
        if difference.kind in (Kind.MISSING, Kind.EXTRA):
            return self._null_rule(difference)
        return self._equal_rule(difference.control, difference.version)

    def _order_rules(self) -> Iterator[ComparisonRule]:
        return (rule for rule in self.matching if rule.treatment in _ORDERS)

    def _null_rule(self, difference: Difference) -> int | None:
        """The rule that treats null under a key like a missing key, or None."""
        value = difference.version if difference.kind is Kind.EXTRA else difference.control
        if value is not None or not isinstance(difference.path[-1], str):
            return None
        return next((r.id for r in self.matching if r.treatment is Treatment.NULL), None)

    def _equal_rule(self, control: object, version: object) -> int | None:
        """The rule that treats two values as equal: texts are rewritten first, then compared."""
        for rule in self.matching:
            if rule.treatment is Treatment.REPLACE:
                rewrite = self._rules.rewriters[rule.id]
                control = rewrite(control) if isinstance(control, str) else control
                version = rewrite(version) if isinstance(version, str) else version
                if isinstance(control, str) and control == version:
                    return rule.id
        return self.near(control, version)


class Rules:
    """The rules for one version, compiled for look-up by path."""

    def __init__(self, rules: Iterable[ComparisonRule]) -> None:
        self.globs = tuple((rule, rule.glob()) for rule in rules)
        self.rewriters = {
            rule.id: rule.rewriter()
            for rule, _ in self.globs
            if rule.treatment is Treatment.REPLACE
        }
        #: Whether any rule ignores the keys of an object.
        self.by_value = any(rule.treatment is Treatment.VALUES for rule, _ in self.globs)
        self._path_rules = lru_cache(_REMEMBERED)(self._make_path_rules)
        self._step = lru_cache(_REMEMBERED)(self._make_step)
        self._root = self._path_rules(
            tuple(_reached_or_covered(rule, glob, glob.start()) for rule, glob in self.globs)
        )

    def __bool__(self) -> bool:
        return bool(self.globs)

    @classmethod
    def of(cls, rules: Iterable[ComparisonRule], version: str) -> Rules:
        """The rules that apply to a version; the first that matches a difference is used."""
        return cls(rule for rule in rules if rule.version in ("", version))

    def at(self, path: Iterable[Step]) -> PathRules | None:
        """The rules for a path and below, or None if there are none."""
        found: PathRules | None = self._root
        for step in path:
            if found is None:
                break
            found = self.below(found, step)
        return found

    def ignoring(self, difference: Difference) -> int | None:
        """The id of the rule that ignores a difference, or None if it counts."""
        found = self.at(difference.path)
        return None if found is None else found.ignoring(difference)

    def covering(self, path: Path) -> int | None:
        """The id of the rule that ignores everything at a path and below, or None."""
        found = self.at(path)
        return None if found is None else found.covering

    def below(self, path_rules: PathRules, step: Step) -> PathRules | None:
        """The rules one step further, or None."""
        # A list's elements share their rules, as do an object's entries if its keys are ignored.
        if isinstance(step, Entry):
            step = ANY_KEY
        return self._step(path_rules, step if isinstance(step, str) else 0)

    def _make_step(self, path_rules: PathRules, step: str | int) -> PathRules | None:
        return self._path_rules(
            tuple(
                None if at is None else _reached_or_covered(rule, glob, glob.after(at, step))
                for (rule, glob), at in zip(self.globs, path_rules.reached, strict=True)
            )
        )

    def _make_path_rules(self, reached: _States) -> PathRules | None:
        return PathRules(self, reached) if any(at is None or at for at in reached) else None


def _reached_or_covered(rule: ComparisonRule, glob: Glob, reached: Reached) -> Reached | None:
    """How much of a rule's glob is matched; None once the rule ignores everything below."""
    is_covering = rule.treatment is Treatment.IGNORE and glob.ends(reached)
    return None if is_covering else reached


def _list_by(rule: ComparisonRule) -> str:
    return rule.key if rule.treatment is Treatment.KEYED else UNORDERED


def _near(rule: ComparisonRule, control: object, version: object) -> bool:
    if rule.treatment is Treatment.TIMES:
        first, second = time_in(control), time_in(version)
        if first is None or second is None or first.has_zone != second.has_zone:
            return False
        return within(first.seconds, second.seconds, absolute=rule.absolute, relative=None)
    if rule.treatment not in (Treatment.TOLERANCE, Treatment.DECIMAL):
        return False
    is_decimal = rule.treatment is Treatment.DECIMAL
    are_texts = isinstance(control, str) and isinstance(version, str)
    read = decimal_in if is_decimal or are_texts else number
    one, other = read(control), read(version)
    if one is None or other is None:
        return False
    if is_decimal:
        return one == other
    return within(one, other, absolute=rule.absolute, relative=rule.relative)


def _compiled(pattern: str) -> Any:
    if not pattern:
        raise RuleError("pattern", "give a regular expression")
    if len(pattern) > MAX_PATTERN:
        raise RuleError("pattern", f"at most {MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        cause = error.args[0] if error.args else ""
        reason = cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)
        raise RuleError("pattern", reason or "not a valid RE2 regular expression") from error
    except UnicodeEncodeError:
        raise RuleError("pattern", "contains a character that is not valid Unicode") from None


def _replacement_parts(replacement: str, pattern: Any) -> list[str | int]:
    """A replacement as texts and numbers of the pattern's groups."""
    parts: list[str | int] = []
    end = 0
    for found in _REFERENCE.finditer(replacement):
        parts.append(replacement[end : found.start()])
        end = found.end()
        parts.append("\\" if found["backslash"] else _group(found, pattern))
    parts.append(replacement[end:])
    return parts


def _group(found: re.Match[str], pattern: Any) -> int:
    name = found["name"] or found["index"] or ""
    if not name:
        raise RuleError("replacement", r"write \\ for a backslash, \1 or \g<name> for a group")
    group = int(name) if name.isdecimal() else pattern.groupindex.get(name)
    if group is None or group > pattern.groups:
        raise RuleError("replacement", f"the pattern has no group {name}")
    return int(group)
