"""Simulated launches are as their kitchens say, and have the product's own word at every look."""

from __future__ import annotations

import numpy as np
import pytest

from bench import kitchens, peers
from bench.kitchens import BenchKitchen, launches
from bench.looks import looks
from dashboard.verdict.thresholds import Requirement, RequirementStatus


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.mark.parametrize(
    "kitchen",
    [
        BenchKitchen(rate=40, noise="quiet", spell_s=20, spell_sd=0.05),
        BenchKitchen(rate=20, slower=0.015, more_fails=0.006, more_slow=0.01),
        BenchKitchen(rate=10, slower=-0.05, more_differs=0.01, fails=0.01),
    ],
)
def test_a_simulated_launch_has_the_products_word_on_each_requirement(
    kitchen: BenchKitchen,
) -> None:
    runs, blocks = 2, 60
    drawn = launches(_rng(9), kitchen, runs, kitchen.rate * kitchen.block_s * blocks)
    for run in range(runs):
        for look in looks(drawn, run):
            verdict = look.verdict()
            for requirement, headline in look.headlines.items():
                one = verdict.of(requirement)
                passes = headline.passes and not headline.failed
                assert (one.standing is RequirementStatus.PASSED) == passes, requirement
                assert (one.standing is RequirementStatus.FAILED) == headline.failed
                assert one.interval is not None
                if headline.enough:
                    assert headline.more == (one.interval.lo > 0)
                    assert headline.less == (one.interval.hi < 0)
            warned = any("correlated over time" in text for text in verdict.warnings)
            assert warned == look.warned


def test_a_pass_stays_until_the_estimate_is_beyond() -> None:
    drawn = launches(_rng(10), BenchKitchen(noise="quiet"), 1, 12_000)
    readiness = [(look.ready, look) for look in looks(drawn, 0)]
    was_ready, look = readiness[-1]
    assert was_ready
    headline = look.headlines[Requirement.DIFFERENCES]
    look.differences.blocks.levels.clear()
    assert not headline.passes
    assert look.ready
    look.differences.add(1000, 0, 0)
    assert headline.beyond
    assert not look.ready


def test_a_simulated_launch_is_as_its_kitchen_says() -> None:
    kitchen = BenchKitchen(
        noise="quiet", slower=0.05, more_slow=0.03, fails=0.01, more_fails=0.02, differs=0.2,
        more_differs=0.1,
    )  # fmt: skip
    drawn = launches(_rng(11), kitchen, 20, 20_000)
    assert drawn.log_ratios.sum() / drawn.pairs.sum() == pytest.approx(np.log(1.05), abs=0.002)
    for (n, pos, neg), more in ((drawn.failures, 0.02), (drawn.differences, 0.1)):
        found = float((pos - neg).sum()) / float(n.sum())
        assert found == pytest.approx(more, abs=0.003)
    assert drawn.orders.sum() == pytest.approx(20 * 20_000, rel=0.01)


def test_more_slow_orders_are_as_many_as_asked_for() -> None:
    drawn = launches(_rng(12), BenchKitchen(more_slow=0.01), 50, 20_000)
    n, pos, neg = drawn.slow
    found = float((pos - neg).sum()) / float(n.sum())
    assert found == pytest.approx(0.01, abs=0.0005)


def test_incidents_and_bursts_come_together() -> None:
    quiet = launches(_rng(13), BenchKitchen(fails=0.0), 5, 20_000)
    assert not quiet.failures[1].any()
    hit = launches(_rng(13), BenchKitchen(fails=0.0, incident_every=2000), 5, 20_000)
    assert hit.failures[1].sum() == pytest.approx(5 * 20_000 / 2000 * 25, rel=0.3)
    assert np.max(hit.failures[1]) >= 15
    bursts = launches(_rng(13), BenchKitchen(fails=0.0, more_fails=0.005, burst=10), 5, 20_000)
    assert set(np.unique(bursts.failures[1] % 10)) == {0}


def test_the_peers_find_what_is_plain_and_not_what_is_not_there() -> None:
    rng = _rng(14)
    assert peers.t_alarms(rng.normal(1, 0.5, (1, 50)))[0, -1]
    assert not peers.t_alarms(np.tile([1.0, -1.0], (1, 50)))[0, -1]
    assert kitchens.noise(rng, 10_000, "quiet").std() == pytest.approx(0.1, rel=0.05)
    found = peers.diffy_alarms(
        np.array([[30.0, 30.0, 30.0]]), np.array([[10.0, 25.0, 40.0]]), np.full((1, 3), 1000.0)
    )  # fmt: skip
    assert found.tolist() == [[True, False, False]]
