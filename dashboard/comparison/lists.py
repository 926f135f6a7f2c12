"""Pairs the members of two lists, as far as they agree by the rules."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from decimal import Decimal
from enum import Enum
from itertools import chain, pairwise
from typing import Any, NamedTuple, Protocol

from dashboard.comparison.paths import ANY_KEY
from dashboard.comparison.values import Tokens, token_of_decimal

#: In place of a field: members are paired by their whole content.
UNORDERED = ""

#: In place of an index: the member of the other list has no partner.
ABSENT = -1
#: Indexes of paired members, the control's first.
Pairs = list[tuple[int, int]]

#: Deeper values are compared as a whole.
MAX_DEPTH = 64
#: Search steps of one comparison for members within a tolerance, and for one member.
MAX_STEPS = 30_000
MAX_STEPS_FOR_ONE = 500


class MatchingRules(Protocol):
    """The rules for the values at one path, and below it."""

    @property
    def covering(self) -> int | None:
        """The rule that ignores everything here and below, or None."""

    @property
    def list_by(self) -> str | None:
        """How a list's members are matched: by this field, UNORDERED, or None for by position."""

    @property
    def by_value(self) -> bool:
        """Whether the keys of an object are ignored."""

    @property
    def null_is_absent(self) -> bool:
        """Whether null equals a missing key."""

    @property
    def tolerates(self) -> bool:
        """Whether numbers or times may differ within a tolerance."""

    def read(self, scalar: Any) -> Decimal | None:
        """A rewritten scalar as the number that these rules compare, or None."""

    def below(self, step: str | int) -> MatchingRules | None:
        """The rules one step further, or None if there are none from there on."""

    def rewritten(self, scalar: Any) -> Any:
        """A text with the patterns replaced; any other value unchanged."""

    def near(self, control: Any, version: Any) -> int | None:
        """The rule that treats two rewritten scalars as equal, or None."""


#: The numbers of a member that are compared with a tolerance, and its index.
_Numbered = tuple[tuple[Decimal, ...], int]


class _Left(Enum):
    """Tokens of values that the rules change."""

    NOTHING = "nothing"
    #: A number that is compared with a tolerance.
    NUMBER = "number"
    #: The key of a member without one.
    NO_KEY = "no key"


