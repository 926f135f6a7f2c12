"""Results of any shape are laid side by side, a path a line."""

from __future__ import annotations

from typing import Any

from dashboard.side_by_side import MAX_LINES, lay_side_by_side


def laid(*results: Any) -> list[tuple[str, tuple[str | None, ...]]]:
    return [(line.path, line.values) for line in lay_side_by_side(results)]


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
