"""Results of several versions laid side by side, a path a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

#: Lines that a page shows; the raw messages have the rest.
MAX_LINES = 400
#: Deeper values are shown as they are, in one line.
_MAX_DEPTH = 8
_NOTHING = object()


@dataclass(frozen=True, kw_only=True)
class Line:
    """One path of the results, and what each version has there; None where it has nothing."""

    path: str
    key: str
    depth: int
    values: tuple[str | None, ...]
    #: True when the lines below it are its parts.
    opens: bool


def lay_side_by_side(results: Sequence[Any]) -> list[Line]:
    """The lines of several results, in the order in which their paths are first met."""
    there = [_NOTHING if result is None else result for result in results]
    return list(islice(_parts("", 0, there), MAX_LINES))


def _parts(path: str, depth: int, values: Sequence[Any]) -> Iterator[Line]:
    """The lines of all that is inside ``values``."""
    if any(isinstance(value, dict) for value in values):
        keys = {key: None for value in values if isinstance(value, dict) for key in value}
        for key in keys:
            inner = [v.get(key, _NOTHING) if isinstance(v, dict) else _NOTHING for v in values]
            yield from _line(f"{path}.{key}" if path else key, key, depth, inner)
    elif any(isinstance(value, list) for value in values):
        longest = max(len(value) for value in values if isinstance(value, list))
        for index in range(longest):
            inner = [
                v[index] if isinstance(v, list) and index < len(v) else _NOTHING for v in values
            ]
            yield from _line(f"{path}[{index}]", f"[{index}]", depth, inner)


def _line(path: str, key: str, depth: int, values: Sequence[Any]) -> Iterator[Line]:
    kinds = {type(value) for value in values if value is not _NOTHING and value}
    opens = depth < _MAX_DEPTH and (kinds == {dict} or kinds == {list})
    yield Line(
        path=path,
        key=key,
        depth=depth,
        values=tuple(_shown(value, inside=opens) for value in values),
        opens=opens,
    )
    if opens:
        yield from _parts(path, depth + 1, values)


def _shown(value: Any, *, inside: bool) -> str | None:
    if value is _NOTHING:
        return None
    if inside and value:
        return ""
    return json.dumps(value, ensure_ascii=False)
