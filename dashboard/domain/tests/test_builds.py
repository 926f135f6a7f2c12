"""Which build was at work when an order was placed that nobody answered."""

from __future__ import annotations

import pytest

from dashboard.domain.builds import MOST_BUILDS, Stretch, at_work, heard_of


def _heard(*news: tuple[str, float]) -> list[Stretch]:
    stretches: list[Stretch] = []
    for build, at in news:
        stretches = heard_of(stretches, build, at)
    return stretches


@pytest.mark.parametrize(
    ("at", "build"), [(0, "one"), (15, "one"), (25, "one"), (30, "two"), (99, "two")]
)
def test_silence_is_of_the_build_that_was_at_work_when_the_order_was_placed(
    at: float, build: str
) -> None:
    assert at_work(_heard(("one", 10), ("one", 20), ("two", 30), ("two", 40)), at) == build


def test_two_builds_that_answer_side_by_side_take_no_turns() -> None:
    stretches = _heard(*((build, float(at)) for at in range(50) for build in ("one", "two")))
    assert stretches == [("one", 0.0, 49.0), ("two", 0.0, 49.0)]
    assert at_work(stretches, 25) == "two"


@pytest.mark.parametrize("back_at", [50.0, 500.0])
def test_a_build_that_comes_back_is_at_work_again(back_at: float) -> None:
    stretches = _heard(("one", 10), ("two", 20), ("two", 30), ("one", back_at))
    assert [at_work(stretches, at) for at in (25, back_at)] == ["two", "one"]


def test_nothing_is_known_of_a_version_that_said_nothing_and_builds_are_bounded() -> None:
    assert at_work([], 0) == ""
    stretches = _heard(*((str(number), float(number)) for number in range(100)))
    assert len(stretches) == MOST_BUILDS
    assert at_work(stretches, 0) == str(100 - MOST_BUILDS)
