"""Where in a JSON document something is: paths, how they are written, what they lead to."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from dashboard.domain.comparing.canonical import same

#: How the document as a whole is written.
ROOT = "$"


class Nothing(Enum):
    """What is found where there is nothing; not null, which a document can hold."""

    NOTHING = "nothing"

    def __repr__(self) -> str:
        return self.value


NOTHING: Final = Nothing.NOTHING


@dataclass(frozen=True, slots=True)
class Member:
    """The step to the one element of a list whose ``field`` holds ``value``."""

    field: str
    value: Any


class Entry(str):
    """The step to an entry of an object whose keys mean nothing: grouped, it is any key."""

    __slots__ = ()


#: What stands for any key.
ANY_KEY: Final = "*"
#: A key of an object, an index of a list, or a member of a keyed list.
Step = str | int | Member
Path = tuple[Step, ...]

_PLAIN = re.compile(r"[\w-]+")


def shown(path: Path) -> str:
    """A path as a person reads it, as in ``items[2].minutes``; no two paths read the same."""
    return _written(path, elements_differ=True)


def grouped(path: Path) -> str:
    """A path without what tells the elements of a list apart, as in ``items[].minutes``."""
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
    """JSON that can be printed and stored: control characters, marks of direction and lone
    surrogates are escaped."""
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