class _Steps:
    """A budget of search steps."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, count: int = 1) -> bool:
        """Use some steps; False when none are left."""
        self.left = max(0, self.left - count)
        return self.left > 0


class _Lists(NamedTuple):
    """Two lists; the rules and the depth are those of their members."""

    control: Sequence[Any]
    version: Sequence[Any]
    rules: MatchingRules | None
    depth: int


class Matching:
    """Pairs members of lists, in one comparison. The documents must outlive it.

    Values that agree by the rules have the same token, leaving numbers with a tolerance aside.
    Members with the same token are paired. If they contain numbers with a tolerance, they are tried
    in list order, then ordered by these numbers, then each with each, within a budget of steps.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._left: dict[tuple[int, MatchingRules], Hashable] = {}
        #: Tokens of values that contain numbers with a tolerance.
        self._loose: set[Hashable] = {_Left.NUMBER}
        self._agreed: dict[tuple[int, int, MatchingRules], bool] = {}
        self._numbers: dict[tuple[int, MatchingRules], tuple[Decimal, ...]] = {}
        self._steps = _Steps(MAX_STEPS)

    def unordered(
        self, control: Sequence[Any], version: Sequence[Any], rules: MatchingRules, depth: int
    ) -> Pairs:
        """Members that agree in pairs; then the others by position."""
        lists = _Lists(control, version, _inside(rules, 0), depth + 1)
        return self._paired(lists, range(len(control)), range(len(version)))[0]

    def values(
        self,
        control: Mapping[str, Any],
        version: Mapping[str, Any],
        rules: MatchingRules,
        depth: int,
    ) -> Pairs:
        """The values of two objects in pairs, as if in unordered lists."""
        ours, theirs = list(control.values()), list(version.values())
        lists = _Lists(ours, theirs, _inside(rules, ANY_KEY), depth + 1)
        return self._paired(lists, range(len(ours)), range(len(theirs)))[0]

    def keyed(
        self, control: Sequence[Any], version: Sequence[Any], rules: MatchingRules, depth: int
    ) -> tuple[Pairs, Pairs]:
        """First the pairs of members with the same value of a field; then those that share a value
        or have none, paired by their whole content."""
        lists = _Lists(control, version, _inside(rules, 0), depth + 1)
        groups: dict[Hashable, tuple[list[int], list[int]]] = {}
        for side, members in enumerate((control, version)):
            for index, member in enumerate(members):
                key = self._key(member, rules.list_by, lists.rules, depth + 1)
                groups.setdefault(key, ([], []))[side].append(index)
        named: Pairs = []
        others: Pairs = []
        for key, (ours, theirs) in groups.items():
            if len(ours) < 2 and len(theirs) < 2 and not isinstance(key, _Left):
                named.append((ours[0] if ours else ABSENT, theirs[0] if theirs else ABSENT))
            else:
                others += self._paired(lists, ours, theirs)[0]
        return named, others

    def reordered(
        self,
        control: Sequence[Any],
        version: Sequence[Any],
        indexes: Collection[int],
        rules: MatchingRules,
        depth: int,
    ) -> Pairs | None:
        """The members at these indexes in pairs if they agree in another order, else None."""
        lists = _Lists(control, version, _inside(rules, 0), depth + 1)
        counts = Counter(self._token_of(control[index], lists) for index in indexes)
        for index in indexes:
            token = self._token_of(version[index], lists)
            if not counts[token]:
                return None
            counts[token] -= 1
        pairs, agreeing = self._paired(lists, indexes, indexes)
        return pairs if agreeing == len(indexes) and is_reordered(pairs) else None

    def _key(
        self, member: Any, field: str | None, rules: MatchingRules | None, depth: int
    ) -> Hashable:
        value = member.get(field) if isinstance(member, dict) else None
        if value is None or isinstance(value, list | dict):
            return _Left.NO_KEY
        return self._token(value, rules and rules.below(field or ""), depth + 1)

    def _paired(
        self, lists: _Lists, ours: Collection[int], theirs: Collection[int]
    ) -> tuple[Pairs, int]:
        """All these members in pairs, and how many pairs agree."""
        alike: dict[Hashable, tuple[list[int], list[int]]] = {}
        for index in ours:
            alike.setdefault(self._token_of(lists.control[index], lists), ([], []))[0].append(index)
        for index in theirs:
            alike.setdefault(self._token_of(lists.version[index], lists), ([], []))[1].append(index)
        pairs: Pairs = []
        left: list[int] = []
        extra: list[int] = []
        agreeing = 0
        for token, (some, others) in alike.items():
            matched = list(zip(some, others, strict=False))
            agreeing += len(matched)
            if token in self._loose and not all(
                self._pair_agrees(lists, *pair) for pair in matched
            ):
                matched, near = self._nearest(lists, some, others)
                agreeing += near - len(matched)
            pairs += matched
            if len(some) != len(others):
                left += set(some).difference(first for first, _ in matched)
                extra += set(others).difference(second for _, second in matched)
        pairs.sort()
        left.sort()
        extra.sort()
        pairs.extend(zip(left, extra, strict=False))
        pairs.extend((index, ABSENT) for index in left[len(extra) :])
        pairs.extend((ABSENT, index) for index in extra[len(left) :])
        return pairs, agreeing

    def _token_of(self, member: Any, lists: _Lists) -> Hashable:
        return self._token(member, lists.rules, lists.depth)

    def _token(self, value: Any, rules: MatchingRules | None, depth: int) -> Hashable:
        if rules is None:
            return self._tokens.of(value)
        if rules.covering is not None:
            return _Left.NOTHING
        if type(value) is not dict and type(value) is not list:
            return self._scalar(rules.rewritten(value), rules)
        if depth >= MAX_DEPTH:
            return self._tokens.of(value)
        known = self._left.get((id(value), rules))
        if known is None:
            known = self._left[id(value), rules] = self._container(value, rules, depth)
        return known

    def _scalar(self, value: Any, rules: MatchingRules) -> Hashable:
        read = rules.read(value)
        if read is None:
            return self._tokens.of(value)
        if rules.tolerates:
            return _Left.NUMBER
        # As in any comparison of numbers, a whole float equals its integer.
        whole = isinstance(value, float) and value.is_integer()
        return token_of_decimal(Decimal(int(value)) if whole else read)

    def _container(
        self, value: dict[str, Any] | list[Any], rules: MatchingRules, depth: int
    ) -> Hashable:
        parts = [
            (step, token)
            for step, part, below in _left_of(value, rules)
            if (token := self._token(part, below, depth + 1)) is not _Left.NOTHING
        ]
        content: Hashable
        if isinstance(value, dict) and not rules.by_value:
            content = frozenset(parts)
        elif isinstance(value, list) and rules.list_by is None:
            content = tuple(token for _, token in parts)
        else:
            counts = frozenset(Counter(token for _, token in parts).items())
            content = ("any key" if isinstance(value, dict) else "any order", counts)
        known = self._tokens.of_content(content)
        if any(token in self._loose for _, token in parts):
            self._loose.add(known)
        return known

    def _pair_agrees(self, lists: _Lists, first: int, second: int) -> bool:
        rules, depth = lists.rules, lists.depth
        return rules is None or self._agree(
            lists.control[first], lists.version[second], rules, depth
        )

    def _agree(self, control: Any, version: Any, rules: MatchingRules, depth: int) -> bool:
        """Whether two values with the same token agree; False once the steps are used up."""
        if self._token(control, rules, depth) not in self._loose:
            return True
        if not self._steps.take():
            return False
        if type(control) is not dict and type(control) is not list:
            ours, theirs = rules.rewritten(control), rules.rewritten(version)
            is_same = self._tokens.of(ours) == self._tokens.of(theirs)
            return is_same or rules.near(ours, theirs) is not None
        key = (id(control), id(version), rules)
        known = self._agreed.get(key)
        if known is None:
            known = self._agreed[key] = self._parts_agree(control, version, rules, depth)
        return known

    def _parts_agree(self, control: Any, version: Any, rules: MatchingRules, depth: int) -> bool:
        self._steps.take(len(control))
        any_key = isinstance(control, dict) and rules.by_value
        if isinstance(control, list) and rules.list_by is not None:
            lists = _Lists(control, version, rules.below(0), depth + 1)
        elif any_key:
            ours, theirs = (
                [part for _, part, _ in _left_of(one, rules)] for one in (control, version)
            )
            lists = _Lists(ours, theirs, rules.below(ANY_KEY), depth + 1)
        else:
            return all(
                self._agree(part, version[step], below, depth + 1)
                for step, part, below in _left_of(control, rules)
                if below is not None and below.covering is None
            )
        everyone = range(len(lists.control))
        return self._paired(lists, everyone, everyone)[1] == len(everyone)

    def _nearest(
        self, lists: _Lists, ours: Iterable[int], theirs: Iterable[int]
    ) -> tuple[Pairs, int]:
        """The most pairs possible among members with one token, and how many agree."""
        search = _Search(
            sorted((self._numbers_of(lists.control[one], lists), one) for one in ours),
            sorted((self._numbers_of(lists.version[one], lists), one) for one in theirs),
            lambda first, second: self._pair_agrees(lists, first, second),
            self._steps,
        )
        return search.pairs()

    def _numbers_of(self, member: Any, lists: _Lists) -> tuple[Decimal, ...]:
        return () if lists.rules is None else self._numbers_in(member, lists.rules, lists.depth)

    def _numbers_in(self, value: Any, rules: MatchingRules, depth: int) -> tuple[Decimal, ...]:
        """The numbers in a value that have a tolerance, in a canonical order."""
        if self._token(value, rules, depth) not in self._loose:
            return ()
        if type(value) is not dict and type(value) is not list:
            read = rules.read(rules.rewritten(value))
            return () if read is None else (read,)
        known = self._numbers.get((id(value), rules))
        if known is None:
            parts = list(_left_of(value, rules))
            if isinstance(value, dict):
                parts.sort(key=lambda part: str(part[0]))
            inner = [
                self._numbers_in(part, below, depth + 1)
                for _, part, below in parts
                if below is not None
            ]
            if rules.by_value or (isinstance(value, list) and rules.list_by is not None):
                inner.sort()
            known = self._numbers[id(value), rules] = tuple(chain.from_iterable(inner))
        return known


