"""Exports: what a spreadsheet, a program and a Markdown page make of hostile cells."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator
from itertools import count
from uuid import UUID

import cmarkgfm
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.comparison.foreign_text import visible
from dashboard.models import Discrepancy
from dashboard.review import listing
from dashboard.review.listing import Format, ListedDiscrepancy, export
from dashboard.tests.factories import START


def a_row(path: str = "total_price", *, pairs: int = 30, **fields: object) -> ListedDiscrepancy:
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
    return ListedDiscrepancy(found, pairs=pairs, noise_pairs=0, noise_count=0)


def written(form: Format, *rows: ListedDiscrepancy) -> str:
    return export(rows, form).getvalue().decode()


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        *(
            (cell, cell)
            for cell in (
                "=1+1", "+1", "-1+2", "@SUM(A1)", "\n=1", " =1", "%0A=1", "|cmd", "\uff1d1",
                "\uff0b1", "\uff0d1", "\uff201", '=HYPERLINK("http://x","y")',
            )
        ),
        ("\t=1", r"\t=1"),
        ("\r=1", r"\r=1"),
        ("\u00a0=1", r"\u00a0=1"),
    ],
)  # fmt: skip
def test_no_cell_is_a_formula(cell: str, shown: str) -> None:
    (line,) = csv.DictReader(
        written(Format.CSV, a_row(cell, version_value=f"{cell}2")).splitlines(keepends=True)
    )
    assert line["path"] == f"'{shown}"
    assert line["version_value"] == f"'{visible(shown)}2"


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
        ("a|b", r"`a\|b`"),
        ("a\nb\r\nc", r"`a\nb\r\nc`"),
        ("`code`", "`` `code` ``"),
        ("items[].*", "`items[].*`"),
        ("<script>", "`<script>`"),
        ("a\\|b", r"`a\u007cb`"),
        ("![x](http://y) @ada #12", "`![x](http://y) @ada #12`"),
        ("\u202eabc", r"`\u202eabc`"),
    ],
)
def test_markdown_shows_each_cell_as_text(text: str, shown: str) -> None:
    head, rule, line, end = written(Format.MARKDOWN, a_row(text)).split("\n")
    assert (head.count("|"), rule.count("|"), end) == (9, 9, "")
    assert f"| {shown} |" in line
    assert "33.33 %" in line


wild = (
    st.text(
        st.characters() | st.sampled_from("`|\\ \n@#<>[]()!*_~&:/.a1\u202e\u200b\ud83c"),
        min_size=1,
        max_size=30,
    )
    .map(lambda text: text.replace("\0", ""))
    .filter(bool)
)


@given(wild)
@example("\\|")
@example("http://x.example/ @ada #12 ![i](http://x) <img src=x> a@b.example www.x.example")
@example("``|`")
@example(" ` ")
def test_github_makes_nothing_of_text_from_elsewhere_but_code(text: str) -> None:
    page = cmarkgfm.github_flavored_markdown_to_html(written(Format.MARKDOWN, a_row(text)))
    _, *cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)[1:3]
    assert page.count("<td>") == 8
    assert re.findall(r"<(\w+)", page.partition("<tbody>")[2]) == [
        "tr", "td", "td", "td", "code", "td", "td", "td", "td", "td",
    ]  # fmt: skip
    (shown,) = re.findall(r"<code>(.*?)</code>", cells[0], re.DOTALL) if cells else [""]
    assert html.unescape(shown).replace(r"\u007c", "|").strip() in {
        visible(text).strip(), visible(text).replace("\\|", "|").strip(),
    }  # fmt: skip


@given(wild, wild)
def test_a_sheet_and_a_program_get_values_that_nobody_takes_for_each_other(
    one: str, other: str
) -> None:
    row = a_row("p", control_value=one, version_value=other)
    (line,) = csv.DictReader(io.StringIO(written(Format.CSV, row), newline=""))
    assert (line["control_value"] == line["version_value"]) == (one == other)
    (text,) = written(Format.JSONL, row).splitlines()
    read = json.loads(text)
    assert (read["control_value"], read["version_value"]) == (one, other)
    assert "\u202e" not in line["control_value"] + text


@pytest.mark.parametrize("form", Format)
def test_a_file_ends_somewhere(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_ROWS", 20)
    made = count()

    def for_ever() -> Iterator[ListedDiscrepancy]:
        while True:
            next(made)
            yield a_row()

    answer = export(for_ever(), form)
    assert next(made) == 20
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
