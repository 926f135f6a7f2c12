"""The formulas give what was worked out independently, in double precision and in 30 digits."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.paired_order import OrderStatus, Result
from dashboard.verdict.quantiles import LogHistogram, quantile_ranks
from dashboard.verdict.rates import PairedRate
from dashboard.verdict.sequences import RatioBlocks, bernoulli_cs
from dashboard.verdict.tests.paired_orders import log_ratio

VECTORS = json.loads((Path(__file__).parent / "verdict_vectors.json").read_text())
_TEN = [-0.30, 0.10, -0.25, -0.05, -0.40, 0.20, -0.15, -0.35, -0.10, -0.20]


def _ratio(blocks: list[tuple[float, float]]) -> RatioBlocks:
    sums = RatioBlocks()
    for x, y in blocks:
        sums.add(x, y)
    return sums


def _ratio_of(given: str) -> RatioBlocks:
    if given.startswith("x=1"):
        return _ratio([(1, y) for y in _TEN * 5])
    if given.startswith("30 blocks"):
        return _ratio(
            [
                (40 + 3 * (i % 7), -2 - 0.1 * ((5 * i) % 11) + 0.8 * (-1) ** i)
                for i in range(30)
            ]
        )  # fmt: skip
    if given.startswith("40 blocks"):
        return _ratio(
            [(2 + 0.05 * ((7 * i) % 13), 1.8 + 0.05 * ((11 * i) % 17)) for i in range(40)]
        )
    return RatioBlocks(10**6, 1e8, -1e6, 1e10, -1e8, 1.7e7)


def _levels() -> MultiLevelBlocks:
    blocks = MultiLevelBlocks()
    for i in range(300):
        blocks.add(10, -1 + 0.6 * math.sin(1.7 * i) + 0.3 * math.cos(0.9 * i))
    return blocks


def _paired_of(given: str) -> PairedRate:
    pos, neg, zero = (int(one) for one in re.findall(r"\d+", given))
    return PairedRate(pos, neg, zero)


def _order(given: str) -> list[float | None]:
    found = re.findall(r"\('(\w+)', ([\d.]+|None)\)", given)
    control, candidate = (
        Result(OrderStatus(status), None if ms == "None" else float(ms)) for status, ms in found
    )
    return [log_ratio(control, candidate, 30_000)]


def _alpha(name: str) -> float:
    return float(name.rsplit(maxsplit=1)[-1].removeprefix("alpha="))


def _numbers(text: str) -> list[float]:
    return [float(one) for one in re.findall(r"[\d.]+", text)]


def _ratio_answer(name: str, given: str) -> list[float | None]:
    sums = _ratio_of(given)
    if "sums" in name:
        return list(sums.sums())
    if "estimate" in name:
        return [sums.estimate]
    if "log_e" in name:
        return [sums.log_e(0)]
    return list(sums.interval(0.0125 if "1e8" in name else _alpha(name)))


def _levels_answer(name: str, _: str) -> list[float | None]:
    blocks = _levels()
    if "levels.k" in name:
        return [level.blocks.k for level in blocks.levels[:4]]
    if "l*" in name:
        return [blocks.flat_level, len(blocks.counting())]
    return list(blocks.interval(_alpha(name)))


def _paired_answer(name: str, given: str) -> list[float | None]:
    rate = _paired_of(given)
    return [rate.log_e_greater(0)] if "log_e" in name else list(rate.interval(_alpha(name)))


def _rate_answer(name: str, given: str) -> list[float | None]:
    k, n = (int(one) for one in _numbers(given))
    return list(bernoulli_cs(k, n, _alpha(name)))


def _ranks_answer(name: str, given: str) -> list[float | None]:
    share, alpha = _numbers(name)
    return list(quantile_ranks(int(_numbers(given)[0]), share, alpha))


def _histogram_answer(name: str, given: str) -> list[float | None]:
    values = [float(one) for one in given.split(" ", maxsplit=1)[0].split(",")]
    return list(LogHistogram.of(values).quantiles(float(name.rsplit(maxsplit=1)[-1])))


_ANSWERS: dict[str, Callable[[str, str], list[float | None]]] = {
    "ratio": _ratio_answer,
    "total": _ratio_answer,
    "levels": _levels_answer,
    "paired": _paired_answer,
    "rate": _rate_answer,
    "quantile": _ranks_answer,
    "histogram": _histogram_answer,
    "order": lambda _, given: _order(given),
}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: f"{one['name']} {one['input']}"[:60])
def test_the_code_gives_what_the_vector_says(vector: dict[str, object]) -> None:
    name, given = str(vector["name"]), str(vector["input"])
    answer = _ANSWERS[re.split(r"[. ]", name)[0]](name, given)
    assert answer == pytest.approx(vector["expected"], rel=1e-9, abs=1e-9)


def test_there_are_vectors() -> None:
    assert len(VECTORS) == 32
