"""The simulation's vectorised evidence is the product's own, look by look."""

from __future__ import annotations

import numpy as np
import pytest

from bench import kitchens, looks, peers
from bench.forecast import shown
from bench.judging import Judged
from bench.kitchens import Counted, Kitchen, launches
from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.rates import RobustRate
from dashboard.verdict.requirements import Requirement, Standing

_RUNS, _BLOCKS = 4, 150


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _drawn() -> tuple[looks.Array, looks.Array]:
    """Blocks of unequal size, a few of them empty; some runs with slow spells, one faster."""
    rng = _rng(7)
    x = rng.integers(5, 15, (_RUNS, _BLOCKS)) * (rng.random((_RUNS, _BLOCKS)) < 0.9)
    own = np.zeros(x.shape)
    own[1] = np.repeat(rng.normal(0, 0.5, _BLOCKS // 2), 2)
    own[2] = np.repeat(rng.normal(0, 1.5, _BLOCKS // 5), 5)
    effect = np.array([[0.0], [0.0], [0.0], [-0.2]])
    return x.astype(float), x * (effect + own + rng.normal(0, 0.2, (_RUNS, _BLOCKS)))


@pytest.mark.parametrize("theta", [0.0, 0.02])
def test_the_evidence_of_blocks_is_the_products(theta: float) -> None:
    x, y = _drawn()
    found = looks.Blocks(x, y)
    both = found.log_e(theta)
    excluded = [found.above(theta, np.log(20)), found.below(theta, np.log(20))]
    passes = found.surely_below(theta, np.log(20))
    for run in range(_RUNS):
        blocks = MultiLevelBlocks()
        for block in range(_BLOCKS):
            blocks.add(x[run, block], y[run, block])
            against = min((one.log_e(theta) for one in blocks.counting()), default=0.0)
            assert both[run, block] == pytest.approx(against, abs=1e-9)
            interval = blocks.interval(0.05)
            assert excluded[0][run, block] == (interval.lo > theta)
            assert excluded[1][run, block] == (interval.hi < theta)
            assert passes[run, block] == (blocks.log_e_below(theta) >= np.log(20))
            assert found.known[run, block] == (blocks.flat_level is not None)
            if blocks.k >= 20:
                assert found.lag1[run, block] == pytest.approx(blocks.lag1, abs=1e-9)
    assert excluded[1][3].any()
    assert passes[3].any()
    assert not found.known[2, 40:].all()


def test_the_evidence_of_a_rate_is_the_products() -> None:
    rng = _rng(8)
    chances = np.array([[0.02], [0.1], [0.3], [0.1]])
    pos = rng.binomial(10, chances, (_RUNS, _BLOCKS)).astype(float)
    neg = rng.binomial(10, chances * [[1], [1], [1], [0.1]], (_RUNS, _BLOCKS)).astype(float)
    n = np.full(pos.shape, 25.0)
    x, y = _drawn()
    beside = looks.Blocks(x, y)
    found = looks.Rate(Counted(n, pos, neg), beside)
    more = looks.greater_log_e(found.pos, found.neg, found.zero, 0.01)
    above, below = found.above(0.0, 0.05), found.surely_below(0.1, 0.05)
    for run in range(_RUNS):
        counted, times = RobustRate(), MultiLevelBlocks()
        for block in range(_BLOCKS):
            counts = int(pos[run, block]), int(neg[run, block])
            counted.add(*counts, 25 - sum(counts))
            times.add(x[run, block], y[run, block])
            rate = counted.beside(times)
            assert more[run, block] == pytest.approx(rate.counts.log_e_greater(0.01), abs=1e-9)
            assert above[run, block] == (rate.interval(0.05).lo > 0)
            assert below[run, block] == (rate.log_e_below(0.1) >= np.log(20))
            level = rate.blocks.flat_level
            assert found.blocks.depth[run, block] == (-1 if level is None else level)
    assert above[3].any()
    assert below[0].any()
    assert (found.blocks.depth[1] == 1).any()


@pytest.mark.parametrize(
    "kitchen",
    [
        Kitchen(rate=40, noise="quiet", spell_s=20, spell_sd=0.05),
        Kitchen(rate=20, slower=0.015, more_fails=0.006, more_slow=0.01),
        Kitchen(rate=10, slower=-0.05, more_differs=0.01, fails=0.01),
    ],
)
def test_a_simulated_launch_has_the_products_word_on_each_requirement(kitchen: Kitchen) -> None:
    runs, blocks = 2, 60
    drawn = launches(_rng(9), kitchen, runs, kitchen.rate * kitchen.block_s * blocks)
    judged = Judged(drawn)
    for run in range(runs):
        for block, one in enumerate(shown(drawn, run, range(1, blocks + 1))):
            for requirement, headline in judged.headlines.items():
                standing = one.of(requirement).standing
                passes = headline.passes[run, block] and not headline.failed[run, block]
                assert (standing is Standing.PASSED) == passes, (requirement, block)
                assert (standing is Standing.FAILED) == headline.failed[run, block]
            warned = any("correlated over time" in text for text in one.warnings)
            assert warned == judged.warned[run, block]


def test_a_pass_stays_until_the_estimate_is_beyond() -> None:
    drawn = launches(_rng(10), Kitchen(noise="quiet"), 1, 5000)
    headline = Judged(drawn).headlines[Requirement.SPEED]
    first = int(headline.passes[0].argmax())
    assert headline.passes[0, first]
    headline.passes[0, first + 1 :] = False
    headline.beyond[0, first + 4] = True
    assert headline.passed[0, first : first + 6].tolist() == [True] * 4 + [False] * 2


def test_a_simulated_launch_is_as_its_kitchen_says() -> None:
    kitchen = Kitchen(
        noise="quiet", slower=0.05, more_slow=0.03, fails=0.01, more_fails=0.02, differs=0.2,
        more_differs=0.1,
    )  # fmt: skip
    drawn = launches(_rng(11), kitchen, 20, 20_000)
    assert drawn.log_ratios.sum() / drawn.pairs.sum() == pytest.approx(np.log(1.05), abs=0.002)
    for counted, more in ((drawn.failures, 0.02), (drawn.differences, 0.1)):
        found = (counted.pos - counted.neg).sum() / counted.n.sum()
        assert found == pytest.approx(more, abs=0.003)
    assert drawn.orders.sum() == pytest.approx(20 * 20_000, rel=0.01)


def test_more_slow_orders_are_as_many_as_asked_for() -> None:
    drawn = launches(_rng(12), Kitchen(more_slow=0.01), 50, 20_000)
    found = (drawn.slow.pos - drawn.slow.neg).sum() / drawn.slow.n.sum()
    assert found == pytest.approx(0.01, abs=0.0005)


def test_incidents_and_bursts_come_together() -> None:
    quiet = launches(_rng(13), Kitchen(fails=0.0), 5, 20_000)
    assert not quiet.failures.pos.any()
    hit = launches(_rng(13), Kitchen(fails=0.0, incident_every=2000), 5, 20_000)
    assert hit.failures.pos.sum() == pytest.approx(5 * 20_000 / 2000 * 25, rel=0.3)
    assert hit.failures.pos.max() >= 15
    bursts = launches(_rng(13), Kitchen(fails=0.0, more_fails=0.005, burst=10), 5, 20_000)
    assert set(np.unique(bursts.failures.pos % 10)) == {0}


def test_the_peers_find_what_is_plain_and_not_what_is_not_there() -> None:
    rng = _rng(14)
    assert peers.t_alarms(rng.normal(1, 0.5, (1, 50)))[0, -1]
    assert not peers.t_alarms(np.tile([1.0, -1.0], (1, 50)))[0, -1]
    assert kitchens.noise(rng, 10_000, "quiet").std() == pytest.approx(0.1, rel=0.05)
    found = peers.diffy_alarms(
        np.array([[30.0, 30.0, 30.0]]), np.array([[10.0, 25.0, 40.0]]), np.full((1, 3), 1000.0)
    )  # fmt: skip
    assert found.tolist() == [[True, False, False]]
