"""Results of several versions side by side, a line for each path, with their differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Any

from dashboard.comparison.diff import Difference
from dashboard.comparison.foreign_text import visible_together
from dashboard.comparison.paths import NOTHING, Member, Path, find, shown
from dashboard.comparison.values import same

#: Lines that a page shows; the raw messages have the rest.
MAX_LINES = 400
#: Deeper values are shown as JSON in one line.
_MAX_DEPTH = 8

#: A path of keys and indexes alone.
_Place = tuple[str | int, ...]


class MarkStatus(StrEnum):
    """Whether a difference counts."""

    #: It counts against the version.
    OPEN = "open"
    #: A review accepted it.
    ACCEPTED = "accepted"
    #: A rule ignores it.
    IGNORED = "ignored"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A difference of one version, and whether it counts."""

    difference: Difference
    status: MarkStatus
    #: The rule's reason, or the decision.
    why: str = ""
    #: The id of its discrepancy.
    discrepancy: int | None = None
    #: The value that was compared, if the line shows another: a part of it, or another member.
    beside: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One version's value at a path, None if it has none, and its differences."""

    value: str | None
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ResultLine:
    """One path of the results with each version's value."""

    place: _Place
    cells: tuple[Cell, ...]
    #: Whether its parts follow on lines of their own.
    opens: bool

    @property
    def path(self) -> str:
        """The whole path."""
        return shown(self.place)

    @property
    def key(self) -> str:
        """The path's last step."""
        last = self.place[-1:]
        return f"[{last[0]}]" if last and isinstance(last[0], int) else str(*last) or shown(())

    @property
    def is_marked(self) -> bool:
        """Whether any version differs here."""
        return any(cell.marks for cell in self.cells)

    @property
    def depth(self) -> int:
        """Steps above it."""
        return max(0, len(self.place) - 1)


def lay_side_by_side(
    results: Sequence[Any], marks: Mapping[int, Iterable[Mark]] | None = None
) -> list[ResultLine]:
    """The lines of several results, in the order in which their paths first occur.

    ``marks``: the differences between the first result and others, by the others' index. Where a
    path has no line of its own, its mark is on the nearest line above it.
    """
    there = [NOTHING if result is None else result for result in results]
    lines = list(islice(_lines(there), MAX_LINES))
    at = {line.place: index for index, line in enumerate(lines)}
    for column, found in (marks or {}).items():
        for mark in found:
            place = _place(mark.difference.path, there[0], there[column])
            while place and place not in at:
                place = place[:-1]
            if (index := at.get(place, 0)) < len(lines):
                lines[index] = _marked(lines[index], column, mark)
    return list(map(_visible, lines))


def _visible(line: ResultLine) -> ResultLine:
    """The line with values that are visibly different."""
    values = iter(visible_together([one.value for one in line.cells if one.value is not None]))
    return replace(
        line,
        cells=tuple(
            one if one.value is None else replace(one, value=next(values)) for one in line.cells
        ),
    )


def _lines(values: Sequence[Any]) -> Iterator[ResultLine]:
    if _opens(values):
        yield from _parts((), values)
    elif any(value is not NOTHING for value in values):
        yield from _line((), values)


def _parts(place: _Place, values: Sequence[Any]) -> Iterator[ResultLine]:
    """The lines of the members of ``values``, which are objects or lists."""
    if any(isinstance(value, dict) and value for value in values):
        keys = {key: None for value in values if isinstance(value, dict) for key in value}
        for key in keys:
            inner = [v.get(key, NOTHING) if isinstance(v, dict) else NOTHING for v in values]
            yield from _line((*place, key), inner)
    else:
        longest = max(len(value) for value in values if isinstance(value, list))
        for index in range(longest):
            inner = [
                v[index] if isinstance(v, list) and index < len(v) else NOTHING for v in values
            ]
            yield from _line((*place, index), inner)


def _line(place: _Place, values: Sequence[Any]) -> Iterator[ResultLine]:
    opens = 0 < len(place) <= _MAX_DEPTH and _opens(values)
    yield ResultLine(
        place=place,
        cells=tuple(Cell(value=_said(value, inside=opens)) for value in values),
        opens=opens,
    )
    if opens:
        yield from _parts(place, values)


def _opens(values: Sequence[Any]) -> bool:
    """Whether there are members, and all that have any are objects, or all are lists."""
    kinds = {type(value) for value in values if value is not NOTHING and value}
    return kinds in ({dict}, {list})


def _said(value: Any, *, inside: bool) -> str | None:
    if value is NOTHING:
        return None
    if inside and value:
        return ""
    return json.dumps(value, ensure_ascii=False)


def _place(path: Path, control: Any, version: Any) -> _Place:
    """A path with indexes for members of keyed lists: those of the control, if it has them."""
    place: list[str | int] = []
    for at, step in enumerate(path):
        if isinstance(step, Member):
            index = _index(find(control, path[:at]), step)
            if index is None:
                index = _index(find(version, path[:at]), step)
            if index is None:
                break
            place.append(index)
        else:
            place.append(step)
    return tuple(place)


def _index(values: Any, member: Member) -> int | None:
    if not isinstance(values, list):
        return None
    return next(
        (
            index
            for index, value in enumerate(values)
            if isinstance(value, dict) and same(value.get(member.field, NOTHING), member.value)
        ),
        None,
    )


def _marked(line: ResultLine, column: int, mark: Mark) -> ResultLine:
    cell = line.cells[column]
    compared = _said(mark.difference.version, inside=False)
    if compared is not None and not line.opens and compared != cell.value:
        mark = replace(mark, beside=compared)
    cells = list(line.cells)
    cells[column] = replace(cell, marks=(*cell.marks, mark))
    return replace(line, cells=tuple(cells))
