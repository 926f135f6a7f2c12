"""What a soak's samples come to: flat is told from not flat, and drawn as it was."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.memory import read_pss_mb
from bench.plot import Panel, nice_top, plot
from bench.sampling import Sample, percentile
from bench.slope import theil_sen, trend
from bench.soaked import drawn, figures, trends

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
    assert trend(_MINUTES, values, part=0.05).is_flat is is_flat


def test_a_rise_from_nothing_may_be_as_high_as_is_said() -> None:
    rising = [minute / 119 * 50 for minute in _MINUTES]
    assert trend(_MINUTES, rising, part=0.0, least=60).is_flat
    assert not trend(_MINUTES, rising, part=0.0, least=20).is_flat


def test_a_third_of_wild_points_does_not_turn_a_slope() -> None:
    times = [float(n) for n in range(30)]
    values = [2 * time if number % 3 else 1e6 for number, time in enumerate(times)]
    assert theil_sen(times, values) == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize("number", [0, 1])
def test_no_trend_is_told_from_fewer_than_two_points(number: int) -> None:
    with pytest.raises(ValueError, match="two points"):
        trend([0.0] * number, [1.0] * number, part=0.1)


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 1), (-3, 1), (0.3, 0.5), (1, 1), (1.1, 2), (9.9, 10), (10, 10), (4200, 5000)],
)
def test_an_axis_ends_at_a_round_number(highest: float, top: float) -> None:
    assert nice_top(highest) == pytest.approx(top)


def test_a_gap_parts_a_line_and_names_are_written_as_text() -> None:
    panel = Panel("a < b", "MB", {"x & y": [1.0, 2.0, None, 4.0, 5.0]})
    picture = ET.fromstring(plot([0, 1, 2, 3, 4], [panel], title="t"))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    lines = picture.findall(f"{space}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 2]
    words = {text.text for text in picture.findall(f"{space}text")}
    assert {"a < b", "x & y"} <= words


def test_memory_is_read_from_what_the_kernel_says() -> None:
    rollup = "55d0-7fff ---p 0 00:00 0 [rollup]\nRss:   9000 kB\nPss:  2048 kB\nPss_Anon: 1 kB"
    assert read_pss_mb(rollup) == 2.0
    with pytest.raises(ValueError, match="no proportional"):
        read_pss_mb("Rss: 1 kB")


@pytest.mark.parametrize(
    ("values", "percent", "value"),
    [([], 50, None), ([7.0], 99, 7.0), ([3.0, 1.0, 2.0], 50, 2.0), (list(range(200)), 99, 198)],
)
def test_a_percentile_is_one_of_the_values(
    values: list[float], percent: int, value: float | None
) -> None:
    assert percentile(values, percent) == value


_SAMPLE = Sample(
    at_s=0.0,
    orders=0,
    backlog={"letters": 3, "dashboard.observer": 4},
    memory_mb={"observer": 90.0, "site": 100.0},
    cores={"observer": 0.3, "browser's page": 0.1},
    latencies_ms={"p50": 60.0, "p99": 200.0},
    database_mb=10.0,
)


def _samples(change: Callable[[int, Sample], Sample] = lambda _, one: one) -> list[Sample]:
    return [
        change(
            number,
            replace(
                _SAMPLE,
                at_s=5.0 * number,
                orders=3000 * number,
                heap_mb=8.0 if number % 6 == 0 else None,
            ),
        )
        for number in range(60)
    ]


def _leaking(number: int, one: Sample) -> Sample:
    return replace(one, memory_mb=one.memory_mb | {"observer": 90.0 + number})


def _behind(number: int, one: Sample) -> Sample:
    return replace(one, backlog={"letters": 40 * number})


def test_what_stayed_flat_is_flat_and_the_rest_is_named() -> None:
    def risen(samples: list[Sample]) -> set[str]:
        return {name for name, one in trends(samples, rate=700).items() if not one.is_flat}

    assert risen(_samples()) == set()
    assert risen(_samples(_leaking)) == {"memory of observer, MB"}
    assert risen(_samples(_behind)) == {"backlog"}


def test_memory_is_held_against_ten_thousand_orders() -> None:
    observer = next(one for one in figures(_samples(_leaking)) if "observer" in one.what)
    assert observer.floor is not None
    assert (observer.floor.median, observer.floor_is) == (94.0, "at 12,000 orders")
    assert observer.product.median == 146.5
    assert not observer.met


def test_a_soak_is_drawn_with_every_line() -> None:
    picture = drawn(_samples(), rate=700)
    for name in ("letters", "dashboard.observer", "p99", "site", "browser&#x27;s page", "page"):
        assert f">{name}</text>" in picture
