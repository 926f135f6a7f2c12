"""The verdict as a pipeline's gate is told it, while real kitchens cook a rush of real orders."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashboard.management.commands.verdict import EXIT_CODES, NOTHING_TO_SAY
from tests.stack import EQUAL, Stack, a_stack, until

pytestmark = [pytest.mark.broker, pytest.mark.serial]

#: As `make run` has them: a verdict lies eight seconds behind its orders.
SHORT = {"BLOCK_SECONDS": "1", "WARM_UP_SECONDS": "5", "DEADLINE_SECONDS": "5"}
#: A kitchen that does as the control does, but fails on one order in a hundred.
FAILING_KITCHEN = """
import asyncio
import random
from zlib import crc32

from kitchen_worker.kitchens import vlatest


async def cook(order):
    if crc32(str(order.id).encode()) % 100 == 0:
        raise RuntimeError("one in a hundred")
    result = vlatest.cook(order, random)
    await asyncio.sleep(result["actual_minutes"] * 0.01)
    return result
"""


def test_the_shipped_kitchens_are_soon_found_faster_and_slower_on_huge_orders(
    tmp_path: Path, amqp_url: str
) -> None:
    with a_stack(tmp_path, amqp_url, **SHORT) as stack:
        assert stack.run("verdict")[0] == NOTHING_TO_SAY
        rush(stack, "vnext", orders=17000, rate=100, seed=3)
        # Within forty seconds as a rule; later while neighbouring blocks look alike by chance.
        faster = first(stack, lambda said: speed(said)["word"] == "faster", "faster", within_s=200)
        assert "% faster (" in speed(faster)["text"]
        assert speed(faster)["hi"] < 0
        first(stack, huge_is_slower, "slower on huge orders", within_s=140)


def test_of_two_copies_of_one_version_none_is_ever_faster_or_slower(
    tmp_path: Path, amqp_url: str
) -> None:
    looks: list[dict[str, Any]] = []

    def enough(said: dict[str, Any]) -> bool:
        looks.append(said)
        return bool(said["pairs"] > 3000)

    with a_stack(tmp_path, amqp_url, candidate=EQUAL, **SHORT) as stack:
        rush(stack, EQUAL, orders=4000, rate=100, seed=7)
        first(stack, enough, "three thousand pairs", within_s=120)
    tested = [speed(said) for said in looks if said["pairs"]]
    assert len(tested) > 5
    assert not {one["word"] for one in tested} & {"faster", "slower"}
    assert all(one["lo"] < 0 < one["hi"] for one in tested)


def test_a_version_that_fails_on_one_order_in_a_hundred_is_worse(
    tmp_path: Path, amqp_url: str
) -> None:
    (tmp_path / "failing_kitchen.py").write_text(FAILING_KITCHEN)
    with a_stack(tmp_path, amqp_url, PYTHONPATH=str(tmp_path), **SHORT) as stack:
        kitchen = ("--kitchen", "failing_kitchen:cook")
        rush(stack, "vnext", *kitchen, orders=27000, rate=150, seed=7)
        # Later than by 50 s, too, only while neighbouring blocks look alike by chance.
        worse = first(stack, lambda said: said["word"] == "worse", "worse", within_s=180)
    assert worse["sentence"].startswith("WORSE: vnext: failure rate +")
    failures = next(one for one in worse["requirements"] if one["key"] == "failures")
    assert failures["lo"] > 0
    assert failures["estimate"] == pytest.approx(0.01, abs=0.006)


def test_a_launch_ends_with_its_planned_orders_and_its_word_is_final(
    tmp_path: Path, amqp_url: str
) -> None:
    with a_stack(tmp_path, amqp_url, **SHORT) as stack:
        stack.manage("plan_end", "--orders", "600", "--why", "as agreed")
        rush(stack, "vnext", orders=1500, rate=50, seed=5)
        final = first(stack, lambda said: bool(said["run"]["final_at"]), "final", within_s=180)
        again = first(stack, lambda said: True, "the same", within_s=30)
    assert final["run"]["state"] == "ended"
    assert 0 < final["orders"] < 1500
    assert (again["word"], again["orders"]) == (final["word"], final["orders"])
    lag = next(one for one in final["requirements"] if one["key"] == "keeping up")
    assert lag["standing"] == "passed"
    assert final["more_orders"] is None
    assert "Roll back" not in final["sentence"]


def rush(stack: Stack, candidate: str, *options: str, orders: int, rate: int, seed: int) -> None:
    """Have orders placed at a rate, while a candidate cooks beside both copies of the control."""
    stack.start("relay", "observer", "vlatest", "vlatest-b")
    stack.start(candidate, options=options)
    asked = {"--orders": orders, "--rate": rate, "--seed": seed}
    stack.start("rush", options=[str(part) for option in asked.items() for part in option])


def first(
    stack: Stack, holds: Callable[[dict[str, Any]], bool], what: str, *, within_s: float
) -> dict[str, Any]:
    """The first verdict of which something holds, among those that are given from now on."""
    given: list[dict[str, Any]] = []

    def look() -> bool:
        code, out, errors = stack.run("verdict", "--json")
        said = json.loads(out)
        if said is None:
            assert code == NOTHING_TO_SAY, errors
            return False
        assert code == EXIT_CODES[said["word"]], errors
        given.append(said)
        return holds(said)

    try:
        until(look, f"the verdict says: {what}", within_s=within_s)
    except AssertionError as in_vain:
        raise AssertionError(f"{in_vain}; it said last: {given[-1:]}") from in_vain
    return given[-1]


def speed(said: dict[str, Any]) -> dict[str, Any]:
    """What is said of the speed."""
    found: dict[str, Any] = next(one for one in said["requirements"] if one["key"] == "speed")
    return found


def huge_is_slower(said: dict[str, Any]) -> bool:
    """Whether a warning says that the version is surely slower on huge orders, and faster else."""
    words = re.compile(r"size [a-z ]+: [\d.]+ % faster \(.+\), but size huge: [\d.]+ % slower \(")
    return any(words.match(one) for one in said["warnings"])
