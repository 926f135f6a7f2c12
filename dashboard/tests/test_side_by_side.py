"""Results of any shape are laid side by side, a path a line, with their differences in place."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.comparison.diff import compare
from dashboard.comparison.rules import ComparisonRule, Rules, Treatment
from dashboard.pages.side_by_side import MAX_LINES, Mark, MarkStatus, ResultLine, lay_side_by_side


def laid(*results: Any) -> list[tuple[str, tuple[str | None, ...]]]:
    return [
        (line.path, tuple(cell.value for cell in line.cells)) for line in lay_side_by_side(results)
    ]


def marked(control: Any, version: Any, rules: Rules | None = None) -> list[ResultLine]:
    found = compare(control, version, rules).differences
    marks = [Mark(difference=one, status=MarkStatus.OPEN) for one in found]
    return lay_side_by_side([control, version], {1: marks})


def places(lines: list[ResultLine]) -> list[tuple[str, list[str]]]:
    return [
        (line.path, [mark.difference.kind.value for mark in line.cells[1].marks])
        for line in lines
        if line.is_marked
    ]


def test_lines_are_paired_by_path() -> None:
    control = {"lines": [{"minutes": 10}], "total": "7.00"}
    candidate = {"lines": [{"minutes": 9}, {"minutes": 2}], "total": "7.01", "fast": True}

    assert laid(control, candidate) == [
        ("lines", ("", "")),
        ("lines[0]", ("", "")),
        ("lines[0].minutes", ("10", "9")),
        ("lines[1]", (None, "")),
        ("lines[1].minutes", (None, "2")),
        ("total", ('"7.00"', '"7.01"')),
        ("fast", (None, "true")),
    ]


def test_values_of_unlike_kinds_stand_in_one_line() -> None:
    assert laid({"cook": {"name": "Ana"}}, {"cook": "Ana"}) == [
        ("cook", ('{"name": "Ana"}', '"Ana"'))
    ]


def test_results_of_unlike_kinds_stand_in_one_line_as_a_whole() -> None:
    assert laid({"cook": "Ana"}, ["Ana"]) == [("$", ('{"cook": "Ana"}', '["Ana"]'))]
    assert laid(7, 8) == [("$", ("7", "8"))]


def test_an_empty_object_beside_a_list_hides_nothing() -> None:
    assert laid({"a": {}}, {"a": [1]}) == [("a", ("{}", "")), ("a[0]", (None, "1"))]


def test_null_and_empty_are_told_from_nothing() -> None:
    assert laid({"a": None, "b": [], "c": {}}, {}) == [
        ("a", ("null", None)),
        ("b", ("[]", None)),
        ("c", ("{}", None)),
    ]


def test_a_deep_or_long_result_ends_somewhere() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(200):
        inner["in"] = {}
        inner = inner["in"]

    assert len(laid(deep)) < 20
    assert len(laid({"all": list(range(10_000))})) == MAX_LINES


def test_no_two_keys_share_a_line() -> None:
    paths = [path for path, _ in laid({"a.b": 1, "a": {"b": 2}})]

    assert paths == ['["a.b"]', "a", "a.b"]


@pytest.mark.parametrize(
    ("control", "version", "expected"),
    [
        ({"a": 1}, {"a": 2}, [("a", ["value"])]),
        ({"a": 1}, {"a": "1"}, [("a", ["type"])]),
        ({"a": 1}, {}, [("a", ["missing"])]),
        ({}, {"a": 1}, [("a", ["extra"])]),
        ({"a": [1, 2]}, {"a": [2, 1]}, [("a", ["order"])]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [("a[0].b", ["value"])]),
        ({"a": [1]}, {"a": [1, {"b": 2}]}, [("a[1]", ["extra"])]),
        ({"a": 1}, [1], [("$", ["type"])]),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1, "b": 2}, {"a": 2, "b": 3}, [("a", ["value"]), ("b", ["value"])]),
    ],
)
def test_a_difference_is_marked_in_its_place(
    control: Any, version: Any, expected: list[tuple[str, list[str]]]
) -> None:
    assert places(marked(control, version)) == expected


def test_the_control_has_no_marks_and_each_version_its_own() -> None:
    found = compare({"a": 1}, {"a": 3}).differences
    marks = {2: [Mark(difference=one, status=MarkStatus.IGNORED) for one in found]}

    [line] = lay_side_by_side([{"a": 1}, {"a": 1}, {"a": 3}], marks)

    assert [len(cell.marks) for cell in line.cells] == [0, 0, 1]
    assert line.cells[2].marks[0].status is MarkStatus.IGNORED


def test_a_difference_too_deep_for_a_line_is_marked_above_it() -> None:
    def deep(value: int) -> Any:
        document: Any = value
        for _ in range(20):
            document = {"in": document}
        return document

    lines = marked(deep(1), deep(2))

    assert places(lines) == [(lines[-1].path, ["value"])]
    assert lines[-1].cells[1].marks[0].beside == "2"


def test_a_difference_beyond_the_last_line_is_marked_on_what_it_is_in() -> None:
    before, after = list(range(1000)), [*range(999), "x"]

    lines = marked({"all": before}, {"all": after})

    assert len(lines) == MAX_LINES
    assert places(lines) == [("all", ["type"])]


def test_members_of_a_keyed_list_are_marked_where_the_control_has_them() -> None:
    keyed = Rules([ComparisonRule(id=1, path="lines", treatment=Treatment.KEYED, key="name")])
    control = {"lines": [{"name": "soda", "n": 1}, {"name": "fries", "n": 2}]}
    version = {"lines": [{"name": "fries", "n": 3}, {"name": "soda", "n": 1}]}

    lines = marked(control, version, keyed)

    assert places(lines) == [("lines", ["order"]), ("lines[1].n", ["value"])]
    [mark] = next(line for line in lines if line.path == "lines[1].n").cells[1].marks
    assert mark.beside == "3", "the line shows the soda's number, the mark that of the fries"


def test_a_member_that_only_the_version_has_is_marked_where_it_stands() -> None:
    keyed = Rules([ComparisonRule(id=1, path="lines", treatment=Treatment.KEYED, key="name")])
    version = {"lines": [{"name": "fries"}, {"name": "soda"}]}

    assert places(marked({"lines": [{"name": "fries"}]}, version, keyed)) == [
        ("lines[1]", ["extra"])
    ]


def test_what_is_compared_elsewhere_is_said_beside_the_mark() -> None:
    unordered = Rules([ComparisonRule(id=1, path="a", treatment=Treatment.UNORDERED)])

    lines = marked({"a": [1, 2, 3]}, {"a": [3, 9, 1]}, unordered)

    [mark] = [mark for line in lines for mark in line.cells[1].marks if line.path == "a[1]"]
    assert (mark.difference.control, mark.difference.version, mark.beside) == (2, 9, "")
