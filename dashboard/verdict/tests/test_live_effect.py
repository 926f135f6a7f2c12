"""Live unharmed: the control's time on sampled orders against the others, by blocks."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dashboard.verdict.live_effect import BLOCK_S, MOST_OPEN, LiveEffect, TimedOrder

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DEADLINE_S = 30.0
LATER = NOW + timedelta(hours=10)


def launch(effect: float, *, seed: int, blocks: int = 200, a_block: int = 20) -> LiveEffect:
    """Orders under a load that swings, half of them sampled and slower by ``effect``."""
    rng, found = random.Random(seed), LiveEffect()
    for block in range(blocks):
        at = NOW + timedelta(seconds=block * BLOCK_S)
        load = 1 + math.sin(block / 15)
        orders = [
            TimedOrder(
                at, 100 * math.exp(load + rng.gauss(0, 0.3) + effect * is_sampled), is_sampled
            )
            for is_sampled in (rng.random() < 0.5 for _ in range(a_block))
        ]
        found = found.with_orders(orders, at, DEADLINE_S)
    return found.with_orders([], LATER, DEADLINE_S)


def test_an_effect_of_the_sample_is_found_and_its_size_is_in_the_interval() -> None:
    found = launch(0.1, seed=1)
    interval = found.interval(0.05)
    assert 0 < interval.lo < 0.1 < interval.hi < 0.2
    assert found.blocks == 200
    assert (found.sampled + found.others, found.lost, found.open) == (4000, 0, {})


def test_without_an_effect_the_interval_holds_0_at_every_look() -> None:
    missed = 0
    for seed in range(40):
        missed += not launch(0.0, seed=seed, blocks=60).interval(0.05).has(0)
    assert missed <= 4


def test_blocks_of_one_kind_of_order_tell_nothing() -> None:
    orders = [TimedOrder(NOW, 5.0, True)] * 10
    found = LiveEffect().with_orders(orders, LATER, DEADLINE_S)
    assert (found.estimate, found.blocks, found.sampled) == (None, 0, 0)


def test_an_order_that_ends_after_its_block_was_closed_is_lost_and_counted() -> None:
    found = LiveEffect().with_orders([TimedOrder(NOW, 5.0, True)], LATER, DEADLINE_S)
    assert found.with_orders([TimedOrder(NOW, 5.0, False)], LATER, DEADLINE_S).lost == 1


def test_open_blocks_are_bounded_whatever_the_clocks_say() -> None:
    far = [TimedOrder(LATER + timedelta(hours=n), 5.0, True) for n in range(MOST_OPEN + 9)]
    found = LiveEffect().with_orders(far, NOW, DEADLINE_S)
    assert (len(found.open), found.lost) == (MOST_OPEN, 9)


_orders = st.lists(
    st.builds(
        TimedOrder,
        st.integers(0, 60).map(lambda s: NOW + timedelta(seconds=s)),
        st.floats(0, 10_000),
        st.booleans(),
    ),
    max_size=30,
)


@given(_orders, st.data())
def test_while_blocks_are_open_any_split_and_sequence_gives_the_same(
    orders: list[TimedOrder], data: st.DataObject
) -> None:
    mixed, cut = data.draw(st.permutations(orders)), data.draw(st.integers(0, len(orders)))
    end = NOW + timedelta(seconds=80)
    split = LiveEffect().with_orders(mixed[:cut], NOW, DEADLINE_S)
    split = split.with_orders(mixed[cut:], end, DEADLINE_S)
    whole = LiveEffect().with_orders(orders, end, DEADLINE_S)
    assert split.with_orders([], LATER, DEADLINE_S) == whole.with_orders([], LATER, DEADLINE_S)
