"""The figures of `make bench`: what is held against a bound, and what the table says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from bench.busy import said
from bench.families import used_s
from bench.figures import AtLeast, AtMost, Bound, Figure, Samples
from bench.machine import machine
from bench.report import Failed, Report, digits
from bench.sightings import Sightings


def figure(bound: Bound, floor: tuple[float, ...] | None, *product: float) -> Figure:
    floors = Samples(floor) if floor is not None else None
    return Figure(
        goal="P0", what="it", unit="us", floor=floors, product=Samples(product), bound=bound
    )


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    one = figure(AtLeast(0.6), (10, 20, 100), 8, 10, 100)
    assert one.ratio == Samples((0.8, 0.5, 1.0))
    assert one.value == 0.8
    assert one.met


@pytest.mark.parametrize(
    ("bound", "value", "met"),
    [
        (AtLeast(5, of="product"), 5, True),
        (AtLeast(5, of="product"), 4.9, False),
        (AtMost(5, of="product"), 5, True),
        (AtMost(5, of="product"), 5.1, False),
    ],
)
def test_a_bound_of_the_product_needs_no_floor(bound: Bound, value: float, met: bool) -> None:
    assert figure(bound, None, value).met is met


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Samples(())
    with pytest.raises(ValueError, match="needs a floor"):
        figure(AtMost(1), None, 1)
    with pytest.raises(ValueError, match="the same rounds"):
        figure(AtMost(1), (1, 2), 1)


def test_the_table_says_spread_ratio_bound_and_what_was_missed() -> None:
    report = Report(
        machine={"Python": "3.11"},
        rows=[
            figure(AtLeast(0.6), (1000, 2000), 100, 800),
            figure(AtMost(8, of="product"), None, 2.5),
            Failed(goal="P9", why="it rained"),
        ],
        quick=True,
        seconds=12,
    )
    text = report.markdown()
    assert "| P0 | it, us | 1,500 (1,000..2,000) | 450 (100..800) | 0.25 (0.10..0.40) |" in text
    assert "| ≥ 0.6 | **no** |" in text
    assert "| P0 | it, us |  | 2.50 |  | ≤ 8 us | yes |" in text
    assert "| P9 | **failed**: it rained |" in text
    assert "- Python: 3.11" in text
    assert report.failed


@pytest.mark.parametrize(
    ("number", "text"),
    [(12345.6, "12,346"), (99.96, "100.0"), (12, "12"), (0.254, "0.25"), (0.00123, "0.0012")],
)
def test_numbers_have_no_more_digits_than_they_deserve(number: float, text: str) -> None:
    assert digits(number) == text


def test_the_machine_is_named() -> None:
    about = machine()
    assert about["Python"] == f"CPython {sys.version.split()[0]}"
    assert about["processors"].startswith(f"{os.cpu_count()} x ")
    assert all(about.values())


def seen(**at_ms: float) -> Any:
    return SimpleNamespace(evaluate=lambda script: at_ms)


def test_an_order_is_on_the_board_when_it_or_a_later_one_stands_there() -> None:
    numbers = {"a": 1, "b": 2, "c": 3, "d": 4}
    sightings = Sightings(seen(a=1000, c=3000, d=2500, other=1), numbers)
    assert [sightings.shown_at(number) for number in (1, 2, 3, 4, 5)] == [1.0, 2.5, 2.5, 2.5, None]
    assert [sightings.was_seen(number) for number in (1, 2, 3, 4, 5)] == [
        True, False, True, True, False
    ]  # fmt: skip


def test_a_family_has_used_what_its_children_used_those_that_ended_too() -> None:
    before = used_s(os.getpid())
    spin = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", spin], check=True)
    assert used_s(os.getpid()) - before >= 0.29
    assert used_s(os.getpid(), program="no such program") == 0


def test_costs_are_said_the_largest_first() -> None:
    assert said({"relay": 100, "observer": 300.4, "idle": 0.1}) == (
        "CPU an order 400 us: observer 300, relay 100"
    )
