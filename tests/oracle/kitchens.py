"""What the kitchens of the recorded run make of an order: the same for the same order, always.

Each version's faults go by the order's number, so that how often each occurs is known beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from kitchen_worker.contract.messages import TIMED_OUT
from tests.oracle.steps import PlacedOrder

_COOKS = ("Aroha", "Bruno", "Chiara", "Dmitri")
#: Minutes and cents of a portion, as on the menu of the day of the recording.
MENU = {
    "burger": (5, 350),
    "cheeseburger": (6, 435),
    "veggie-burger": (6, 410),
    "fries": (2, 150),
    "onion-rings": (3, 235),
    "soda": (1, 150),
    "lemonade": (1, 195),
    "milkshake": (3, 280),
    "sundae": (2, 220),
    "brownie": (2, 190),
}
_MANY_KEYS = 150
#: From this order on, build b2 has the fault of the prices again.
_PRICES_WRONG_AGAIN = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How a version ends an order: a result, or the type and message of a failure."""

    handling_ms: float
    result: dict[str, Any] | None = None
    error: tuple[str, str] | None = None


def answer(order: PlacedOrder, version: str, build: str) -> Answer:
    """What a build of a version makes of an order."""
    rng = Random(f"{order.number} {version} {build}")
    ms = _control_ms(order)
    if version == "vlatest":
        return _control(order, rng, ms)
    if version == "vlatest-b":
        return _baseline(order, rng, ms)
    if version == "vslow":
        return Answer(handling_ms=_ms(1.6 * ms, rng), result=_result(order, rng))
    return _candidate(order, rng, ms, build)


def _control_ms(order: PlacedOrder) -> float:
    """What is hard about an order is hard for every version."""
    return (40.0 + 9.0 * sum(order.items.values())) * _hard(order.number)


@lru_cache(maxsize=1000)
def _hard(number: int) -> float:
    return Random(f"order {number}").lognormvariate(0, 0.3)


def _ms(ms: float, rng: Random) -> float:
    return round(ms * rng.lognormvariate(0, 0.08), 3)


def _result(order: PlacedOrder, rng: Random) -> dict[str, Any]:
    minutes = sum(MENU[name][0] * quantity for name, quantity in order.items.items())
    cents = sum(MENU[name][1] * quantity for name, quantity in order.items.items())
    result: dict[str, Any] = {
        "lines": [
            {"name": name, "quantity": quantity, "minutes": MENU[name][0] * quantity}
            for name, quantity in order.items.items()
        ],
        "note": order.note,
        "total_price": _money(cents),
        "estimated_minutes": minutes,
        "actual_minutes": round(minutes * 10 / 9),
        "cook": rng.choice(_COOKS),
        "ticket": f"T-{rng.randrange(16**8):08x}",
    }
    if order.number % 20 == 0:
        # Keyed by data: each version has another key in each order.
        result["meta"] = {f"k{rng.randrange(16**6):06x}": 1}
    return result


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _control(order: PlacedOrder, rng: Random, ms: float) -> Answer:
    ms = _ms(ms, rng)
    if order.number % 503 == 0 or order.number % 1009 == 0:
        return Answer(handling_ms=ms, error=("OvenError", f"too hot: {200 + order.number % 100}"))
    return Answer(handling_ms=ms, result=_result(order, rng))


def _baseline(order: PlacedOrder, rng: Random, ms: float) -> Answer:
    ms = _ms(ms, rng)
    if order.number % 1009 == 0:
        return Answer(handling_ms=ms, error=("OvenError", f"too hot: {200 + order.number % 100}"))
    result = _result(order, rng)
    if order.number % 150 == 0:
        result["actual_minutes"] += 1
    return Answer(handling_ms=ms, result=result)


def _candidate(order: PlacedOrder, rng: Random, ms: float, build: str) -> Answer:
    """``a1`` has every fault, ``b2`` that of the price in late orders alone, ``c3`` has few."""
    ms = _ms({"a1": 1.06, "b2": 0.97, "c3": 0.8}[build] * ms, rng)
    if build != "c3" and (failure := _failure(order)):
        return Answer(handling_ms=ms, error=failure)
    result = _result(order, rng)
    if order.number % 97 == 0:
        result["loyalty"] = {"points": order.number % 7}
    if order.number % 150 == 0:
        result["actual_minutes"] += 1
    if order.number % (1999 if build == "c3" else 211) == 0:
        result["estimated_minutes"] = str(result["estimated_minutes"])
    if build != "c3":
        _spoil(result, order, is_first=build == "a1")
    return Answer(handling_ms=ms, result=result)


def _spoil(result: dict[str, Any], order: PlacedOrder, *, is_first: bool) -> None:
    """The faults that the last build has no more."""
    number = order.number
    if number % 150 == 1:
        result["actual_minutes"] += 1
    if len(result["lines"]) >= 3 and number % 3 == 0:
        result["lines"].reverse()
    if number % 37 == 0 and (is_first or (number > _PRICES_WRONG_AGAIN and number % 5 == 0)):
        result["total_price"] = f"{float(result['total_price']) - 0.01:.2f}"
    if is_first and order.note and number % 5 == 0:
        del result["note"]
    if number % 1499 == 0:
        result |= {f"extra_{place:03}": place for place in range(_MANY_KEYS)}


def _failure(order: PlacedOrder) -> tuple[str, str] | None:
    name, most = max(order.items.items(), key=lambda one: one[1])
    if most > 20:
        return "TooManyPortions", f"{most} of {name!r}: the ticket takes at most 20"
    if order.number % 401 == 0:
        return TIMED_OUT, "no result within 20 s"
    if order.number % 1009 == 0:
        return "OvenError", f"too hot: {200 + order.number % 100}"
    return None
