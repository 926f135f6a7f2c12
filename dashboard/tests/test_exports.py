"""Exports: what a spreadsheet, a program and a Markdown page make of hostile cells."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import count
from uuid import UUID

import pytest

from dashboard.models import Discrepancy
from dashboard.reviewing import exports
from dashboard.reviewing.discrepancies import Row
from dashboard.reviewing.exports import Format, export
from dashboard.tests.factories import START


def a_row(path: str = "total_price", *, pairs: int = 30, **fields: object) -> Row:
    found = Discrepancy(
        pk=7,
        launch=UUID(int=1),
        version="vnext",
        kind="value",
        path=path,
        count=10,
        first_seen_at=START,
        last_seen_at=START,
        **fields,
    )
    return Row(found, pairs=pairs, noise_pairs=0, noise_count=0)


def written(form: Format, *rows: Row) -> str:
    return export(rows, form).getvalue().decode()


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "%0A=1",
       "|cmd",         "\uff1d1", "\uff0b1", "\uff0d1", "\uff201", '=HYPERLINK("http://x","y")',
    ],
)  # fmt: skip
def test_no_cell_is_a_formula(cell: str) -> None:
    (line,) = csv.DictReader(
        written(Format.CSV, a_row(cell, version_value=cell)).splitlines(keepends=True)
    )
    assert line["path"] == line["version_value"] == f"'{cell}"


def test_numbers_stay_numbers_and_what_is_not_known_is_empty() -> None:
    (line,) = csv.DictReader(
        written(
            Format.CSV,
            a_row(),
        ).splitlines()
    )
    assert (line["count"], line["pairs"], line["noise_rate"]) == ("10", "30", "")
    assert float(line["rate"]) == pytest.approx(1 / 3)
    assert line["path"] == "total_price"
    assert line["first_seen_at"] == "2026-01-05T10:00:00+00:00"


def test_a_cell_with_commas_quotes_and_line_breaks_is_one_cell() -> None:
    text = 'a,"b"\nc'
    lines = list(csv.reader(written(Format.CSV, a_row(text)).splitlines(keepends=True)))
    assert len(lines) == 2
    assert text in lines[1]


def test_json_lines_are_one_object_a_row_with_every_character_as_it_was() -> None:
    text = "=items[\u2028].\u00fc\n\U0001f354"
    lines = written(Format.JSONL, a_row(text), a_row()).split("\n")
    assert [json.loads(line)["path"] for line in lines[:2]] == [text, "total_price"]
    assert lines[2:] == [""]
    assert json.loads(lines[0])["rate"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("a\nb\r\nc", "a b c"),
        ("`code`", r"\`code\`"),
        ("items[].*", r"items\[\].\*"),
        ("<script>", r"\<script\>"),
        ("a\\|b", r"a\\\|b"),
        ("[x](javascript:1)", r"\[x\]\(javascript:1\)"),
        ("![x](http://y)", r"\!\[x\]\(http://y\)"),
    ],
)
def test_markdown_shows_each_cell_as_text(text: str, shown: str) -> None:
    head, rule, line, end = written(Format.MARKDOWN, a_row(text)).split("\n")
    assert (head.count("|"), rule.count("|"), end) == (9, 9, "")
    assert f"| {shown} |" in line
    assert "33.33 %" in line


@pytest.mark.parametrize("form", Format)
def test_a_file_is_sent_as_it_is_written_and_ends_somewhere(
    form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MAX_ROWS", 20)
    made = count()

    def for_ever() -> Iterator[Row]:
        while True:
            next(made)
            yield a_row()

    answer = export(for_ever(), form)
    assert answer.streaming
    assert next(made) == 0
    assert answer.getvalue().decode().count("vnext") == 20


@pytest.mark.parametrize("form", Format)
def test_a_file_has_a_name_and_is_kept_by_nobody(form: Format) -> None:
    answer = export([], form, name="launch-1")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="launch-1.{form}"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"].endswith("charset=utf-8")


@pytest.mark.parametrize("form", Format)
def test_a_text_that_no_encoding_takes_does_not_cut_the_file_off(form: Format) -> None:
    assert "vnext" in written(form, a_row("\ud800"), a_row())
