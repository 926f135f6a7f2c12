"""Launches that a verdict could get wrong: noise that was reviewed, candidates without times."""

from __future__ import annotations

import random
from collections.abc import Collection

import pytest
from msgspec.structs import replace

from dashboard.verdict.blocks import Timing
from dashboard.verdict.evidence import EvidenceTotals, Tally
from dashboard.verdict.judging import judge_rate
from dashboard.verdict.paired_order import OrderStatus, PairedOrder, Result
from dashboard.verdict.rates import BoundedRate, RobustRate
from dashboard.verdict.tests.paired_orders import FAILED, MISSING, OK_10, TIMING, order
from dashboard.verdict.thresholds import (
    LaunchHealth,
    Requirement,
    RequirementResult,
    Requirements,
    RequirementStatus,
)
from dashboard.verdict.verdict import Verdict, verdict
from dashboard.verdict.wording import Rate, Word

_BUG = 50


def _noisy(
    seed: int, *, fields: int, chance: float, bug: float = 0.0, more: Collection[int] = ()
) -> Tally:
    """A launch of a faster candidate, of which each field differs by noise on its own."""
    rng = random.Random(seed)
    tally = Tally(TIMING)

    def noise() -> set[int]:
        return {number for number in range(1, fields + 1) if rng.random() < chance} | {*more}

    for i in range(6000):
        shown = noise() | ({_BUG} if rng.random() < bug else set())
        ms = rng.lognormvariate(2, 0.1)
        tally.add_all(
            [
                order(
                    i / 50,
                    candidate=Result(OrderStatus.OK, 0.7 * ms),
                    control=Result(OrderStatus.OK, ms),
                    shown=frozenset(shown),
                    noise=frozenset(noise()),
                )
            ]
        )
    tally.close(1000)
    return tally


def _judged(tally: Tally, accepted: Collection[int]) -> Verdict:
    return verdict(
        tally.evidence(),
        Requirements(),
        LaunchHealth(behind_s=0),
        timing=TIMING,
        bench=Tally(TIMING).evidence(),
        accepted=accepted,
    )


@pytest.mark.parametrize(
    ("fields", "chance", "bug"),
    [
        (1, 0.85, 0.02),
        (2, 0.5, 0.02),
        (3, 0.5, 0.02),
        (4, 0.5, 0.02),
        (4, 0.7, 0.05),
        (5, 0.8, 0.10),
        (6, 0.5, 0.3),
    ],
)
def test_a_bug_among_accepted_noise_is_never_ready(fields: int, chance: float, bug: float) -> None:
    tally = _noisy(3, fields=fields, chance=chance, bug=bug)
    found = _judged(tally, range(1, fields + 1))
    differences = found.of(Requirement.DIFFERENCES)
    assert found.word in (Word.NOT_YET, Word.WORSE)
    assert differences.standing is not RequirementStatus.PASSED
    assert found.flagged == (_BUG,)
    if found.word is Word.NOT_YET:
        assert differences.text == "1 discrepancy significantly above baseline noise"
        assert differences.more_orders is None


def test_a_bug_that_hides_behind_noise_that_nobody_accepted_is_flagged_and_not_ready() -> None:
    tally = _noisy(4, fields=0, chance=0, bug=0.3, more=(7,))
    found = _judged(tally, ())
    differences = found.of(Requirement.DIFFERENCES)
    assert (found.word, found.flagged) == (Word.NOT_YET, (_BUG,))
    assert differences.word == Rate.FLAGGED
    assert found.sentence("vnext") == (
        "NOT YET: 5 of 6 requirements met, 1 discrepancy significantly above baseline noise:"
        " a review of 1 discrepancy."
    )
    assert _judged(tally, (_BUG,)).word is Word.READY


def test_a_bug_on_orders_with_more_discrepancies_than_are_told_apart_is_flagged() -> None:
    found = _judged(_noisy(5, fields=1, chance=0.1, bug=0.5, more=range(20, 30)), (1,))
    assert (found.word, found.flagged) == (Word.NOT_YET, (_BUG,))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("fields", "chance"), [(1, 0.8), (3, 0.5), (4, 0.8), (6, 0.6)])
def test_two_alike_with_accepted_noise_are_neither_better_nor_worse(
    seed: int, fields: int, chance: float
) -> None:
    tally = _noisy(seed, fields=fields, chance=chance)
    for accepted in (range(1, fields + 1), range(1, fields), (fields,), ()):
        found = _judged(tally, accepted)
        word = found.of(Requirement.DIFFERENCES).word
        assert word in (Rate.NO_WORSE, Rate.UNDECIDED)
        assert found.flagged == ()


def test_what_is_not_told_apart_widens_the_interval_and_says_so() -> None:
    tally = _noisy(1, fields=6, chance=0.6)
    accepted = _judged(tally, (1,)).of(Requirement.DIFFERENCES)
    assert accepted.standing is RequirementStatus.NOT_YET
    assert "of orders may or may not count" in accepted.text
    assert accepted.interval is not None
    assert accepted.interval.lo < -0.5
    assert accepted.interval.hi > 0.5


def test_more_within_the_margin_at_least_is_not_called_worse_for_what_is_not_known() -> None:
    rng = random.Random(2)
    least, most = RobustRate(), RobustRate()
    for _ in range(300):
        pos = sum(rng.random() < 0.003 for _ in range(300))
        least.add(pos, 0, 300 - pos)
        most.add(pos + 10, 0, 290 - pos)
    required, evidence = Requirements(), EvidenceTotals(orders=90_000)
    for rate, word in (
        (BoundedRate.exactly(least), Rate.MORE_WITHIN),
        (BoundedRate.exactly(most), Rate.WORSE),
        (BoundedRate(least, most, unknown=3000), Rate.MORE_PROBABLY_WITHIN),
    ):
        found = judge_rate(Requirement.DIFFERENCES, rate, evidence, required, comparable=True)
        assert found.word == word


