"""Which members of two lists belong together, by what the rules leave of them."""

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

from dashboard.domain.comparing.canonical import Tokens, token_of_decimal
from dashboard.domain.comparing.paths import ANY_KEY

#: Stands for "no field": members of an unordered list belong together by all that is left of them.
UNORDERED = ""

#: In place of an index: the list has no member for that of the other.
ABSENT = -1
#: Indexes of members that belong together, the control's first.
Pairs = list[tuple[int, int]]

#: Steps to values at most; what lies deeper is compared as a whole.
MAX_DEPTH = 64
#: Steps of one comparison in search of members that are near enough, and steps for one member.
MAX_STEPS = 30_000
MAX_STEPS_FOR_ONE = 500


class Place(Protocol):
    """What rules say of the values at one path, and of those below it."""

    @property
    def covering(self) -> int | None:
        """The rule that ignores all there can be here and below, or None."""

    @property
    def list_by(self) -> str | None:
        """The field that tells a list's members apart, UNORDERED, or None for by position."""

    @property
    def by_value(self) -> bool:
        """Whether the keys of an object mean nothing."""

    @property
    def null_is_absent(self) -> bool:
        """Whether null is the same as nothing."""

    @property
    def tolerates(self) -> bool:
        """Whether a number or a time need only be near."""

    def read(self, scalar: Any) -> Decimal | None:
        """The number by which a rewritten scalar is measured; None for one that is as it is."""

    def below(self, step: str | int) -> Place | None:
        """The place one step further, or None: no rule says anything there or below."""

    def rewritten(self, scalar: Any) -> Any:
        """A text with the patterns in it replaced; all else as it is."""

    def near(self, control: Any, version: Any) -> int | None:
        """The rule by which two rewritten scalars are as good as equal, or None."""


#: A member's numbers that need only be near, and its index.
_Numbered = tuple[tuple[Decimal, ...], int]


class _Left(Enum):
    """What is left of some values."""

    NOTHING = "nothing"
    #: A number that needs to be near.
    NUMBER = "number"
    #: The key of a member that has none.
    NO_KEY = "no key"


