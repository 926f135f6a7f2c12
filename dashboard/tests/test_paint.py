"""The first paint of head and lanes: states, bars on one scale, deltas and marks."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.board import paint, paint_lanes
from local.settings import ROOT

VERSIONS = [
    {"name": "vlatest", "role": "control"},
    {"name": "vnext", "role": "candidate"},
    {"name": "vlatest-b", "role": "baseline"},
]


def a_cell(
    state: str,
    ms: float | None = None,
    error: str | None = None,
    *,
    pair: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {"state": state, "ms": ms, "error": error, "late": False, "pair": pair}


def a_pair(outcome: str, *differs: str, more: int = 0, accepted: int = 0) -> dict[str, Any]:
    return {"outcome": outcome, "differs": list(differs), "more": more, "accepted": accepted}


def a_row(control: dict[str, Any], dark: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "8c0e0000-0000-4000-8000-000000000000",
        "number": 7,
        "items": "burger",
        "note": False,
        "placed_at": 0.0,
        "cells": {"vlatest": control, "vnext": dark},
    }


def the_row(control: dict[str, Any], dark: dict[str, Any]) -> paint_lanes.Row:
    return paint_lanes.lanes([a_row(control, dark)], VERSIONS, "").rows[0]


def test_both_bars_are_on_one_scale_and_the_control_is_marked_on_the_dark_one() -> None:
    row = the_row(a_cell("handled", 200), a_cell("handled", 150))

    assert row.dark is not None
    assert (row.control.bar, row.dark.bar, row.dark.tick) == ("100.0%", "75.0%", "100.0%")
    assert (row.delta, row.slower) == ("−25\N{NO-BREAK SPACE}%", False)
    assert the_row(a_cell("handled", 150), a_cell("handled", 200)).slower


@pytest.mark.parametrize(
    ("control", "dark", "mark"),
    [
        (a_cell("handled", 9), a_cell("handled", 9, pair=a_pair("agree")), "agree"),
        (a_cell("handled", 9), a_cell("handled", 9, pair=a_pair("agree", accepted=1)), "accepted"),
        (a_cell("handled", 9), a_cell("handled", 9, pair=a_pair("differ", "total")), "differ"),
        (a_cell("handled", 9), a_cell("handled", 9, pair=a_pair("differ", accepted=2)), "accepted"),
        (a_cell("handled", 100), a_cell("failed", 3, "too many"), "failed"),
        (a_cell("failed", 3, "too many"), a_cell("handled", 100), "failed"),
        (a_cell("handled", 100), a_cell("missing"), "missing"),
        (a_cell("failed", 3), a_cell("missing"), "missing"),
        (a_cell("handled", 100), a_cell("unsampled"), "unsampled"),
        (a_cell("handled", 100), a_cell("received"), "waiting"),
        (a_cell("waiting"), a_cell("waiting"), "waiting"),
        (a_cell("handled", 9), a_cell("handled", 9), "waiting"),
    ],
)
def test_the_mark_says_what_lies_between(
    control: dict[str, Any], dark: dict[str, Any], mark: str
) -> None:
    assert the_row(control, dark).mark == mark


def test_a_row_names_the_fields_that_differ_and_count() -> None:
    pair = a_pair("differ", "note", "total_price", "cook", more=2, accepted=1)

    row = the_row(a_cell("handled", 9), a_cell("handled", 9, pair=pair))

    assert row.differs == "note, total_price, cook +2"
    assert row.meaning == "differ"


def test_a_failed_cell_says_its_error_and_draws_no_bar() -> None:
    row = the_row(a_cell("handled", 100), a_cell("failed", 90, "too many"))

    assert row.dark is not None
    assert (row.dark.text, row.dark.bar, row.dark.tick) == ("failed: too many", "0", "")


def test_a_version_that_the_row_does_not_know_was_not_sampled() -> None:
    lanes = paint_lanes.lanes(
        [a_row(a_cell("handled", 100), a_cell("waiting"))], VERSIONS, "vlatest-b"
    )

    assert lanes.rows[0].dark is not None
    assert lanes.rows[0].dark.text == "not sampled"


def test_an_unknown_version_is_answered_with_the_first_dark_one() -> None:
    chosen = paint.dark_version(VERSIONS, "vlatest")

    assert chosen is not None
    assert chosen["name"] == "vnext"
    assert paint.dark_version(VERSIONS[:1], "vnext") is None


@pytest.mark.parametrize(
    ("longest", "scale"), [(0, 1), (0.4, 1), (1, 1), (7, 8), (101, 200), (480, 500), (1000, 1000)]
)
def test_the_scale_is_the_next_round_number(longest: float, scale: float) -> None:
    assert paint_lanes.nice_scale(longest) == scale


def test_one_very_slow_order_does_not_shrink_all_other_bars() -> None:
    rows = [a_row(a_cell("handled", 100), a_cell("handled", 100)) for _ in range(19)]
    slow = a_row(a_cell("handled", 9_000), a_cell("handled", 100))

    lanes = paint_lanes.lanes([slow, *rows], VERSIONS, "")

    assert lanes.scale_ms == 100
    assert (lanes.rows[0].control.bar, lanes.rows[0].control.over) == ("100.0%", True)
    assert not lanes.rows[1].control.over


def measured(name: str, *, orders: int, pairs: int | None, p50: float) -> dict[str, Any]:
    role = "control" if pairs is None else "candidate"
    numbers = dict.fromkeys([key for key, _, _ in paint.COLUMNS], 0)
    named = {"name": name, "role": role, "percent": 20.0}
    times = {"p50": p50, "p95": p50, "p99": p50}
    return {**numbers, **named, **times, "orders": orders, "pairs": pairs}


@pytest.mark.parametrize(
    ("orders", "pairs", "change"),
    [
        (1000, 950, "−25\N{NO-BREAK SPACE}%"),
        (1000, 949, ""),
        (100, 100, "−25\N{NO-BREAK SPACE}%"),
        (99, 99, ""),
        (0, 0, ""),
    ],
)
def test_times_are_held_against_the_controls_only_if_both_are_of_the_same_orders(
    orders: int, pairs: int, change: str
) -> None:
    control = measured("vlatest", orders=orders, pairs=None, p50=200)
    dark = measured("vnext", orders=pairs, pairs=pairs, p50=150)

    headline = paint.headline({"versions": [control, dark], "version": "vnext", "against": 7})

    assert headline is not None
    assert headline.median == change
    assert headline.against == "7"
    assert {one.delta for one in paint.figures(dark, control) if one.is_time} == {change}
    assert {one.delta for one in paint.figures(control, control)} == {""}


def test_a_dark_version_knows_its_place() -> None:
    assert paint_lanes.lanes([], VERSIONS, "vlatest-b").place == 2
    assert paint_lanes.lanes([], VERSIONS[:1], "").place == 0


def test_on_a_phone_the_counters_have_a_row_for_each_column_and_for_the_versions() -> None:
    css = (ROOT / "static" / "css" / "standing.css").read_text()
    assert f"grid-template-rows: repeat({len(paint.COLUMNS) + 1}, auto)" in css
