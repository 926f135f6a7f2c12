"""Exports of listed discrepancies: CSV for sheets, JSON Lines for programs, Markdown to paste."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from django.http import HttpResponse

from dashboard.domain.foreign_text import visible, visible_together
from dashboard.reviewing.discrepancies import Row

#: Rows that are exported at most.
MAX_ROWS = 5_000


class Format(StrEnum):
    """What an export can be."""

    CSV = "csv"
    JSONL = "jsonl"
    MARKDOWN = "md"


_TYPES = {
    Format.CSV: "text/csv",
    Format.JSONL: "application/jsonl",
    Format.MARKDOWN: "text/markdown",
}
_COLUMNS = (
    "id", "launch", "version", "kind", "path", "state", "count", "ignored", "pairs", "rate",
    "noise_count", "noise_pairs", "noise_rate", "first_seen_at", "last_seen_at", "last_build",
    "control_value", "version_value", "carried",
)  # fmt: skip
#: What a person reads in a table.
_SHOWN = ("version", "kind", "path", "state", "count", "rate", "noise_rate", "last_seen_at")
#: With these a spreadsheet begins a formula; some look past white space before them,
#: and some take the full-width forms.
_FORMULA = re.compile(r"\s*[=+\-@\t\r\n|%\uff1d\uff0b\uff0d\uff20]")
#: What means something in a Markdown table, or in the HTML that it becomes.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~&$-])")
_BACKTICKS = re.compile("`+")


def export(rows: Iterable[Row], form: Format, *, name: str = "discrepancies") -> HttpResponse:
    """A file with the rows."""
    values = (_values(row) for row in islice(rows, MAX_ROWS))
    lines = {Format.CSV: _csv, Format.JSONL: _jsonl, Format.MARKDOWN: _markdown}[form](values)
    return HttpResponse(
        "".join(lines).encode("utf-8", "replace"),
        headers={
            "Content-Type": f"{_TYPES[form]}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}.{form}"',
            "Cache-Control": "no-store",
        },
    )


def _values(row: Row) -> dict[str, Any]:
    """A row by column."""
    one = row.discrepancy
    computed = {"count": row.count, "pairs": row.pairs, "rate": row.rate}
    noise = {name: getattr(row, name) for name in ("noise_count", "noise_pairs", "noise_rate")}
    known = {**computed, **noise, "carried": row.carried, "launch": str(one.launch)}
    return {name: known[name] if name in known else _plain(getattr(one, name)) for name in _COLUMNS}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _csv(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield _csv_line(_COLUMNS)
    for row in rows:
        beside = visible_together([row["control_value"], row["version_value"]])
        shown = dict(zip(("control_value", "version_value"), beside, strict=True))
        yield _csv_line([_cell(value, shown.get(name)) for name, value in row.items()])


def _csv_line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _cell(value: Any, shown: str | None = None) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, str):
        quote = "'" if _FORMULA.match(value) else ""
        return quote + (visible(value, lines=True) if shown is None else shown)
    return "" if value is None else value


def _jsonl(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        # The escapes are those of JSON: what a program reads is as it was.
        yield f"{visible(json.dumps(row, ensure_ascii=False))}\n"


def _markdown(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield f"| {' | '.join(name.replace('_', ' ') for name in _SHOWN)} |\n"
    yield f"|{'|'.join(' --- ' for _ in _SHOWN)}|\n"
    for row in rows:
        yield f"| {' | '.join(_escaped(name, row[name]) for name in _SHOWN)} |\n"


def _escaped(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name.endswith("rate"):
        return f"{100 * value:.2f} %"
    return _code(str(value)) if name == "path" else _MARKDOWN.sub(r"\\\1", str(value))


def _code(text: str) -> str:
    """Text from elsewhere as code, in which nobody is mentioned and nothing is a link."""
    text = visible(text).replace("\\|", r"\u007c").replace("|", r"\|")
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    # One space at each end belongs to the fence.
    room = " " if text[:1] in ("`", " ") or text[-1:] in ("`", " ") else ""
    return f"{fence}{room}{text}{room}{fence}"