class _Steps:
    """So many steps, and no more."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, count: int = 1) -> bool:
        """Whether there are so many."""
        self.left = max(0, self.left - count)
        return self.left > 0


class _Lists(NamedTuple):
    """Two lists; the place and the depth are those of their members."""

    control: Sequence[Any]
    version: Sequence[Any]
    place: Place | None
    depth: int


class Matching:
    """Finds members that belong together, in one comparison; the documents must outlive it.

    Values have the same token when they agree by the rules, numbers that need only be near aside.
    Members with the same token belong together. Where there are such numbers in them, they are
    tried in the order that they have, then in the order of their numbers, then each with each, in
    so many steps and no more.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._left: dict[tuple[int, Place], Hashable] = {}
        #: Tokens of what holds numbers that need only be near.
        self._loose: set[Hashable] = {_Left.NUMBER}
        self._agreed: dict[tuple[int, int, Place], bool] = {}
        self._numbers: dict[tuple[int, Place], tuple[Decimal, ...]] = {}
        self._steps = _Steps(MAX_STEPS)

    def unordered(
        self, control: Sequence[Any], version: Sequence[Any], place: Place, depth: int
    ) -> Pairs:
        """Members that agree belong together, each once; what is left does so by position."""
        lists = _Lists(control, version, _of_members(place), depth + 1)
        return self._paired(lists, range(len(control)), range(len(version)))[0]

    def values(
        self,
        control: Mapping[str, Any],
        version: Mapping[str, Any],
        place: Place,
        depth: int,
    ) -> Pairs:
        """The values of two objects as the members of unordered lists, by their indexes."""
        ours, theirs = list(control.values()), list(version.values())
        lists = _Lists(ours, theirs, _of_values(place), depth + 1)
        return self._paired(lists, range(len(ours)), range(len(theirs)))[0]

    def keyed(
        self, control: Sequence[Any], version: Sequence[Any], place: Place, depth: int
    ) -> tuple[Pairs, Pairs]:
        """Members with the same value of a field belong together. Those that share it, or are
        without it, do so by all that is left of them, and come second."""
        lists = _Lists(control, version, _of_members(place), depth + 1)
        groups: dict[Hashable, tuple[list[int], list[int]]] = {}
        for side, members in enumerate((control, version)):
            for index, member in enumerate(members):
                key = self._key(member, place.list_by, lists.place, depth + 1)
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
        place: Place,
        depth: int,
    ) -> Pairs | None:
        """The members at these indexes in pairs, if those of the one list agree with those of the
        other in another order; else None."""
        lists = _Lists(control, version, _of_members(place), depth + 1)
        counts = Counter(self._token_of(control[index], lists) for index in indexes)
        for index in indexes:
            token = self._token_of(version[index], lists)
            if not counts[token]:
                return None
            counts[token] -= 1
        pairs, agreeing = self._paired(lists, indexes, indexes)
        return pairs if agreeing == len(indexes) and is_reordered(pairs) else None

    def _key(self, member: Any, field: str | None, place: Place | None, depth: int) -> Hashable:
        value = member.get(field) if isinstance(member, dict) else None
        if value is None or isinstance(value, list | dict):
            return _Left.NO_KEY
        return self._token(value, place and place.below(field or ""), depth + 1)

    def _paired(
        self, lists: _Lists, ours: Collection[int], theirs: Collection[int]
    ) -> tuple[Pairs, int]:
        """All of these members in pairs, and how many pairs agree."""
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
            if token in self._loose and not self._all_agree(lists, matched):
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

    # Tokens: what is left of a value.

    def _token_of(self, member: Any, lists: _Lists) -> Hashable:
        return self._token(member, lists.place, lists.depth)

    def _token(self, value: Any, place: Place | None, depth: int) -> Hashable:
        if place is None:
            return self._tokens.of(value)
        if place.covering is not None:
            return _Left.NOTHING
        if type(value) is not dict and type(value) is not list:
            return self._scalar(place.rewritten(value), place)
        if depth >= MAX_DEPTH:
            return self._tokens.of(value)
        known = self._left.get((id(value), place))
        if known is None:
            known = self._left[id(value), place] = self._container(value, place, depth)
        return known

    def _scalar(self, value: Any, place: Place) -> Hashable:
        read = place.read(value)
        if read is None:
            return self._tokens.of(value)
        if place.tolerates:
            return _Left.NUMBER
        # As exact as in any comparison of numbers: a whole float is the integer that it is.
        whole = isinstance(value, float) and value.is_integer()
        return token_of_decimal(Decimal(int(value)) if whole else read)

    def _container(self, value: dict[str, Any] | list[Any], place: Place, depth: int) -> Hashable:
        parts = [
            (step, token)
            for step, part, below in _left_of(value, place)
            if (token := self._token(part, below, depth + 1)) is not _Left.NOTHING
        ]
        content: Hashable
        if isinstance(value, dict) and not place.by_value:
            content = frozenset(parts)
        elif isinstance(value, list) and place.list_by is None:
            content = tuple(token for _, token in parts)
        else:
            counts = frozenset(Counter(token for _, token in parts).items())
            content = ("any key" if isinstance(value, dict) else "any order", counts)
        known = self._tokens.of_content(content)
        if any(token in self._loose for _, token in parts):
            self._loose.add(known)
        return known

    # Numbers that need only be near.

    def _all_agree(self, lists: _Lists, pairs: Iterable[tuple[int, int]]) -> bool:
        return all(self._pair_agrees(lists, first, second) for first, second in pairs)

    def _pair_agrees(self, lists: _Lists, first: int, second: int) -> bool:
        place, depth = lists.place, lists.depth
        return place is None or self._agree(
            lists.control[first], lists.version[second], place, depth
        )

    def _agree(self, control: Any, version: Any, place: Place, depth: int) -> bool:
        """Whether two values with the same token agree; no longer found out beyond the steps."""
        if self._token(control, place, depth) not in self._loose:
            return True
        if not self._steps.take():
            return False
        if type(control) is not dict and type(control) is not list:
            ours, theirs = place.rewritten(control), place.rewritten(version)
            is_same = self._tokens.of(ours) == self._tokens.of(theirs)
            return is_same or place.near(ours, theirs) is not None
        key = (id(control), id(version), place)
        known = self._agreed.get(key)
        if known is None:
            known = self._agreed[key] = self._parts_agree(control, version, place, depth)
        return known

    def _parts_agree(self, control: Any, version: Any, place: Place, depth: int) -> bool:
        self._steps.take(len(control))
        any_key = isinstance(control, dict) and place.by_value
        if isinstance(control, list) and place.list_by is not None:
            lists = _Lists(control, version, place.below(0), depth + 1)
        elif any_key:
            ours, theirs = (
                [part for _, part, _ in _left_of(one, place)] for one in (control, version)
            )
            lists = _Lists(ours, theirs, place.below(ANY_KEY), depth + 1)
        else:
            return all(
                self._agree(part, version[step], below, depth + 1)
                for step, part, below in _left_of(control, place)
                if below is not None and below.covering is None
            )
        everyone = range(len(lists.control))
        return self._paired(lists, everyone, everyone)[1] == len(everyone)

    def _nearest(
        self, lists: _Lists, ours: Iterable[int], theirs: Iterable[int]
    ) -> tuple[Pairs, int]:
        """As many pairs as there can be of members with one token, and how many of them agree."""
        search = _Search(
            sorted((self._numbers_of(lists.control[one], lists), one) for one in ours),
            sorted((self._numbers_of(lists.version[one], lists), one) for one in theirs),
            lambda first, second: self._pair_agrees(lists, first, second),
            self._steps,
        )
        return search.pairs()

    def _numbers_of(self, member: Any, lists: _Lists) -> tuple[Decimal, ...]:
        return () if lists.place is None else self._numbers_in(member, lists.place, lists.depth)

    def _numbers_in(self, value: Any, place: Place, depth: int) -> tuple[Decimal, ...]:
        """The numbers in a value that need only be near, in an order that means nothing."""
        if self._token(value, place, depth) not in self._loose:
            return ()
        if type(value) is not dict and type(value) is not list:
            read = place.read(place.rewritten(value))
            return () if read is None else (read,)
        known = self._numbers.get((id(value), place))
        if known is None:
            parts = list(_left_of(value, place))
            if isinstance(value, dict):
                parts.sort(key=lambda part: str(part[0]))
            inner = [
                self._numbers_in(part, below, depth + 1)
                for _, part, below in parts
                if below is not None
            ]
            if place.by_value or (isinstance(value, list) and place.list_by is not None):
                inner.sort()
            known = self._numbers[id(value), place] = tuple(chain.from_iterable(inner))
        return known


