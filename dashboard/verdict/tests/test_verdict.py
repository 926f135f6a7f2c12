"""Words, requirements, and the one sentence of a launch."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from statistics import median
from typing import Any

import pytest

from dashboard.verdict.blocks import Timing
from dashboard.verdict.evidence import EvidenceTotals, Tally
from dashboard.verdict.judging import judge_rate, judge_speed
from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.paired_order import OrderStatus, Result
from dashboard.verdict.rates import BoundedRate, PairedRate, RobustRate
from dashboard.verdict.reasons import of_not_yet
from dashboard.verdict.sequences import NOTHING_KNOWN, Interval
from dashboard.verdict.tests.paired_orders import FAILED, MISSING, OK_10, TIMING, order, simulated
from dashboard.verdict.thresholds import (
    OVER_LIMIT,
    LaunchHealth,
    Requirement,
    RequirementResult,
    Requirements,
    RequirementStatus,
    outlook,
)
from dashboard.verdict.verdict import FirstDecision, Passed, Verdict, kept, latched, passes, verdict
from dashboard.verdict.wording import (
    Rate,
    Speed,
    Word,
    counted,
    orders_of,
    percent,
    points,
    rate_text,
    rate_word,
    significant,
    speed_text,
    speed_word,
)

_WELL = LaunchHealth(behind_s=0.5)


def _judged(
    tally: Tally,
    *,
    health: LaunchHealth = _WELL,
    bench: Tally | None = None,
    accepted: tuple[int, ...] = (),
    required: Requirements | None = None,
) -> Verdict:
    return verdict(
        tally.evidence(),
        required or Requirements(),
        health,
        timing=TIMING,
        bench=bench.evidence() if bench else None,
        accepted=accepted,
    )


@pytest.mark.parametrize(
    ("lo", "hi", "word"),
    [
        (-0.09, -0.03, "faster"),
        (0.01, 0.05, "slower"),
        (-0.01, 0.015, "about the same"),
        (-0.05, 0.01, "no slower"),
        (-0.01, 0.05, "no faster"),
        (-0.05, 0.05, "inconclusive"),
        (0.004, 0.03, "slower, probably within the limit"),
        (0.004, 0.016, "slower, within the limit"),
    ],
)
def test_the_word_for_speed(lo: float, hi: float, word: str) -> None:
    assert _speed_word(lo, hi, pairs=500, blocks=50) == word
    assert _speed_word(lo, hi, pairs=99, blocks=50) == "warming up"
    assert _speed_word(lo, hi, pairs=500, blocks=19) == "warming up"
    assert _speed_word(lo, hi, pairs=500, blocks=50, comparable=False) == "not comparable"


def _speed_word(lo: float, hi: float, **known: Any) -> Speed:
    """The word for an interval around its middle, which passes if it lies below 2 %."""
    passes = hi < math.log1p(0.02)
    return speed_word(Interval(lo, hi), estimate=(lo + hi) / 2, passes=passes, **known)


@pytest.mark.parametrize(
    ("interval", "bench", "word"),
    [
        ((-0.09, -0.03), (-0.04, -0.01), "unequal environments"),
        ((-0.09, -0.05), (-0.04, -0.01), "faster"),
        ((0.02, 0.05), (-0.04, -0.01), "slower"),
        ((0.02, 0.05), (0.01, 0.03), "unequal environments"),
        ((-0.01, 0.01), (0.01, 0.03), "unequal environments"),
        ((-0.09, -0.03), (-0.04, 0.01), "faster"),
    ],
)
def test_in_unequal_environments_only_what_lies_beyond_them_is_an_effect(
    interval: tuple[float, float], bench: tuple[float, float], word: str
) -> None:
    found = _speed_word(*interval, pairs=500, blocks=50, baseline=Interval(*bench))
    assert found == word


@pytest.mark.parametrize(
    ("lo", "hi", "quick", "word"),
    [
        (-0.004, -0.001, None, "fewer"),
        (0.006, 0.02, None, "worse"),
        (0.001, 0.02, None, "worse"),
        (0.001, 0.006, None, "more, probably within the limit"),
        (0.001, 0.004, None, "more, within the limit"),
        (-0.002, 0.004, None, "no worse"),
        (-0.01, 0.01, None, "inconclusive"),
        (-0.01, 0.01, 0.001, "clustered in time"),
        (-0.01, 0.004, 0.001, "no worse"),
        (-0.01, 0.01, -0.001, "inconclusive"),
    ],
)
def test_the_word_for_a_rate(lo: float, hi: float, quick: float | None, word: str) -> None:
    alone = None if quick is None else Interval(quick, 1)
    known: dict[str, Any] = {
        "estimate": (lo + hi) / 2, "passes": hi < 0.005, "margin": 0.005, "counts": alone,
    }  # fmt: skip
    assert rate_word(Interval(lo, hi), n=5000, **known) == word
    assert rate_word(Interval(lo, hi), n=99, **known) == "warming up"
    assert rate_word(Interval(lo, hi), n=99, comparable=False, **known) == "not comparable"


def test_a_rate_in_unequal_environments_is_none_either() -> None:
    for (lo, hi), word in (
        ((0.002, 0.02), Rate.UNEQUAL), ((-0.002, 0.003), Rate.UNEQUAL), ((0.03, 0.05), Rate.WORSE),
    ):  # fmt: skip
        found = rate_word(
            Interval(lo, hi),
            estimate=(lo + hi) / 2,
            passes=hi < 0.01,
            n=5000,
            margin=0.01,
            baseline=Interval(0.005, 0.02),
        )
        assert found is word


def test_ready_says_what_was_shown() -> None:
    found = _judged(simulated(1, blocks=120, slower=0.7), bench=simulated(2, blocks=120))
    assert found.word is Word.READY
    assert {one.standing for one in found.requirements} == {RequirementStatus.PASSED}
    assert found.sentence("vnext").startswith("vnext is READY: 30 % faster (")
    assert "fails no more often" in found.sentence("vnext")
    assert "differs no more than noise" in found.sentence("vnext")
    assert found.more_orders is None
    assert found.total_time is not None
    assert found.total_time.has(0.7)
    assert found.faster_share is not None
    assert found.faster_share.lo > 0.9


def test_ready_says_what_is_known_and_no_more() -> None:
    tally = simulated(1, blocks=120, slower=0.9)
    alone, beside = _judged(tally), _judged(tally, bench=simulated(2, blocks=120))
    assert (alone.word, beside.word) == (Word.READY, Word.READY)
    assert "differs no more than noise" in beside.reasons
    assert alone.reasons[-1] == "differs on 0 to 0.37 % of orders, noise included"


def test_ready_does_not_call_what_is_surely_more_no_more() -> None:
    watched, tally = _Watched(), _settled(1, blocks=200, slower=0.9)
    assert watched.look(tally, 1.0).word is Word.READY
    tally.settled.errors = RobustRate()
    for block in range(900):
        tally.settled.errors.add(block % 13 == 0, 0, 20 - (block % 13 == 0))
    found = watched.look(tally, 2.0)
    assert found.of(Requirement.FAILURES).word == Rate.MORE_PROBABLY_WITHIN
    assert found.word is Word.READY
    assert "fails no more often" not in found.reasons
    assert found.of(Requirement.FAILURES).text in found.reasons


def test_a_limit_of_100_percent_asks_for_nothing() -> None:
    required = Requirements(failures_margin=1.0, slow_margin=1.0, differences_margin=1.0)
    tally = simulated(1, blocks=120, slower=0.7, fails=0.3, shows=0.3)
    for bench in (None, simulated(2, blocks=120)):
        found = _judged(tally, required=required, bench=bench)
        assert found.of(Requirement.FAILURES).word == Rate.MORE_WITHIN
        assert found.of(Requirement.SLOW_ORDERS).standing is RequirementStatus.PASSED


def test_not_yet_says_how_much_is_missing() -> None:
    found = _judged(simulated(1, blocks=26, slower=0.7), bench=simulated(2, blocks=26))
    assert found.word is Word.NOT_YET
    assert found.more_orders
    passed = sum(one.standing is RequirementStatus.PASSED for one in found.requirements)
    assert found.sentence("vnext") == (
        f"NOT YET: {passed} of 6 requirements met, failures take longest:"
        f" about {found.more_orders:,} more orders."
    )


def test_worse_says_what_is_worse() -> None:
    found = _judged(simulated(1, blocks=200, fails=0.05), bench=simulated(2, blocks=200))
    assert found.word is Word.WORSE
    assert found.of(Requirement.FAILURES).word == Rate.WORSE
    assert found.sentence("vnext").startswith("WORSE: vnext: failure rate +")
    assert found.sentence("vnext").endswith(" beyond the limit of +0.5 pp. Roll back?")


def test_slower_is_worse_and_slower_by_less_than_the_margin_is_not() -> None:
    slower = simulated(3, blocks=300, slower=1.06)
    found = _judged(slower)
    assert (found.word, found.of(Requirement.SPEED).word) == (Word.WORSE, Speed.SLOWER)
    tolerant = _judged(slower, required=Requirements(speed_margin=0.2)).of(Requirement.SPEED)
    assert (tolerant.word, tolerant.standing) == (Speed.SLOWER_WITHIN, RequirementStatus.PASSED)
    assert tolerant.text.endswith(", by less than 20 %")


def test_while_it_warms_up_it_says_how_far_it_is() -> None:
    tally = Tally(Timing(block_s=1, deadline_s=2, grace_s=0))
    for i in range(30):
        tally.add_all([order(i / 10)])
    tally.close(50)
    found = verdict(tally.evidence(), Requirements(), _WELL, timing=tally.timing)
    assert found.sentence("vnext") == "NOT YET: warming up, 30 of 200 orders timed."


def test_without_any_order_it_is_not_yet() -> None:
    found = verdict(EvidenceTotals(), Requirements(), LaunchHealth(), timing=Timing())
    assert found.sentence("vnext") == "NOT YET: warming up, 0 of 200 orders timed."
    assert found.of(Requirement.SPEED).interval == NOTHING_KNOWN


def test_a_candidate_that_never_answers_is_told_so() -> None:
    tally = Tally(TIMING)
    for i in range(300):
        tally.add_all([order(i / 10, candidate=MISSING)])
    tally.close(100)
    found = _judged(tally)
    assert found.sentence("vnext") == (
        "WITHHELD: none of 300 orders was answered by both versions."
    )


def test_answers_that_one_side_alone_owes_make_them_incomparable() -> None:
    found = _judged(simulated(1, blocks=120, slower=0.7, missing=0.03))
    assert found.word is Word.WITHHELD
    assert found.of(Requirement.SPEED).word == Speed.NOT_COMPARABLE
    assert found.of(Requirement.FAILURES).word == Rate.NOT_COMPARABLE
    assert "not comparable: only the candidate's results are missing on" in found.sentence("vnext")


def test_a_verdict_is_withheld_while_too_many_pairs_are_missing_on_either_side() -> None:
    evidence = simulated(1, blocks=120).evidence()
    evidence.missing_both = evidence.orders // 20
    found = verdict(evidence, Requirements(), _WELL, timing=TIMING)
    assert found.word is Word.WITHHELD
    assert found.sentence("vnext") == "WITHHELD: 5 % of results are missing (at most 1 %)."
    assert any("could be off by" in one for one in found.warnings)


@pytest.mark.parametrize(
    ("unseen", "standing", "text"),
    [
        (0, "passed", "missing results: 0 %"),
        (90, "passed", "missing results: 0.9 %, 90 of 10,000 orders did not reach the observer"),
        (110, "failed", "missing results: 1.1 %, 110 of 10,000 orders did not reach the observer"),
    ],
)
def test_orders_that_were_not_seen_are_missing_from_completeness(
    unseen: int, standing: str, text: str
) -> None:
    health = replace(_WELL, unseen=unseen, sent=10_000)
    found = _judged(simulated(1, blocks=120, slower=0.7), health=health)
    completeness = found.of(Requirement.COMPLETENESS)
    assert (completeness.standing, completeness.text) == (standing, text)
    assert found.word is (Word.READY if standing == "passed" else Word.WITHHELD)


def test_a_verdict_is_withheld_while_too_many_orders_were_not_seen() -> None:
    health = replace(_WELL, unseen=110, sent=10_000)
    found = _judged(simulated(1, blocks=60), health=health)
    assert found.sentence("vnext") == ("WITHHELD: 110 of 10,000 orders did not reach the observer.")
    assert found.of(Requirement.COMPLETENESS).needs == "more orders, all received by the observer"


def test_orders_that_were_not_seen_and_results_that_are_missing_are_added_up() -> None:
    evidence = simulated(1, blocks=120).evidence()
    evidence.missing_both = evidence.orders * 6 // 1000
    health = replace(_WELL, unseen=60, sent=10_000)
    assert verdict(evidence, Requirements(), _WELL, timing=TIMING).word is Word.READY
    found = verdict(evidence, Requirements(), health, timing=TIMING)
    assert found.sentence("vnext") == "WITHHELD: 1.2 % of results are missing (at most 1 %)."


def test_what_holds_a_verdict_back_is_its_reason() -> None:
    wrong = "vnext was sent 412 of 1,000 orders; 50 % was requested"
    found = _judged(simulated(1, blocks=60), health=replace(_WELL, held=(wrong,)))
    assert found.sentence("vnext") == f"WITHHELD: {wrong}."


@pytest.mark.parametrize(
    ("behind_s", "standing"), [(3, "passed"), (99, "failed"), (None, "not yet")]
)
def test_a_candidate_must_keep_up(behind_s: float | None, standing: str) -> None:
    tally, bench = simulated(1, blocks=120, slower=0.7), simulated(2, blocks=120)
    found = _judged(tally, health=LaunchHealth(behind_s=behind_s), bench=bench)
    assert found.of(Requirement.KEEPING_UP).standing == standing
    assert (found.word is Word.READY) == (standing == "passed")


def test_differences_count_beyond_the_baselines_noise_alone() -> None:
    noisy = simulated(1, blocks=300, noise=0.2)
    assert (
        _judged(noisy, bench=noisy).of(Requirement.DIFFERENCES).standing
        is not RequirementStatus.FAILED
    )


def test_without_a_baseline_differences_may_be_noise_and_are_not_held_against_the_candidate() -> (
    None
):
    found = _judged(simulated(1, blocks=300, slower=0.7, noise=0.2))
    assert found.word is Word.NOT_YET
    assert found.of(Requirement.DIFFERENCES).standing is RequirementStatus.NOT_YET
    assert "noise included" in found.sentence("vnext")
    assert _judged(simulated(1, blocks=300, slower=0.7)).word is Word.READY


def test_an_accepted_discrepancy_counts_no_longer_at_once() -> None:
    tally, bench = simulated(1, blocks=120, slower=0.7, shows=0.1), simulated(2, blocks=120)
    assert _judged(tally, bench=bench).of(Requirement.DIFFERENCES).word == Rate.WORSE
    found = _judged(tally, bench=bench, accepted=(1,))
    assert found.word is Word.READY
    assert found.sentence("vnext").endswith(", 1 accepted discrepancy.")
    assert _judged(tally, accepted=(1,)).of(Requirement.DIFFERENCES).word == Rate.NO_WORSE


def test_an_uneven_bench_is_said_and_a_small_effect_on_it_is_none() -> None:
    found = _judged(
        simulated(1, blocks=200, slower=0.9), bench=simulated(2, blocks=200, slower=0.8)
    )
    assert found.of(Requirement.SPEED).word == Speed.UNEQUAL
    assert found.warnings[0].startswith("unequal environments: the baseline is ")


def test_a_baseline_that_fails_or_differs_on_its_own_is_said() -> None:
    found = _judged(
        simulated(1, blocks=100), bench=simulated(2, blocks=200, fails=0.1, shows=0.2)
    )  # fmt: skip
    fails, differs = found.warnings[:2]
    assert fails.startswith(
        "unequal environments: the baseline against the control: failure rate +"
    )
    assert re.fullmatch(
        r"baseline noise: control differs from itself on \d+ % of [\d,]+ orders", differs
    )


def test_a_baseline_of_few_orders_is_not_said_to_differ() -> None:
    few, enough = (simulated(2, blocks=one, shows=1.0) for one in (4, 200))
    said = "control differs from itself"
    assert said not in " ".join(_judged(simulated(1, blocks=100), bench=few).warnings)
    assert said in " ".join(_judged(simulated(1, blocks=100), bench=enough).warnings)


def test_faster_comes_with_a_warning_when_it_fails_more_often() -> None:
    found = _judged(simulated(1, blocks=200, slower=0.7, fails=0.08))
    assert "faster, but it fails more often: speed excludes failed orders" in found.warnings


def test_drifting_effects_and_contrasting_segments_are_warned_of() -> None:
    tally = Tally(TIMING)
    for i in range(6000):
        ms = 6.0 if i < 3000 else 12.0
        tally.add_all([order(i / 20, candidate=Result(OrderStatus.OK, ms + i % 3))])
    tally.close(400)
    found = _judged(tally)
    assert any(one.startswith("the effect drifts: ") for one in found.warnings)


def test_where_no_more_orders_come_nothing_is_asked_for_and_none_are_predicted() -> None:
    worse, open_one = simulated(1, blocks=200, slower=1.1), simulated(1, blocks=40, slower=1.0)
    ended = replace(_WELL, over=True)
    assert _judged(worse).sentence("vnext").endswith(" Roll back?")
    assert "Roll back" not in _judged(worse, health=ended).sentence("vnext")
    assert _judged(open_one).more_orders
    found = _judged(open_one, health=ended)
    assert (found.more_orders, {one.needs for one in found.requirements}) == (None, {""})
    assert "more orders" not in found.sentence("vnext")
    assert any("collecting longer" in one for one in _judged(_unknown(open_one)).warnings)
    found = _judged(_unknown(open_one), health=ended)
    assert not any("collecting" in one for one in found.warnings)


def _asked_and_needed(seed: int, k: int) -> float:
    """How many of the orders that it asked for after k blocks it took to pass."""

    def speed(blocks: int) -> RequirementResult:
        return _judged(simulated(seed, blocks=blocks, each=10)).of(Requirement.SPEED)

    first = speed(k)
    assert first.standing is RequirementStatus.NOT_YET
    passed = next(
        one.orders
        for blocks in range(k, 800, 20)
        for one in (speed(blocks),)
        if one.standing is RequirementStatus.PASSED
    )
    return passed / (first.orders + (first.more_orders or 0))


def test_the_orders_that_it_asks_for_are_about_what_it_takes() -> None:
    assert 0.5 < median(_asked_and_needed(seed, 30) for seed in range(7)) < 1.5


def test_no_number_of_orders_helps_while_the_estimate_is_over_the_limit() -> None:
    found = _judged(simulated(1, blocks=30, slower=1.03)).of(Requirement.SPEED)
    assert (found.standing, found.more_orders) == (RequirementStatus.NOT_YET, None)
    assert found.needs == "the estimate is over the limit, more orders help only if it falls"


def test_that_estimates_are_over_their_limits_is_said_once() -> None:
    evidence = EvidenceTotals(threshold=1)
    judged = [
        RequirementResult(
            requirement=one,
            standing=RequirementStatus.NOT_YET,
            word="inconclusive",
            text=f"{one} +1",
            estimate=1,
            interval=None,
            line=0,
            orders=9,
            needs=OVER_LIMIT.needs,
        )
        for one in (Requirement.FAILURES, Requirement.DIFFERENCES)
    ]
    for _ in range(30):
        evidence.errors.add(0, 0, 9)
    assert list(of_not_yet(judged, evidence, TIMING)) == [
        "0 of 2 requirements met", f"failures +1 and differences +1: {OVER_LIMIT.needs}",
    ]  # fmt: skip


def test_no_number_is_given_in_the_first_blocks() -> None:
    found = _judged(simulated(1, blocks=9)).of(Requirement.FAILURES)
    assert (found.standing, found.more_orders) == (RequirementStatus.NOT_YET, None)
    assert found.needs == "too early to say how many more orders"


def test_what_never_happened_needs_just_as_many_orders_as_are_said() -> None:
    rate, required = RobustRate(), Requirements()
    for _ in range(40):
        rate.add(0, 0, 10)
    line = required.failures_margin

    def passes(times: float) -> bool:
        return rate.counts.log_e_below(line, times) >= required.limit

    more = outlook(passes, orders=400, blocks=rate.blocks, over_limit=False).more_orders
    assert more is not None
    assert PairedRate(0, 0, 400 + more).log_e_below(line) >= required.limit
    assert PairedRate(0, 0, 400 + more * 9 // 10).log_e_below(line) < required.limit


def test_when_it_was_first_decided_stays() -> None:
    good, bad = (
        _judged(simulated(1, blocks=120, slower=slower)) for slower in (0.7, 1.5)
    )  # fmt: skip
    first = latched({}, good.requirements, at=100.0)
    assert first[Requirement.SPEED] == FirstDecision("faster", 100.0, good.pairs)
    again = latched(first, bad.requirements, at=200.0)
    assert again[Requirement.SPEED] == first[Requirement.SPEED]


def test_what_was_flagged_stays_flagged_when_the_baseline_dies() -> None:
    rng, tally = random.Random(1), Tally(TIMING)
    for i in range(500 * 20):
        shown = frozenset({1} if rng.random() < 0.0025 else ())
        baseline = MISSING if i >= 470 * 20 else OK_10
        tally.add_all([order(i / 20, baseline=baseline, shown=shown)])
    tally.close(502)
    found = _judged(tally, bench=simulated(2, blocks=500))
    assert found.warnings[0].startswith("the baseline does not answer:")
    assert (found.flagged, found.word) == ((1,), Word.NOT_YET)
    assert found.of(Requirement.DIFFERENCES).needs == "a review of 1 discrepancy"
    reviewed = _judged(tally, bench=simulated(2, blocks=500), accepted=(1,))
    assert (reviewed.flagged, reviewed.word) == ((), Word.READY)


def test_slow_orders_of_the_baseline_count_from_the_level_of_its_speed_on_too() -> None:
    tally, bench = _settled(1, blocks=120), _settled(2, blocks=120)
    bench.settled.slow = RobustRate()
    for _ in range(120):
        bench.settled.slow.add(3, 0, 17)
    found = _judged(tally, bench=bench)
    assert found.of(Requirement.SLOW_ORDERS).word == Rate.UNEQUAL
    assert any("the baseline against the control: slow orders" in one for one in found.warnings)
    for level in bench.settled.effect.levels:
        level.yy1 = 1e9
    found = _judged(tally, bench=bench)
    assert found.of(Requirement.SLOW_ORDERS).word != Rate.UNEQUAL
    assert not any("unequal" in one for one in found.warnings)


def test_one_order_is_not_called_orders() -> None:
    assert [counted(1), counted(0), counted(1300)] == ["1 order", "0 orders", "1,300 orders"]
    assert orders_of(0, 1) == "0 of 1 order"
    soon = outlook(
        lambda times: times > 1.001, orders=20, blocks=_twenty_blocks(), over_limit=False
    )
    assert soon == ("about 1 more order", 1)


def _twenty_blocks() -> MultiLevelBlocks:
    blocks = MultiLevelBlocks()
    for _ in range(20):
        blocks.add(1, 0)
    return blocks


def test_halves_are_rounded_upwards_as_the_page_does() -> None:
    assert [points(share) for share in (0.125, 0.0125, 0.00125)] == [
        "+13 pp",
        "+1.3 pp",
        "+0.13 pp",
    ]
    assert percent(0.125) == "13 %"


class _Watched:
    """A launch that is looked at again and again; passes are kept as the product keeps them."""

    def __init__(self, required: Requirements | None = None) -> None:
        self.required = required or Requirements()
        self.passed: dict[Requirement, Passed] = {}

    def look(
        self, tally: Tally, at: float, bench: Tally | None = None, accepted: tuple[int, ...] = ()
    ) -> Verdict:
        found = verdict(
            tally.evidence(),
            self.required,
            _WELL,
            timing=TIMING,
            bench=bench.evidence() if bench else None,
            accepted=accepted,
            passed=self.passed,
        )
        accepted_of_it = tally.evidence().shown_of(accepted)
        self.passed = passes(self.passed, found.requirements, accepted_of_it, at)
        return found


def _unknown(tally: Tally) -> Tally:
    """The same launch at a look at which no level of blocks is flat."""
    tally.evidence()
    for blocks in (tally.settled.effect, tally.settled.errors.blocks, tally.settled.slow.blocks):
        for level in blocks.levels:
            level.yy1 = 1e9
    return tally


def test_a_requirement_that_passed_does_not_flicker() -> None:
    watched = _Watched()
    assert watched.look(_settled(1, blocks=120, slower=0.99), 100.0).word is Word.READY
    silent = _unknown(_settled(1, blocks=121, slower=0.99))
    found = watched.look(silent, 110.0)
    assert found.word is Word.READY
    speed = found.of(Requirement.SPEED)
    assert (speed.standing, speed.passed_at) == (RequirementStatus.PASSED, 100.0)
    assert speed.interval == NOTHING_KNOWN
    alone = _Watched().look(silent, 110.0)
    assert (alone.word, alone.of(Requirement.SPEED).passed_at) == (Word.NOT_YET, None)


def test_a_pass_ends_with_evidence_against_it_and_under_another_threshold() -> None:
    good = _settled(1, blocks=120, slower=0.99)
    watched = _Watched()
    watched.look(good, 100.0)
    slower = watched.look(_settled(1, blocks=120, slower=1.06), 200.0).of(Requirement.SPEED)
    assert slower.standing is RequirementStatus.FAILED
    assert Requirement.SPEED not in watched.passed
    other = _Watched()
    other.look(good, 100.0)
    other.required = Requirements(speed_margin=0.021)
    assert (
        other.look(_unknown(good), 110.0).of(Requirement.SPEED).standing
        is RequirementStatus.NOT_YET
    )


@pytest.mark.parametrize(
    ("slower", "fails", "requirement"),
    [(1.3, 0.0, Requirement.SPEED), (1.0, 0.1, Requirement.FAILURES)],
)
def test_a_pass_ends_when_the_version_gets_worse_and_no_level_is_flat_any_more(
    slower: float, fails: float, requirement: Requirement
) -> None:
    watched, rng, tally = _Watched(), random.Random(3), Tally(TIMING)
    words = []
    for second in range(250):
        late = second >= 150
        for n in range(20):
            ms = rng.lognormvariate(3.7, 0.02)
            answer = Result(
                OrderStatus.OK, ms * rng.lognormvariate(0, 0.02) * (slower if late else 1.0)
            )
            candidate = FAILED if late and rng.random() < fails else answer
            tally.add_all([order(
                    second + n / 20, control=Result(OrderStatus.OK, ms), candidate=candidate,
                    baseline=None,
                )])  # fmt: skip
        tally.close(second + 1)
        if second % 50 == 49:
            words.append(watched.look(tally, float(second)))
    before, after = words[2], words[4]
    assert before.word is Word.READY
    worse = after.of(requirement)
    assert worse.interval is not None
    assert worse.interval.hi >= 1
    assert worse.estimate is not None
    assert worse.estimate > worse.line
    assert (after.word, worse.standing) == (Word.NOT_YET, RequirementStatus.NOT_YET)
    assert requirement not in watched.passed


def test_a_pass_of_the_differences_ends_when_other_differences_are_accepted() -> None:
    tally, bench = (
        _settled(1, blocks=120, slower=0.9, shows=0.1), _settled(2, blocks=120)
    )  # fmt: skip
    watched = _Watched()
    assert watched.look(tally, 1.0, bench, accepted=(1,)).word is Word.READY
    assert (
        watched.look(tally, 2.0, bench).of(Requirement.DIFFERENCES).standing
        is RequirementStatus.FAILED
    )
    assert Requirement.DIFFERENCES not in watched.passed


def test_what_is_accepted_and_was_never_shown_ends_no_pass() -> None:
    watched = _Watched()
    good, bench = _settled(1, blocks=120, slower=0.99), _settled(2, blocks=120)
    watched.look(good, 1.0, bench)
    found = watched.look(good, 2.0, bench, accepted=(99,)).of(Requirement.DIFFERENCES)
    assert (found.standing, found.passed_at) == (RequirementStatus.PASSED, 1.0)


def test_a_pass_ends_when_the_worst_case_of_what_is_not_told_apart_is_over_the_limit() -> None:
    required, fine, unclear = Requirements(), RobustRate(), RobustRate()
    for _ in range(60):
        fine.add(0, 0, 50)
    worst = fine.copy()
    for _ in range(4):
        unclear.add(0, 0, 50)
        worst.add(6, 0, 44)

    def judged(rate: BoundedRate) -> RequirementResult:
        evidence = EvidenceTotals(orders=rate.n)
        return judge_rate(Requirement.DIFFERENCES, rate, evidence, required, comparable=True)

    passed = passes({}, [judged(BoundedRate.exactly(fine))], (), 1.0)
    assert Requirement.DIFFERENCES in passed
    least = RobustRate(PairedRate(0, 0, 3200), worst.copy().blocks)
    later = judged(BoundedRate(least, worst, unknown=24))
    assert later.estimate is not None
    assert later.estimate < later.line
    (found,) = kept([later], passed, ())
    assert found.standing is RequirementStatus.NOT_YET


def test_while_it_is_not_comparable_a_pass_is_kept_but_says_nothing() -> None:
    watched = _Watched()
    good = _settled(1, blocks=120, slower=0.99)
    watched.look(good, 100.0)
    good.settled.missing_both = good.settled.orders
    held = watched.look(good, 110.0)
    assert (held.word, held.of(Requirement.SPEED).standing) == (
        Word.WITHHELD,
        RequirementStatus.NOT_YET,
    )
    assert watched.passed[Requirement.SPEED].at == 100.0


def _settled(seed: int, **launch: Any) -> Tally:
    """A simulated launch whose blocks have all settled."""
    tally = simulated(seed, **launch)
    tally.close(1e7)
    return tally


@pytest.mark.parametrize(
    ("slower", "word"),
    [(1.014, Speed.SLOWER_PROBABLY_WITHIN), (1.03, Speed.SLOWER)],
)
def test_slower_within_the_threshold_is_not_worse(slower: float, word: Speed) -> None:
    rng, evidence, launches = random.Random(1), EvidenceTotals(), []
    for _ in range(400):
        evidence.pairs += 20
        evidence.effect.add(20, sum(math.log(slower) + rng.gauss(0, 0.14) for _ in range(20)))
        launches.append(judge_speed(evidence, Requirements(), None, comparable=True))
    surely = [one for one in launches if one.interval is not None and one.interval.lo > 0]
    assert surely
    assert word in {one.word for one in surely}
    for one in surely:
        beyond = one.estimate is not None and one.estimate > one.line
        assert (one.standing is RequirementStatus.FAILED) == beyond


def test_one_burst_in_many_orders_does_not_block_for_ever() -> None:
    rate, evidence = RobustRate(), EvidenceTotals(orders=40_000)
    for block in range(400):
        failed = 10 if block == 200 else 0
        rate.add(failed, 0, 100 - failed)
    judged = judge_rate(
        *(Requirement.FAILURES, BoundedRate.exactly(rate), evidence, Requirements()),
        comparable=True,
    )
    assert rate.counts.interval(Requirements().each).lo > 0
    assert (judged.word, judged.standing) == (Rate.NO_WORSE, RequirementStatus.PASSED)
    assert judged.bound is not None
    assert judged.bound < 0.002


@pytest.mark.parametrize(("missing", "withheld"), [(13, False), (60_000, True)])
def test_answers_missing_on_one_side_withhold_only_while_they_could_matter(
    missing: int, withheld: bool
) -> None:
    evidence = simulated(1, blocks=120).evidence()
    evidence.orders = 10_000_000
    evidence.missing = PairedRate(missing, 0, 10_000_000 - missing)
    found = verdict(evidence, Requirements(), _WELL, timing=TIMING)
    assert not evidence.missing.interval(0.001).has(0.0)
    assert (found.word is Word.WITHHELD) == withheld


def test_the_whole_interval_beyond_the_limit_is_said() -> None:
    found = _judged(simulated(1, blocks=300, slower=1.2)).of(Requirement.SPEED)
    assert found.text.endswith(", all of it beyond the limit of 2 %")
    fails = _judged(simulated(1, blocks=300, fails=0.05)).of(Requirement.FAILURES)
    assert fails.text.endswith(", all of it beyond the limit of +0.5 pp")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.3142, "31 %"),
        (0.0194, "1.9 %"),
        (0.02, "2 %"),
        (0.0005, "0.05 %"),
        (0, "0 %"),
        (1, "100 %"),
    ],
)
def test_a_percentage_has_as_many_digits_as_it_needs(share: float, text: str) -> None:
    assert percent(share) == text
    assert percent(-share) == text


def test_an_effect_in_words() -> None:
    assert speed_text(math.log(0.69), Interval(math.log(0.66), math.log(0.72))) == (
        "31 % faster (28 to 34 %)"
    )
    assert speed_text(0.0, Interval(-0.0305, 0.0198)) == "between 3 % faster and 2 % slower"
    assert speed_text(1.2, Interval(1.1, 1.3)) == "at least 3 times slower"
    assert speed_text(0.1, NOTHING_KNOWN) == "11 % slower (confidence interval not available yet)"
    assert rate_text("failure rate", 0.019, Interval(0.012, 0.027)) == (
        "failure rate +1.9 pp (1.2 to 2.7)"
    )
    assert rate_text("failure rate", 0.01, Interval(-0.003, 0.018)) == (
        "failure rate +1.0 pp (−0.3 to 1.8)"
    )
    assert (
        rate_text("slow orders", -0.0005, Interval(-0.12, 0)) == "slow orders −0.05 pp (−12 to 0)"
    )
    assert rate_text("slow orders", 0.0, Interval(-1, 1)) == (
        "slow orders 0 pp (confidence interval not available yet)"
    )


@pytest.mark.parametrize(
    ("number", "rounded"), [(0.2, 1), (7, 7), (99, 99), (1234, 1300), (10**6, 10**6)]
)
def test_an_estimate_is_rounded_up_to_two_digits(number: float, rounded: int) -> None:
    assert significant(number) == rounded
