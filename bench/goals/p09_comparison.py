"""P9: what one comparison costs, and one order in the verdict's state."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import deepdiff

from bench.comparison import rush_pairs, time_us
from bench.figures import AtMost, Figure, Samples
from bench.rig import Rig
from bench.verdict_state import in_bulk, some_orders
from dashboard.domain.comparing.comparison import compare
from dashboard.verdict.paired_order import PairedOrder

SECONDS = 20

#: How often a round goes through the pairs of a rush.
_REPEATS, _DEEP_REPEATS = 20, 1
#: Orders that a launch has before those that are timed.
_BEFORE, _TIMED = 80_000, 10_000
#: Orders that are added at once, after which blocks are closed: a second of them.
_AT_ONCE = 100


def measure(rig: Rig) -> Iterator[Figure]:
    """The comparison beside the least that could tell two documents apart, and the state."""
    yield _comparison(rig)
    yield _state(rig)


def _comparison(rig: Rig) -> Figure:
    pairs = list(rush_pairs())
    ours, texts, deep = [], [], []
    for _ in range(rig.rounds):
        texts.append(time_us(pairs, _same_text, _REPEATS))
        ours.append(time_us(pairs, compare, _REPEATS))
        deep.append(time_us(pairs, deepdiff.DeepDiff, _DEEP_REPEATS))
    same = time_us([(one, _copy(one)) for one, _ in pairs], compare, _REPEATS)
    return Figure(
        goal="P9",
        what=f"one comparison of a typical pair ({len(pairs)} orders of a rush)",
        unit="us",
        floor=Samples(tuple(texts)),
        floor_is="both documents written as JSON, and the texts compared",
        product=Samples(tuple(ours)),
        bound=AtMost(12, of="product"),
        note=f"{same:.1f} us without a difference; deepdiff {Samples(tuple(deep)).median:,.0f} us",
    )


def _state(rig: Rig) -> Figure:
    orders = list(some_orders(_TIMED, after=_BEFORE))
    return Figure(
        goal="P9",
        what=f"one order in the verdict's state, after {_BEFORE:,}",
        unit="us",
        product=Samples(tuple(_added_us(orders) for _ in range(rig.rounds))),
        bound=AtMost(3, of="product"),
        note=f"with a baseline; {_AT_ONCE} added at once, closing of blocks included",
    )


def _added_us(orders: Sequence[PairedOrder]) -> float:
    """Microseconds of a processor for one order."""
    tally = in_bulk(_BEFORE)
    began = time.process_time()
    for start in range(0, len(orders), _AT_ONCE):
        some = orders[start : start + _AT_ONCE]
        tally.add_all(some)
        tally.close(some[-1].placed_at)
    return (time.process_time() - began) / len(orders) * 1e6


def _same_text(control: Any, version: Any) -> bool:
    return json.dumps(control, sort_keys=True) == json.dumps(version, sort_keys=True)


def _copy(document: Any) -> Any:
    return json.loads(json.dumps(document))