_PRODUCTION = Timing()


def _watched(candidates: Collection[Result], *, orders: int = 6000) -> dict[str, float]:
    """When which sentence came first, in seconds, a look every 10."""
    rng = random.Random(1)
    tally = Tally(_PRODUCTION)
    said: dict[str, float] = {}
    drawn = [*candidates]
    for i in range(orders):
        one: PairedOrder = order(i / 20, control=OK_10, baseline=None)
        tally.add_all([replace(one, candidate=rng.choice(drawn))])
        if i % 200 == 0:
            tally.close(i / 20)
            found = verdict(
                tally.evidence(), Requirements(), LaunchHealth(behind_s=0), timing=_PRODUCTION
            )
            said.setdefault(found.sentence("vnext"), i / 20)
    return said


def test_a_candidate_that_fails_every_order_is_worse_soon_after_the_warm_up() -> None:
    said = _watched([FAILED], orders=8000)
    worse = [at for sentence, at in said.items() if sentence.startswith("WORSE")]
    assert worse
    assert min(worse) <= 60 + 32 + 20 * 10 + 10
    after = [sentence for sentence, at in said.items() if at > 60 + 32 + 10]
    assert not any("warming up" in sentence for sentence in after)
    assert "no order was timed in both versions" in after[0]


def test_a_candidate_that_hardly_ever_answers_is_withheld_and_not_warming_up() -> None:
    said = _watched([OK_10, *[MISSING] * 999])
    assert next(reversed(said)).startswith("WITHHELD: not comparable: only the candidate's results")


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        (0, 3000, "WITHHELD: the control failed on 3,000 of 3,000 orders."),
        (4000, 1000, "WITHHELD: the control failed on 400 of the newest 400 orders."),
        (4000, 100, None),
    ],
)
def test_a_control_that_fails_is_named(good: int, bad: int, said: str | None) -> None:
    tally = Tally(TIMING)
    for i in range(good + bad):
        tally.add_all([order(i / 50, control=OK_10 if i < good else FAILED)])
    tally.close(200)
    found = _judged(tally, ())
    assert (found.word is Word.WITHHELD) == (said is not None)
    assert said is None or found.sentence("vnext") == said


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        (None, "the baseline gets no orders"),
        (MISSING, "the baseline does not answer: 400 of the newest 400 orders"),
        (FAILED, "the baseline fails: 400 of the newest 400 orders"),
    ],
)
def test_a_baseline_that_is_no_measure_is_named_and_differences_fall_back_to_the_plain_share(
    baseline: Result | None, said: str
) -> None:
    def launch(shown: frozenset[int]) -> Verdict:
        tally = Tally(TIMING)
        for i in range(6000):
            if i < 2000:
                tally.add_all([order(i / 50)])
            else:
                own = shown if i % 50 == 0 else frozenset()
                tally.add_all([order(i / 50, baseline=baseline, shown=own)])
        tally.close(200)
        return _judged(tally, ())

    good, differs = launch(frozenset()), launch(frozenset({1}))
    for found in (good, differs):
        assert found.warnings[0] == f"{said}; differences are judged with noise included"
        assert "noise included" in found.of(Requirement.DIFFERENCES).text
    assert good.word is Word.READY
    assert differs.sentence("vnext").endswith(
        "noise included: a baseline that answers, to tell noise from differences, or a review."
    )


def test_a_baseline_of_a_few_orders_is_not_called_idle_by_chance() -> None:
    tally = Tally(TIMING)
    for i in range(6000):
        tally.add_all([order(i / 50, baseline=OK_10 if i % 500 == 0 and i < 4000 else None)])
    tally.close(200)
    assert not any("baseline" in one for one in _judged(tally, ()).warnings)


def test_while_it_warms_up_the_controls_times_are_counted() -> None:
    said = _watched([FAILED], orders=1400)
    assert "NOT YET: warming up, 0 of 200 orders timed." in said
    assert "NOT YET: warming up." in said


def _with_slow_orders(seed: int, share: float) -> Tally:
    """A launch of a version that takes five times as long on a share of the orders."""
    rng = random.Random(seed)
    tally = Tally(TIMING)
    for i in range(6000):
        ms = 40 * rng.lognormvariate(0, 0.1)
        own = ms * rng.lognormvariate(0, 0.1) * (5 if rng.random() < share else 1)
        tally.add_all(
            [
                order(
                    i / 50,
                    control=Result(OrderStatus.OK, ms),
                    candidate=Result(OrderStatus.OK, own),
                )
            ]
        )
    tally.close(1000)
    return tally


def test_slow_orders_that_a_copy_of_the_control_has_as_well_are_not_the_candidates() -> None:
    candidate, copy = (_with_slow_orders(seed, 0.03).evidence() for seed in (1, 2))

    def slow(bench: EvidenceTotals) -> RequirementResult:
        found = verdict(
            candidate, Requirements(), LaunchHealth(behind_s=0), timing=TIMING, bench=bench
        )
        return found.of(Requirement.SLOW_ORDERS)

    assert slow(Tally(TIMING).evidence()).standing is RequirementStatus.FAILED
    assert slow(copy).standing is RequirementStatus.NOT_YET
    assert slow(copy).text.endswith("but two copies of the control differ by as much")
