"""Which lists are not compared by position, and which members of two lists belong together."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from dashboard.domain.comparing.canonical import Tokens
from dashboard.domain.comparing.globs import Glob
from dashboard.domain.comparing.paths import Path

#: Stands for "no field": members of an unordered list belong together by all they hold.
UNORDERED = ""
#: Paths whose treatment is kept; keys may come from data and never end.
_REMEMBERED = 1024

#: In place of an index: the list has no member for that of the other.
ABSENT = -1
#: Indexes of members that belong together, the control's first.
Pairs = list[tuple[int, int]]


class Lists:
    """The lists that are unordered, or keyed by a field, by glob; the first that matches counts."""

    def __init__(self, treated: Iterable[tuple[Glob, str]] = ()) -> None:
        self._treated = tuple(treated)
        self._at = lru_cache(_REMEMBERED)(self._find)

    def __bool__(self) -> bool:
        return bool(self._treated)

    def at(self, path: Path) -> str | None:
        """The field that tells members apart, UNORDERED, or None for a list by position."""
        return self._at(tuple(step if isinstance(step, str) else 0 for step in path))

    def _find(self, path: Path) -> str | None:
        for glob, field in self._treated:
            if glob.matches(path):
                return field
        return None


def by_content(control: Sequence[Any], version: Sequence[Any], tokens: Tokens) -> Pairs:
    """Members that are the same belong together, each once; what is left does so by position."""
    places: dict[Hashable, deque[int]] = defaultdict(deque)
    for index, value in enumerate(version):
        places[tokens.of(value)].append(index)
    pairs: Pairs = []
    left = []
    for index, value in enumerate(control):
        found = places.get(tokens.of(value))
        if found:
            pairs.append((index, found.popleft()))
        else:
            left.append(index)
    extra = sorted(index for found in places.values() for index in found)
    pairs.extend(zip(left, extra, strict=False))
    pairs.extend((index, ABSENT) for index in left[len(extra) :])
    pairs.extend((ABSENT, index) for index in extra[len(left) :])
    return pairs


def by_field(
    control: Sequence[Any], version: Sequence[Any], field: str, tokens: Tokens
) -> Pairs | None:
    """Members with the same value of a field belong together.

    None if the field does not tell the members of each list apart: one is no object, lacks the
    field, or holds null, a list or an object there; or two hold the same.
    """
    ours = _places(control, field, tokens)
    theirs = _places(version, field, tokens)
    if ours is None or theirs is None:
        return None
    pairs: Pairs = [(index, theirs.get(key, ABSENT)) for key, index in ours.items()]
    pairs.extend((ABSENT, index) for key, index in theirs.items() if key not in ours)
    return pairs


def _places(members: Sequence[Any], field: str, tokens: Tokens) -> dict[Hashable, int] | None:
    places: dict[Hashable, int] = {}
    for index, member in enumerate(members):
        value = member.get(field) if isinstance(member, dict) else None
        if value is None or isinstance(value, list | dict):
            return None
        places[tokens.of(value)] = index
    return places if len(places) == len(members) else None


def reordered(pairs: Pairs) -> bool:
    """Whether the members that both lists have stand in another order."""
    order = sorted(pair for pair in pairs if ABSENT not in pair)
    return any(first[1] > second[1] for first, second in pairwise(order))


def permuted(control: Sequence[Any], version: Sequence[Any], tokens: Tokens) -> bool:
    """Whether two lists of one length hold the same members, in whatever order."""
    counts = Counter(map(tokens.of, control))
    for value in version:
        token = tokens.of(value)
        if not counts[token]:
            return False
        counts[token] -= 1
    return True
