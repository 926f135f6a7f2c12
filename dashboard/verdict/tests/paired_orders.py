"""Paired orders for tests: made by hand, drawn by hypothesis, or simulated with a seed."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from msgspec.structs import replace

from dashboard.verdict.blocks import Timing
from dashboard.verdict.evidence import Tally
from dashboard.verdict.paired_order import TIMED, OrderStatus, PairedOrder, Result, clipped_logs

#: Short blocks and warm-up, so that few orders make many blocks.
TIMING = Timing(
    block_s=1, deadline_s=2, grace_s=0, warm_up_s=2, warm_up_orders=5, kept_blocks=2
)  # fmt: skip
OK_10 = Result(OrderStatus.OK, 10.0)
MISSING = Result(OrderStatus.MISSING)
FAILED = Result(OrderStatus.FAILED, 1.0)


def order(
    placed_at: float,
    *,
    control: Result = OK_10,
    candidate: Result = OK_10,
    baseline: Result | None = OK_10,
    shown: frozenset[int] = frozenset(),
    noise: frozenset[int] = frozenset(),
    segments: tuple[str, ...] = (),
) -> PairedOrder:
    return PairedOrder(
        placed_at=placed_at,
        control=control,
        candidate=candidate,
        baseline=baseline,
        shown=shown,
        noise=noise,
        segments=segments,
    )


def log_ratio(control: Result, candidate: Result, deadline_ms: float) -> float | None:
    """Ln of how many times slower the candidate was, clipped; None if either has no time."""
    if control.status not in TIMED or candidate.status not in TIMED:
        return None
    (log,) = clipped_logs([control.capped_ms(deadline_ms)], [candidate.capped_ms(deadline_ms)])
    return log


_TIMES = st.floats(0, 5000).map(lambda ms: Result(OrderStatus.OK, ms))
_RESULTS = st.one_of(_TIMES, st.sampled_from([FAILED, MISSING, Result(OrderStatus.TIMEOUT)]))
_IDS = st.frozensets(st.integers(1, 9), max_size=7)
_SEGMENTS = st.lists(st.sampled_from(["size:small", "item:soda", "hour:09"]), unique=True)


def orders(seconds: int = 20) -> st.SearchStrategy[PairedOrder]:
    """Any order of the first seconds."""
    return st.builds(
        order,
        st.floats(0, seconds, exclude_max=True),
        control=_RESULTS,
        candidate=_RESULTS,
        baseline=st.none() | _RESULTS,
        shown=_IDS,
        noise=_IDS,
        segments=_SEGMENTS.map(tuple),
    )


def simulated(
    seed: int,
    *,
    blocks: int,
    each: int = 20,
    slower: float = 1.0,
    fails: float = 0.0,
    missing: float = 0.0,
    shows: float = 0.0,
    noise: float = 0.0,
) -> Tally:
    """A tally of orders with a steady effect, all closed."""
    rng = random.Random(seed)
    tally = Tally(TIMING)
    for i in range(blocks * each):
        base = rng.lognormvariate(3.7, 0.8)
        control, candidate, baseline = (
            Result(OrderStatus.OK, base * factor * rng.lognormvariate(0, 0.1))
            for factor in (1.0, slower, 1.0)
        )
        one = order(
            i / each,
            control=control,
            candidate=candidate,
            baseline=baseline,
            shown=frozenset({1} if rng.random() < shows + noise else ()),
            noise=frozenset({1} if rng.random() < noise else ()),
        )
        chance = rng.random()
        if chance < fails:
            one = replace(one, candidate=FAILED)
        elif chance < fails + missing:
            one = replace(one, candidate=MISSING)
        tally.add_all([one])
    tally.close(blocks + 2)
    return tally
