"""What a soak's samples come to: flat is told from not flat, and drawn as it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench.soak import BACKLOG, CORES, HEAP, LATENCY, MEMORY, SoakSample, draw, main, trend, trends

_RNG = random.Random(5)
_MINUTES = [float(minute) for minute in range(120)]


def _noisy(level: float, *, rise: float = 0.0) -> list[float]:
    return [
        level + rise * minute / 119 + _RNG.gauss(0, level / 50 if level else 0.1)
        for minute in _MINUTES
    ]


def _spiked(values: list[float]) -> list[float]:
    return [10 * value if place % 9 == 8 else value for place, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "is_flat"),
    [
        ([100.0] * 120, True),
        (_noisy(100), True),
        (_spiked(_noisy(100)), True),
        (_noisy(100, rise=-40), True),
        (_noisy(100, rise=2), True),
        (_noisy(100, rise=12), False),
        (_spiked(_noisy(100, rise=20)), False),
        ([20.0 * place for place in range(10)] + [200.0] * 110, True),
        ([0.0] * 120, True),
    ],
    ids=[
        "constant", "noise", "spikes", "falls", "rises by less than it may", "rises",
        "rises under spikes", "rises while it warms up", "nothing",
    ],
)  # fmt: skip
def test_a_series_is_flat_unless_it_rises_by_more_than_it_may(
    values: list[float], is_flat: bool
) -> None:
    assert trend(values, part=0.05).is_flat is is_flat


def test_a_rise_from_nothing_may_be_as_high_as_is_said() -> None:
    rising = [minute / 119 * 50 for minute in _MINUTES]
    assert trend(rising, part=0.0, least=60).is_flat
    assert not trend(rising, part=0.0, least=20).is_flat


def test_a_third_of_wild_points_does_not_turn_a_trend() -> None:
    values = [2.0 * number if number % 3 else 1e6 for number in range(90)]
    assert trend(values, part=0.1).rise == pytest.approx(2 * 81, rel=0.3)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_no_trend_is_told_from_fewer_than_three_points(number: int) -> None:
    with pytest.raises(ValueError, match="three points"):
        trend([1.0] * number, part=0.1)


def _samples(change: Callable[[int], Mapping[str, float]] = lambda _: {}) -> list[SoakSample]:
    """Five minutes in which all is flat, but for what changes by the number of the sample."""
    return [
        SoakSample(
            at_s=5.0 * number,
            orders=3000 * number,
            panels={
                BACKLOG: {"outbox": 3.0, "dashboard.stream": 4.0, **_of(change(number), BACKLOG)},
                LATENCY: {"p50": 60.0, "p99": 200.0} if number else {},
                MEMORY: {"observer": 90.0, "site": 100.0, **_of(change(number), MEMORY)},
                CORES: {"observer": 0.3, "browser's page": 0.1},
                HEAP: {} if number % 6 else {"page": 8.0},
            },
        )
        for number in range(60)
    ]


def _of(changed: Mapping[str, float], panel: str) -> dict[str, float]:
    return {
        line: value for line, value in changed.items() if (line == "outbox") == (panel == BACKLOG)
    }


def test_what_stayed_flat_is_flat_and_the_rest_is_named() -> None:
    def risen(samples: list[SoakSample]) -> set[str]:
        return {name for name, one in trends(samples, rate=700).items() if not one.is_flat}

    assert risen(_samples()) == set()
    assert risen(_samples(lambda number: {"observer": 90.0 + number})) == {f"{MEMORY}: observer"}
    assert risen(_samples(lambda number: {"outbox": 40.0 * number})) == {BACKLOG}


def test_a_soak_is_drawn_with_every_line(tmp_path: Path) -> None:
    draw(_samples(), rate=700, file=tmp_path / "soak.svg")
    picture = (tmp_path / "soak.svg").read_text()
    for name in ("outbox", "dashboard.stream", "p99", "site", "browser's page", "page"):
        assert f"<!-- {name} -->" in picture


def test_a_soak_that_is_too_short_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--minutes", "1"])
    assert "--minutes: no trend" in capsys.readouterr().err
