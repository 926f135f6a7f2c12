"""The first paint of the discrepancies and of the outcome matrix."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.board import paint_findings, wording
from dashboard.board.paint_matrix import matrix

SPACE = "\N{NO-BREAK SPACE}"


def a_discrepancy(**fields: Any) -> dict[str, Any]:
    known = {
        "id": 12,
        "revision": 3,
        "kind": "value",
        "path": "total_price",
        "count": 1204,
        "ignored": 0,
        "rate": 0.008,
        "noise_rate": 0.0,
        "state": "open",
        "carried": False,
        "first": 1000.0,
        "last": 1239.0,
        "control_value": '"8.50"',
        "version_value": '"8.49"',
        "example": "8c0e0000-0000-4000-8000-000000000000",
    }
    return {**known, **fields}


def painted(*rows: dict[str, Any]) -> paint_findings.Findings:
    kinds = {"counting": 9, "carried": 1, "decided": 2}
    return paint_findings.findings({"discrepancies": rows, "kinds": kinds, "at": 1240.0})


def test_a_discrepancy_says_how_often_beside_how_often_it_is_noise() -> None:
    [one] = painted(a_discrepancy(noise_rate=0.0025)).rows

    assert (one.count, one.rate, one.noise) == ("1,204", f"0.8{SPACE}%", f"0.3{SPACE}%")
    assert (one.bar, one.noise_bar) == ("80.0%", "25.0%")
    assert (one.first, one.last) == (f"first 4{SPACE}min ago", "last now")
    assert (one.seen, one.look) == ("12:3", "counting")


@pytest.mark.parametrize(
    ("rate", "scale"), [(0, 0.01), (0.01, 0.01), (0.011, 0.02), (0.3, 0.5), (0.97, 1)]
)
def test_all_bars_are_on_one_round_scale(rate: float, scale: float) -> None:
    found = painted(a_discrepancy(rate=rate), a_discrepancy(rate=0.001))

    assert found.scale == wording.part(scale)


def test_without_a_baseline_the_noise_is_not_known() -> None:
    [one] = painted(a_discrepancy(noise_rate=None)).rows

    assert (one.noise, one.noise_bar) == ("–", "0.0%")


@pytest.mark.parametrize(
    ("fields", "look", "decision"),
    [
        ({"state": "bug"}, "counting", "bug"),
        ({"state": "by_design"}, "decided", "by design"),
        ({"state": "noise"}, "decided", "noise"),
        ({"state": "fixed"}, "decided", "fixed"),
        ({"count": 0, "ignored": 5}, "ignored", "open"),
        ({"count": 0, "carried": True, "state": "bug"}, "counting", "bug"),
    ],
)
def test_what_no_longer_counts_looks_so(fields: dict[str, Any], look: str, decision: str) -> None:
    [one] = painted(a_discrepancy(**fields)).rows

    assert (one.look, one.decision) == (look, decision)


def test_ignored_pairs_are_counted_apart() -> None:
    [one] = painted(a_discrepancy(ignored=1500)).rows

    assert (one.count, one.ignored) == ("1,204", "+1,500 ignored")


def test_a_bug_of_an_earlier_launch_says_that_this_one_has_not_shown_it() -> None:
    [one] = painted(a_discrepancy(carried=True, count=0, state="bug")).rows

    assert (one.first, one.last) == ("in an earlier launch", "not seen in this one")


@pytest.mark.parametrize(
    ("fields", "control", "version"),
    [
        ({}, '"8.50"', '"8.49"'),
        ({"kind": "missing", "version_value": ""}, '"8.50"', "nothing"),
        ({"kind": "failed", "control_value": "", "version_value": "E: m"}, "handled", "E: m"),
        ({"kind": "other", "control_value": "", "version_value": ""}, "", ""),
    ],
)
def test_the_example_shows_what_each_version_has(
    fields: dict[str, Any], control: str, version: str
) -> None:
    [one] = painted(a_discrepancy(**fields)).rows

    assert (one.control_value, one.version_value) == (control, version)


CELLS = {"agree": 1200, "differ": 30, "handled/failed": 2, "missing/handled": 1}


def test_the_matrix_has_a_box_for_every_two_ends_and_splits_what_both_handled() -> None:
    lines = matrix(CELLS, "vlatest", "vnext")

    boxes = [box for line in lines for boxes in line.boxes for box in boxes]
    assert [line.state for line in lines] == ["handled", "failed", "missing"]
    assert len(boxes) == 10
    assert {box.key: box.text for box in boxes if not box.none} == {
        "agree": "1,200",
        "differ": "30",
        "handled/failed": "2",
        "missing/handled": "1",
    }


@pytest.mark.parametrize(
    ("key", "look", "lens"),
    [
        ("agree", "agree", ""),
        ("differ", "differ", "differing"),
        ("handled/failed", "failed", "failed"),
        ("failed/handled", "failed", "failed"),
        ("failed/failed", "calm", "failed"),
        ("failed/missing", "missing", "missing"),
        ("missing/handled", "missing", "missing"),
        ("missing/missing", "calm", "missing"),
    ],
)
def test_a_box_looks_like_its_outcome_and_leads_to_its_orders(
    key: str, look: str, lens: str
) -> None:
    lines = matrix(CELLS, "vlatest", "vnext")
    [box] = [box for line in lines for boxes in line.boxes for box in boxes if box.key == key]

    assert (box.look, box.lens) == (look, lens)


def test_a_box_says_in_words_what_it_counts() -> None:
    lines = matrix(CELLS, "vlatest", "vnext")

    assert lines[0].boxes[2][0].meaning == "vlatest handled, vnext gave no answer"
