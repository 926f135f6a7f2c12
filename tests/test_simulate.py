"""The simulation's vectorised evidence is the product's own, look by look."""

from __future__ import annotations

import numpy as np
import pytest

from bench import kitchens, looks, peers
from dashboard.domain.verdict.levels import MultiLevelBlocks
from dashboard.domain.verdict.rates import PairedRate, RobustRate
from dashboard.domain.verdict.sequences import RatioBlocks

_RUNS, _BLOCKS = 4, 150


def _drawn() -> tuple[looks.Array, looks.Array]:
    """Blocks of unequal size, some runs with slow spells and some with an effect."""
    rng = np.random.Generator(np.random.PCG64(7))
    x = rng.integers(5, 15, (_RUNS, _BLOCKS)).astype(float)
    own = kitchens.spells(rng, (_RUNS, _BLOCKS), 6, 0.5) * np.array([[0], [1], [3], [0]])
    effect = np.array([[0.0], [0.0], [0.0], [-0.2]])
    return x, x * (effect + own + rng.normal(0, 0.2, (_RUNS, _BLOCKS)))


def test_the_evidence_about_speed_is_the_products() -> None:
    x, y = _drawn()
    shown, finest = looks.shown_log_e(x, y), looks.finest_log_e(y)
    alarms = looks.speed_alarms(x, y, 0.05)
    for run in range(_RUNS):
        blocks, sums = MultiLevelBlocks(), RatioBlocks()
        for block in range(_BLOCKS):
            blocks.add(x[run, block], y[run, block])
            sums.add(x[run, block], y[run, block])
            assert shown[run, block] == pytest.approx(blocks.log_e(0), abs=1e-9)
            assert finest[run, block] == pytest.approx(sums.log_e(0), abs=1e-9)
            assert alarms[run, block] != blocks.interval(0.05).has(0.0)
    assert alarms[3].any()


def test_the_evidence_about_a_rate_is_the_products() -> None:
    rng = np.random.Generator(np.random.PCG64(8))
    chances = np.array([[0.02], [0.1], [0.3], [0.1]])
    pos = rng.binomial(10, chances, (_RUNS, _BLOCKS)).astype(float)
    neg = rng.binomial(10, chances * [[1], [1], [1], [0.1]], (_RUNS, _BLOCKS)).astype(float)
    n = np.full(pos.shape, 25.0)
    more, fewer = looks.rate_log_e(pos, neg)
    alarms = looks.rate_alarms(n, pos, neg, 0.05)
    for run in range(_RUNS):
        rate = RobustRate()
        for block in range(_BLOCKS):
            counts = int(pos[run, block]), int(neg[run, block])
            rate.add(*counts, 25 - sum(counts))
            mirrored = PairedRate(rate.counts.neg, rate.counts.pos, rate.counts.zero)
            assert more[run, block] == pytest.approx(rate.counts.log_e_greater(0), abs=1e-9)
            assert fewer[run, block] == pytest.approx(mirrored.log_e_greater(0), abs=1e-9)
            assert alarms[run, block] != rate.interval(0.05).has(0.0)
    assert alarms[3].any()


def test_the_peers_find_what_is_plain_and_not_what_is_not_there() -> None:
    rng = np.random.Generator(np.random.PCG64(9))
    a, b = rng.lognormal(3, 0.5, (2, 2000))
    assert peers.first_alarms(a, 3 * b, 500) == (500, 500)
    assert peers.first_alarms(a, a, 500) == (np.inf, np.inf)
    assert peers.t_alarms(rng.normal(1, 0.5, (1, 50)))[0, -1]
    assert not peers.t_alarms(np.tile([1.0, -1.0], (1, 50)))[0, -1]
    often, never = np.ones((1, 50)), np.zeros((1, 50))
    assert peers.z_alarms(never, often)[0, -1]
    assert peers.mcnemar_alarms(often, never)[0, -1]
    assert not peers.mcnemar_alarms(often, often)[0, -1]
    found = peers.diffy_alarms(
        np.array([[30.0, 30.0, 30.0]]), np.array([[10.0, 25.0, 40.0]]), np.full((1, 3), 1000.0)
    )  # fmt: skip
    assert found.tolist() == [[True, False, False]]