class _Search:
    """A maximum matching of members that differ only in numbers with a tolerance.

    Both sequences are ordered by these numbers.
    """

    def __init__(
        self,
        control: Sequence[_Numbered],
        version: Sequence[_Numbered],
        agree: Callable[[int, int], bool],
        steps: _Steps,
    ) -> None:
        self._control = control
        self._version = version
        self._agree = agree
        self._steps = steps
        self._numbers = {index: numbers for numbers, index in control}
        #: Partners: the version's by the control's, and the control's by the version's.
        self._theirs: dict[int, int] = {}
        self._ours: dict[int, int] = {}

    def pairs(self) -> tuple[Pairs, int]:
        """The most pairs possible, and how many agree."""
        self._merge()
        for _, index in self._control:
            if len(self._ours) == len(self._version) or not self._steps.left:
                break
            if index not in self._theirs:
                self._find_partner(index)
        agreeing = list(self._theirs.items())
        left = [index for _, index in self._control if index not in self._theirs]
        extra = [index for _, index in self._version if index not in self._ours]
        return [*agreeing, *zip(left, extra, strict=False)], len(agreeing)

    def _merge(self) -> None:
        """Pair members that agree in one pass over both."""
        first = second = 0
        while first < len(self._control) and second < len(self._version):
            (mine, ours), (yours, theirs) = self._control[first], self._version[second]
            if self._agree(ours, theirs):
                self._theirs[ours], self._ours[theirs] = theirs, ours
                first += 1
                second += 1
            elif mine < yours:
                first += 1
            else:
                second += 1

    def _find_partner(self, index: int) -> None:
        """Find a partner by an augmenting path: others may have to change theirs."""
        found_by: dict[int, int] = {}
        waiting = deque([index])
        tried = 0
        while waiting:
            ours = waiting.popleft()
            for theirs in _outwards(self._version, self._numbers[ours]):
                tried += 1
                if tried > MAX_STEPS_FOR_ONE or not self._steps.take():
                    return
                if theirs in found_by or not self._agree(ours, theirs):
                    continue
                found_by[theirs] = ours
                if theirs not in self._ours:
                    self._take_over(theirs, found_by)
                    return
                waiting.append(self._ours[theirs])

    def _take_over(self, free: int, found_by: dict[int, int]) -> None:
        theirs: int | None = free
        while theirs is not None:
            ours = found_by[theirs]
            before = self._theirs.get(ours)
            self._theirs[ours], self._ours[theirs] = theirs, ours
            theirs = before


