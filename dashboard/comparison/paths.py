"""Paths in a JSON document, and globs that match many of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from dashboard.comparison.values import same

#: The path of the whole document.
ROOT = "$"


class Nothing(Enum):
    """The type of NOTHING: no value, unlike null."""

    NOTHING = "nothing"

    def __repr__(self) -> str:
        return self.value


NOTHING: Final = Nothing.NOTHING


@dataclass(frozen=True, slots=True)
class Member:
    """The step to the list element whose ``field`` has this ``value``."""

    field: str
    value: Any


class Entry(str):
    """The step to an entry of an object whose keys are ignored; grouped, it is ``*``."""

    __slots__ = ()


ANY_KEY: Final = "*"
#: A key of an object, an index of a list, or a member of a keyed list.
Step = str | int | Member
Path = tuple[Step, ...]

_PLAIN = re.compile(r"[\w-]+")


def shown(path: Path) -> str:
    """A path for display, as in ``items[2].minutes``; unique."""
    return _written(path, elements_differ=True)


def grouped(path: Path) -> str:
    """A path without indexes, as in ``items[].minutes``."""
    return _written(path, elements_differ=False)


def _written(path: Path, *, elements_differ: bool) -> str:
    parts = []
    for step in path:
        if isinstance(step, Entry) and not elements_differ:
            parts.append(f".{ANY_KEY}")
        elif isinstance(step, str):
            parts.append(f".{step}" if _PLAIN.fullmatch(step) else f"[{_quoted(step)}]")
        elif not elements_differ:
            parts.append("[]")
        elif isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            field = step.field if _PLAIN.fullmatch(step.field) else _quoted(step.field)
            parts.append(f"[{field}={_quoted(step.value)}]")
    return "".join(parts).removeprefix(".") or ROOT


def _quoted(value: Any) -> str:
    """JSON with control characters, direction marks and lone surrogates escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def find(document: Any, path: Path) -> Any:
    """The value at a path, or NOTHING."""
    for step in path:
        document = _inside(document, step)
        if document is NOTHING:
            break
    return document


def _inside(document: Any, step: Step) -> Any:
    if isinstance(step, str):
        return document.get(step, NOTHING) if isinstance(document, dict) else NOTHING
    if not isinstance(document, list):
        return NOTHING
    if isinstance(step, int):
        return document[step] if 0 <= step < len(document) else NOTHING
    for element in document:
        if isinstance(element, dict) and same(element.get(step.field, NOTHING), step.value):
            return element
    return NOTHING


#: Longest glob, in characters.
MAX_GLOB = 300


class PathError(ValueError):
    """Raised when a text is not a glob; the message is for the user."""


class _Wild(Enum):
    ELEMENT = "[]"
    ANY_STEPS = "**"


#: The parts of a key between its stars, or a wildcard for steps.
_Pattern = tuple[str, ...] | _Wild
#: How much of a glob the beginning of a path may have matched: indexes of patterns.
Reached = frozenset[int]

_QUOTED_KEY = re.compile(r'\["(?:[^"\\]|\\.)*"\]')
_NAME = re.compile(r"[\w*-]+")


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern of paths, as in ``items[].minutes``, ``meta.**`` or ``**.trace_*``.

    ``*`` matches any text within one key, ``[]`` any element of a list, ``**`` any number of steps.
    Keys that are not plain words are written as in ``meta["odd.key"]``.
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
        """The state before the first step of a path."""
        return self._passed({0})

    def after(self, reached: Reached, step: Step) -> Reached:
        """The state one step further; empty when no path below can match."""
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
        """Whether the path so far matches."""
        return len(self._patterns) in reached

    def _passed(self, reached: set[int]) -> Reached:
        """Skip ``**``, which may match no step."""
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
        # The leftmost match is never worse than a later one, so no backtracking is needed.
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
        raise PathError(f"write ** between dots only, not within a key as in {name!r}")
    return tuple(name.split("*")), found.end()
