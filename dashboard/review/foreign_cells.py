"""Foreign text in downloads: cells that no spreadsheet reads as formulas, and Markdown as code."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from dashboard.comparison.foreign_text import visible

#: Spreadsheets read cells that begin with these as formulas; some skip white space before them,
#: and some accept the full-width forms.
_FORMULA = re.compile(r"\s*[=+\-@\t\r\n|%\uff1d\uff0b\uff0d\uff20]")
#: Characters with a meaning in a Markdown table, or in the HTML made of it.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~&$-])")
_BACKTICKS = re.compile("`+")


def csv_line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def csv_cell(value: Any, shown: str | None = None) -> Any:
    """A cell that no spreadsheet reads as a formula; numbers stay numbers."""
    if isinstance(value, str):
        quote = "'" if _FORMULA.match(value) else ""
        return quote + (visible(value, lines=True) if shown is None else shown)
    return "" if value is None else value


def markdown(text: str) -> str:
    """Text of our own, or of a few known characters, as Markdown."""
    return _MARKDOWN.sub(r"\\\1", text)


def markdown_code(text: str, *, cell: bool = True) -> str:
    """Untrusted text as code, so that it has no links or mentions; ``cell``: of a table."""
    text = visible(text)
    if not text:
        return ""
    if cell:
        text = text.replace("\\|", r"\u007c").replace("|", r"\|")
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    # Markdown strips one space at each end.
    pad = " " if text[:1] in ("`", " ") or text[-1:] in ("`", " ") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