def is_reordered(pairs: Pairs) -> bool:
    """Whether the paired members have another order."""
    order = sorted(pair for pair in pairs if ABSENT not in pair)
    return any(first[1] > second[1] for first, second in pairwise(order))


def is_permuted(
    control: Sequence[Any], version: Sequence[Any], indexes: Collection[int], tokens: Tokens
) -> bool:
    """Whether the members at these indexes are equal in any order."""
    counts = Counter([tokens.of(control[index]) for index in indexes])
    for index in indexes:
        token = tokens.of(version[index])
        if not counts[token]:
            return False
        counts[token] -= 1
    return True


def _inside(rules: MatchingRules, step: str | int) -> MatchingRules | None:
    """The rules for members; None if everything is ignored: whole contents are paired then."""
    return rules.below(step) if rules.covering is None else None


def _left_of(
    value: dict[str, Any] | list[Any], rules: MatchingRules
) -> Iterator[tuple[str | int, Any, MatchingRules | None]]:
    """The parts of a value with their rules, without nulls that equal a missing key."""
    any_key = isinstance(value, dict) and rules.by_value
    for step, part in value.items() if isinstance(value, dict) else enumerate(value):
        below = rules.below(ANY_KEY if any_key else step)
        is_absent = part is None and isinstance(step, str)
        if not (is_absent and below is not None and below.null_is_absent):
            yield step, part, below


def _outwards(members: Sequence[_Numbered], numbers: tuple[Decimal, ...]) -> Iterator[int]:
    """The indexes of members, nearest numbers first."""
    above = bisect_left(members, (numbers, -1))
    below = above - 1
    while below >= 0 or above < len(members):
        if above < len(members):
            yield members[above][1]
            above += 1
        if below >= 0:
            yield members[below][1]
            below -= 1
