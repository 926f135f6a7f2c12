"""Patterns that stand for many paths, as people write them in rules."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum

from dashboard.domain.comparing.paths import ROOT, Step

#: Longest glob, in characters.
MAX_GLOB = 300


class PathError(ValueError):
    """Raised when a text is not a glob; says why, to a person."""


class _Wild(Enum):
    ELEMENT = "[]"
    ANY_STEPS = "**"


#: A key's text between its stars, or what matches more than keys.
_Pattern = tuple[str, ...] | _Wild
#: How much of a glob the beginning of a path may have used up: indexes of its patterns.
Reached = frozenset[int]

_QUOTED_KEY = re.compile(r'\["(?:[^"\\]|\\.)*"\]')
_NAME = re.compile(r"[\w*-]+")


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern of paths, as in ``items[].minutes``, ``meta.**`` or ``**.trace_*``.

    ``*`` stands for any text within one key, ``[]`` for any element of a list, ``**`` for any
    number of steps. Keys that are not plain words are written as in ``meta["odd.key"]``.
    """

    text: str
    _patterns: tuple[_Pattern, ...]

    @classmethod
    def parse(cls, text: str) -> Glob:
        """Read a glob; raises PathError."""
        if not text:
            raise PathError("give a path, as in items[].minutes")
        if len(text) > MAX_GLOB:
            raise PathError(f"a path has at most {MAX_GLOB} characters")
        return cls(text, () if text == ROOT else tuple(_patterns(text)))

    def start(self) -> Reached:
        """What is reached before the first step of a path."""
        return self._passed({0})

    def after(self, reached: Reached, step: Step) -> Reached:
        """What is reached one step further; nothing when no path below can match."""
        after = set()
        for at in reached:
            if at == len(self._patterns):
                continue
            pattern = self._patterns[at]
            if pattern is _Wild.ANY_STEPS:
                after.add(at)
            elif _fits(pattern, step):
                after.add(at + 1)
        return self._passed(after)

    def ends(self, reached: Reached) -> bool:
        """Whether the path so far is one that the glob stands for."""
        return len(self._patterns) in reached

    def _passed(self, reached: set[int]) -> Reached:
        """What is reached without a step: ``**`` may stand for none."""
        for at in range(len(self._patterns)):
            if at in reached and self._patterns[at] is _Wild.ANY_STEPS:
                reached.add(at + 1)
        return frozenset(reached)


def _fits(pattern: _Pattern, step: Step) -> bool:
    if isinstance(pattern, _Wild) or not isinstance(step, str):
        return pattern is _Wild.ELEMENT and not isinstance(step, str)
    if len(pattern) == 1:
        return step == pattern[0]
    first, *between, last = pattern
    if not step.startswith(first):
        return False
    at = len(first)
    for part in between:
        # The leftmost place is never worse than a later one, so there is nothing to take back.
        at = step.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return at + len(last) <= len(step) and step.endswith(last)


def _patterns(text: str) -> list[_Pattern]:
    patterns: list[_Pattern] = []
    at = 0
    while at < len(text):
        if text[at] == "[":
            pattern, at = _bracket(text, at)
        else:
            pattern, at = _name(text, at, first=not patterns)
        patterns.append(pattern)
    return patterns


def _bracket(text: str, at: int) -> tuple[_Pattern, int]:
    if text.startswith("[]", at):
        return _Wild.ELEMENT, at + 2
    found = _QUOTED_KEY.match(text, at)
    if not found:
        raise PathError('"[" begins [] for every element of a list, or a key as in ["odd.key"]')
    try:
        return (json.loads(found.group()[1:-1]),), found.end()
    except ValueError:
        raise PathError(f"{found.group()} does not hold a JSON string") from None


def _name(text: str, at: int, *, first: bool) -> tuple[_Pattern, int]:
    if not first:
        if text[at] != ".":
            raise PathError(f"a dot is missing before {text[at:][:20]!r}")
        at += 1
    found = _NAME.match(text, at)
    if not found:
        rest = text[at:][:20]
        raise PathError(f"a key is missing {f'before {rest!r}' if rest else 'at the end'}")
    name = found.group()
    if name == "**":
        return _Wild.ANY_STEPS, found.end()
    if "**" in name:
        raise PathError(f"** stands alone between dots, not within a key as in {name!r}")
    return tuple(name.split("*")), found.end()