class _Search:
    """Finds partners among members that differ in nothing but their numbers, a maximum matching."""

    def __init__(
        self,
        control: Sequence[_Numbered],
        version: Sequence[_Numbered],
        agree: Callable[[int, int], bool],
        steps: _Steps,
    ) -> None:
        """Both are in the order of their numbers."""
        self._control = control
        self._version = version
        self._agree = agree
        self._steps = steps
        self._numbers = {index: numbers for numbers, index in control}
        #: The version's member for the control's, and the other way round.
        self._theirs: dict[int, int] = {}
        self._ours: dict[int, int] = {}

    def pairs(self) -> tuple[Pairs, int]:
        """As many pairs as there can be, and how many of them agree."""
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
        """Pair what agrees, going through both once."""
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
        """Find one a partner, if need be by giving others another one: an augmenting path."""
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
    """Whether the members that both lists have stand in another order."""
    order = sorted(pair for pair in pairs if ABSENT not in pair)
    return any(first[1] > second[1] for first, second in pairwise(order))


def is_permuted(
    control: Sequence[Any], version: Sequence[Any], indexes: Collection[int], tokens: Tokens
) -> bool:
    """Whether the members at these indexes are the same in both lists, in whatever order."""
    counts = Counter([tokens.of(control[index]) for index in indexes])
    for index in indexes:
        token = tokens.of(version[index])
        if not counts[token]:
            return False
        counts[token] -= 1
    return True


def _of_members(place: Place) -> Place | None:
    """The place of a list's members; where all is ignored, they are matched by all they hold."""
    return place.below(0) if place.covering is None else None


def _of_values(place: Place) -> Place | None:
    """The place of an object's values where its keys mean nothing."""
    return place.below(ANY_KEY) if place.covering is None else None


def _left_of(
    value: dict[str, Any] | list[Any], place: Place
) -> Iterator[tuple[str | int, Any, Place | None]]:
    """The parts of a value, each with its place, without null where that is as good as nothing."""
    any_key = isinstance(value, dict) and place.by_value
    for step, part in _parts(value):
        below = place.below(ANY_KEY if any_key else step)
        is_absent = part is None and isinstance(step, str)
        if not (is_absent and below is not None and below.null_is_absent):
            yield step, part, below


def _parts(value: dict[str, Any] | list[Any]) -> Iterable[tuple[str | int, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _outwards(members: Sequence[_Numbered], numbers: tuple[Decimal, ...]) -> Iterator[int]:
    """The members' indexes, those with the nearest numbers first."""
    above = bisect_left(members, (numbers, -1))
    below = above - 1
    while below >= 0 or above < len(members):
        if above < len(members):
            yield members[above][1]
            above += 1
        if below >= 0:
            yield members[below][1]
            below -= 1
