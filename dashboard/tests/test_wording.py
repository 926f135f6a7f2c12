"""Numbers are written for people, and rounded half upwards as the browser does."""

from __future__ import annotations

import pytest

from dashboard.board import wording

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "–"),
        (0, "0.0 ms"),
        (4.25, "4.3 ms"),
        (9.97, "10.0 ms"),
        (214.5, "215 ms"),
        (1611.9, "1,612 ms"),
        (12_400, "12.4 s"),
    ],
)
def test_a_duration_has_its_unit(ms: float | None, text: str) -> None:
    assert wording.duration(ms) == text.replace(" ", SPACE)


@pytest.mark.parametrize(
    ("control", "version", "text"),
    [
        (200, 138, "−31 %"),
        (100, 112.5, "+13 %"),
        (100, 100.4, "0 %"),
        (0, 10, ""),
        (None, 10, ""),
        (10, None, ""),
        (1, 21, "+2,000 %"),
    ],
)
def test_a_delta_is_relative_to_the_control(
    control: float | None, version: float | None, text: str
) -> None:
    assert wording.delta(control, version) == text.replace(" ", SPACE)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (-1, "0.0 s"),
        (0.21, "0.2 s"),
        (42.9, "42 s"),
        (240, "4 min"),
        (11_520, "3 h 12 min"),
        (183_600, "2 d 3 h"),
    ],
)
def test_an_age_is_as_exact_as_it_is_young(seconds: float | None, text: str) -> None:
    assert wording.age(seconds).replace(SPACE, " ") == text


@pytest.mark.parametrize(
    ("per_second", "text"), [(0, "0"), (0.84, "0.8"), (99.8, "99.8"), (1204.4, "1,204")]
)
def test_a_rate_has_a_digit_after_the_point_while_it_is_small(per_second: float, text: str) -> None:
    assert wording.rate(per_second) == text


@pytest.mark.parametrize(
    ("of_one", "text"),
    [
        (None, "–"),
        (0, "0 %"),
        (0.0004, "<0.1 %"),
        (0.004, "0.4 %"),
        (0.0994, "9.9 %"),
        (0.0996, "10 %"),
        (0.206, "21 %"),
        (0.9999, ">99 %"),
        (1, "100 %"),
    ],
)
def test_a_part_is_neither_all_nor_nothing_where_it_is_not(of_one: float | None, text: str) -> None:
    assert wording.part(of_one) == text.replace(" ", SPACE)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "now"), (4.9, "now"), (5.3, "5 s ago"), (3600, "1 h 0 min ago")]
)
def test_what_was_seen_a_while_ago_says_so_in_whole_seconds(seconds: float, text: str) -> None:
    assert wording.ago(seconds).replace(SPACE, " ") == text
